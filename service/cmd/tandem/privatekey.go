package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/tandem-rsa/tandem/splitkey"
)

// keyParts are the numbers of an RSA key that somebody else made. d is nil in a public
// one, and p and q are nil where the file has no primes.
type keyParts struct {
	n       *big.Int
	e       int
	d, p, q *big.Int
	use     usage
}

// wipe clears the numbers. What math/big and the parsers copied on the way stays in
// memory until it is used again.
func (k *keyParts) wipe() {
	for _, x := range []*big.Int{k.d, k.p, k.q} {
		wipeInt(x)
	}
}

func wipeInt(x *big.Int) {
	if x != nil {
		clear(x.Bits())
		x.SetInt64(0)
	}
}

// parsePrivateKey reads the RSA private key in a file.
func parsePrivateKey(name string, text []byte) (*keyParts, error) {
	bad := func(next string, err error) error {
		return failf("bad_key", next, "%s: %w", display(name), err)
	}
	const next = "give an RSA private key in PKCS #1, PKCS #8 or JWK, in PEM or DER, not encrypted"
	all := identify(text)
	defer func() {
		for _, f := range all {
			clear(f.der)
		}
	}()
	if len(all) == 0 {
		return nil, bad(next, errors.New("it holds no key: neither PEM, nor DER, nor JWK"))
	}
	for _, f := range all {
		var k *keyParts
		var err error
		switch f.kind {
		case pkcs1Private:
			k, err = parsePKCS1(f.der)
		case pkcs8Private:
			k, err = parsePKCS8(f.der)
		case jwk:
			if k, err = parseJWK(f.der); err == nil && k.d == nil {
				err = errors.New("it holds a public key, and a private one is wanted")
			}
		case encryptedKey:
			return nil, bad("openssl pkey -in "+quote(name)+" -out PLAIN decrypts it; destroy PLAIN as well, afterwards", errors.New("it is encrypted"))
		case "private key of OpenSSH":
			return nil, bad("ssh-keygen -p -m PEM -f COPY makes PKCS #1 of a copy", errors.New("it holds a private key of OpenSSH"))
		default:
			continue
		}
		if err != nil {
			return nil, bad(next, err)
		}
		return k, nil
	}
	return nil, bad(next, fmt.Errorf("it holds %s, and a private key is wanted", article(all[0].kind)))
}

// parsePKCS8 reads a PrivateKeyInfo of RFC 5958, also of an RSASSA-PSS key (RFC 4055),
// which crypto/x509 does not take.
func parsePKCS8(der []byte) (*keyParts, error) {
	var info struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
		// Attributes and a public key may follow.
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, errors.New("its PKCS #8 cannot be read")
	}
	defer clear(info.Key)
	use, err := algorithm(info.Algorithm)
	if err != nil {
		return nil, err
	}
	k, err := parsePKCS1(info.Key)
	if err == nil {
		k.use = use
	}
	return k, err
}

// parsePKCS1 reads an RSAPrivateKey of RFC 8017. Some programs write zeros for what they
// do not have.
func parsePKCS1(der []byte) (*keyParts, error) {
	var r struct {
		Version                  int
		N, E, D, P, Q, DP, DQ, U *big.Int
		More                     asn1.RawValue `asn1:"optional"`
	}
	rest, err := asn1.Unmarshal(der, &r)
	defer func() {
		wipeInt(r.DP)
		wipeInt(r.DQ)
		wipeInt(r.U)
	}()
	if err != nil || len(rest) > 0 {
		return nil, errors.New("its PKCS #1 cannot be read")
	}
	if r.Version != 0 || len(r.More.FullBytes) > 0 {
		return nil, errors.New("it has more than two prime factors")
	}
	return newKeyParts(r.N, r.E, r.D, r.P, r.Q)
}

// parseJWK reads an RSA key of RFC 7518. A private one may have n, e and d only.
func parseJWK(text []byte) (*keyParts, error) {
	var j struct {
		Type string          `json:"kty"`
		Keys json.RawMessage `json:"keys"`
		Oth  json.RawMessage `json:"oth"`
		N    string          `json:"n"`
		E    string          `json:"e"`
		D    string          `json:"d"`
		P    string          `json:"p"`
		Q    string          `json:"q"`
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, errors.New("it is JSON, and no JWK")
	}
	switch {
	case j.Keys != nil:
		return nil, errors.New("it is a set of JWKs: give one of them")
	case j.Type != "RSA":
		return nil, fmt.Errorf("it is JSON, and its \"kty\" is %q, not \"RSA\"", j.Type)
	case j.Oth != nil:
		return nil, errors.New("it has more than two prime factors")
	}
	var numbers [5]*big.Int
	for i, field := range []string{j.N, j.E, j.D, j.P, j.Q} {
		if field == "" {
			continue
		}
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(field, "="))
		if err != nil {
			return nil, fmt.Errorf("%q of the JWK is not base64url", [...]string{"n", "e", "d", "p", "q"}[i])
		}
		numbers[i] = new(big.Int).SetBytes(b)
		clear(b)
	}
	return newKeyParts(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])
}

// newKeyParts checks what is needed before anything is computed. Whether the numbers
// belong together splitkey.Split finds out.
func newKeyParts(n, e, d, p, q *big.Int) (_ *keyParts, err error) {
	defer func() {
		if err != nil {
			(&keyParts{d: d, p: p, q: q}).wipe()
		}
	}()
	if n == nil || e == nil || n.Sign() <= 0 {
		return nil, errors.New("it has no modulus or no public exponent")
	}
	if n.BitLen() > 8192 {
		return nil, fmt.Errorf("its modulus has %d bits, and the most is 8192", n.BitLen())
	}
	if e.Sign() <= 0 || e.BitLen() > 31 {
		return nil, errors.New("its public exponent is not between 2 and 2^31-1")
	}
	k := &keyParts{n: n, e: int(e.Int64())}
	if d == nil || d.Sign() == 0 {
		return k, nil
	}
	if d.Sign() < 0 || d.Cmp(n) >= 0 {
		return nil, errors.New("its private exponent is not between 1 and the modulus")
	}
	k.d = d
	if p != nil && q != nil && p.Sign() > 0 && q.Sign() > 0 {
		k.p, k.q = p, q
	}
	return k, nil
}

// private returns the key as package splitkey takes it. The primes are recovered if they
// are not known.
func (k *keyParts) private() (*rsa.PrivateKey, error) {
	if k.d == nil {
		return nil, errors.New("it has no private exponent")
	}
	if k.p == nil {
		if err := k.recover(); err != nil {
			return nil, err
		}
	}
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: k.n, E: k.e}, D: k.d, Primes: []*big.Int{k.p, k.q}}, nil
}

// recover finds the primes of n by e and d: NIST SP 800-56B, revision 2, appendix C.2. It
// works for d up to n, as all programs make it, and keys of two primes. Its time depends
// on the key, which its owner has in a file.
func (k *keyParts) recover() error {
	none := errors.New("it has no primes, and no two of them follow from its exponents, which do not belong to its modulus")
	one := big.NewInt(1)
	var de, a, g, n1, m, r, b, y, p, q big.Int
	for _, x := range []*big.Int{&de, &a, &g, &m, &r, &b, &y} {
		defer wipeInt(x)
	}
	de.Sub(de.Mul(k.d, big.NewInt(int64(k.e))), one)
	if de.Sign() <= 0 {
		return none
	}
	// a = (de-1) * gcd(n-1, de-1) is a multiple of (p-1)(q-1), which is a little less
	// than n: so m+1 = a / ((p-1)(q-1)), and b = p+q.
	g.GCD(nil, nil, n1.Sub(k.n, one), &de)
	a.Mul(&de, &g)
	m.DivMod(&a, k.n, &r)
	m.Add(&m, one)
	b.Sub(k.n, &r)
	if _, rest := b.DivMod(&b, &m, new(big.Int)); rest.Sign() != 0 {
		return none
	}
	b.Add(&b, one)
	// y = p-q.
	y.Mul(&b, &b)
	if y.Sub(&y, m.Lsh(k.n, 2)); y.Sign() <= 0 {
		return none
	}
	y.Sqrt(&y)
	p.Rsh(p.Add(&b, &y), 1)
	q.Rsh(q.Sub(&b, &y), 1)
	if m.Mul(&p, &q).Cmp(k.n) != 0 {
		wipeInt(&p)
		wipeInt(&q)
		return none
	}
	k.p, k.q = &p, &q
	return nil
}

// split reads the key of -import and splits it.
func (e *enrollment) split(ctx context.Context, c *call, config serverConfig) (halves, error) {
	text, err := readSmall(ctx, c, e.from, maxKeyFile, tooLong(e.from, "a private key"))
	if err != nil {
		return halves{}, err
	}
	defer clear(text)
	k, err := parsePrivateKey(e.from, text)
	if err != nil {
		return halves{}, err
	}
	defer k.wipe()
	bad := func(next string, err error) (halves, error) {
		return halves{}, failf("bad_key", next, "%s: %w", display(e.from), err)
	}
	if config.Shape == composite {
		const next = "make a server for it with tandem init -shape two-prime"
		if bits := k.n.BitLen(); bits != config.ClientBits || k.e != 65537 {
			return bad(next, fmt.Errorf("the server's composite keys take one of %d bits with the public exponent 65537, and this one has %d bits and %d",
				config.ClientBits, bits, k.e))
		}
		// The server refuses it as well: server.KeySource.
		least := splitkey.LeastServerModulus(config.ClientBits)
		if new(big.Int).Mul(k.n, least).BitLen() < 2*config.ClientBits {
			return bad(next, errors.New("its modulus is too small to make a composite one of full length with any server key"))
		}
	}
	if k.use.pss {
		fmt.Fprintf(c.errOut, "%s is for RSASSA-PSS only: sign with -pss.\n", display(e.from))
	}
	c.step("device: splitting the key in %s", display(e.from))
	defer c.done()
	private, err := k.private()
	if err != nil {
		return bad("export it anew, with its primes", err)
	}
	// Not interruptible: the key is wiped when this returns.
	var h halves
	h.client, h.server, err = splitkey.Split(private, e.kind)
	switch {
	case errors.Is(err, splitkey.ErrOrdinaryPrimes):
		return bad("-sharing additive splits any key; what it gives away is in docs/scheme.md, 10.3",
			errors.New("it can only be shared additively: a multiplicative split needs primes that were made for it"))
	case err != nil:
		return bad("only a sound RSA key of 2048 to 8192 bits with two primes can be split", fmt.Errorf("it cannot be split: %w", err))
	}
	return h, nil
}
