package splitkey

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/internal/taint"
)

// RSAKey is a whole RSA key that can be used, but perhaps not read: the server's own
// key of a composite. [SoftwareKey] and package hsm implement it.
type RSAKey interface {
	// Public returns the key's *[rsa.PublicKey].
	Public() crypto.PublicKey
	// Exponentiate returns x^d mod n: textbook RSA. x is a number below n in exactly as
	// many bytes as n has, and so is the result. An implementation that cannot answer
	// in time returns the context's error, and never a number that it has not checked.
	Exponentiate(ctx context.Context, x []byte) ([]byte, error)
}

// SoftwareKey is an [RSAKey] in memory, for servers without an HSM and for tests. It
// is safe for concurrent use.
type SoftwareKey struct {
	pub *publicKey
	crt secret.Value[*crt]
}

var _ RSAKey = (*SoftwareKey)(nil)

// crt is the key in the form of RFC 8017, section 3.2, representation 2.
type crt struct {
	p, q         *modexp.Modulus
	dp, dq, qInv []byte // in the lengths of p, q and p

	pBytes, qBytes []byte
}

// Format prints the kind and size of the key, for every verb.
func (k SoftwareKey) Format(f fmt.State, _ rune) {
	if k.pub == nil {
		fmt.Fprint(f, "splitkey.SoftwareKey(invalid)")
		return
	}
	fmt.Fprintf(f, "splitkey.SoftwareKey(%d bits, secret hidden)", k.pub.mod.BitLen())
}

// NewSoftwareKey returns a key for use as a server key. It must have two primes, as for
// [Split], and its modulus must not be weak in a way that shows. It is checked, and tried
// once. NewSoftwareKey returns [ErrKey]. What it makes of the caller's key is wiped,
// except for what it keeps.
func NewSoftwareKey(key *rsa.PrivateKey) (k *SoftwareKey, err error) {
	erase.Do(func() { k, err = newSoftwareKey(key) })
	return k, err
}

func newSoftwareKey(key *rsa.PrivateKey) (*SoftwareKey, error) {
	private, err := readPrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer private.wipe()
	if err := checkStrength(key.N); err != nil {
		return nil, err
	}
	// No test of primality: it would cost a hundred exponentiations each time that a key is
	// loaded, and protects nobody. What a key with a composite factor computes wrongly is
	// found like any other fault, by the trial below and by the check of each result.

	pub, err := newPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return softwareKeyOf(pub, private.p, private.q)
}

// softwareKeyOf returns the key of pub with these factors, tried once.
func softwareKeyOf(pub *publicKey, p, q []byte) (*SoftwareKey, error) {
	// What comes next, here and in every use of the key, is in constant time.
	taint.SecretPrime(p)
	taint.SecretPrime(q)
	c, err := newCRT(p, q, pub.e)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	k := &SoftwareKey{pub, secret.Hide(c)}
	x := make([]byte, pub.mod.Size())
	rand.Read(x[1:])
	if _, err := k.Exponentiate(context.Background(), x); err != nil {
		c.wipe()
		return nil, fmt.Errorf("%w: inconsistent: a trial with it gave a wrong result, so a factor is not prime", ErrKey)
	}
	return k, nil
}

// newCRT returns the key of two odd factors with the exponent e, in constant time.
func newCRT(pBytes, qBytes []byte, e uint) (*crt, error) {
	c := &crt{pBytes: bytes.Clone(pBytes), qBytes: bytes.Clone(qBytes)}
	var err error
	if c.p, err = modexp.NewModulus(pBytes); err != nil {
		return nil, err
	}
	if c.q, err = modexp.NewModulus(qBytes); err != nil {
		return nil, err
	}
	words := (max(len(pBytes), len(qBytes)) + 7) / 8
	s := new(modexp.Integers)
	defer s.Wipe()
	p, q, eWord := s.FromBytes(pBytes, words), s.FromBytes(qBytes, words), s.FromWord(uint64(e), 1)
	bytesOf := func(x []uint64, size int) []byte {
		b := make([]byte, size)
		modexp.FillBytes(b, x)
		return b
	}
	// All three exist, since p and q are prime and e is coprime to p-1 and q-1. If not, the
	// trial fails.
	qInv, _ := s.Inverse(q, p)
	p[0] &^= 1
	q[0] &^= 1
	dp, _ := s.Inverse(eWord, p)
	dq, _ := s.Inverse(eWord, q)
	c.dp, c.dq, c.qInv = bytesOf(dp, len(pBytes)), bytesOf(dq, len(qBytes)), bytesOf(qInv, len(pBytes))
	return c, nil
}

// Wipe clears the key. It cannot be used afterwards, and Wipe must not run at the same
// time as another method. Where the arithmetic is bigmod's (see the package's section on
// implementations), p and q stay in memory until it is used again.
func (k *SoftwareKey) Wipe() {
	if c := k.secret(); c != nil {
		c.wipe()
	}
}

// secret returns the numbers themselves, nil if there are none or they were wiped.
func (k *SoftwareKey) secret() *crt {
	if k == nil {
		return nil
	}
	if c := k.crt.Get(); c != nil && c.p != nil {
		return c
	}
	return nil
}

func (c *crt) wipe() {
	for _, b := range [][]byte{c.dp, c.dq, c.qInv, c.pBytes, c.qBytes} {
		clear(b)
	}
	for _, m := range []*modexp.Modulus{c.p, c.q} {
		if m != nil {
			m.Wipe()
		}
	}
	*c = crt{}
}

// Public returns a copy of the public key, an *[rsa.PublicKey], nil for the zero value.
func (k *SoftwareKey) Public() crypto.PublicKey {
	if k == nil {
		return (*rsa.PublicKey)(nil)
	}
	return k.pub.rsa()
}

// Exponentiate returns x^d mod n, computed with the Chinese remainder theorem
// (RFC 8017, section 5.1.2) and checked: a fault in one half would give away the
// primes. It returns [ErrServerKey] for a fault, and for an x of the wrong length or not less than n.
func (k *SoftwareKey) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	c := k.secret()
	if c == nil {
		return nil, fmt.Errorf("%w: zero value, or wiped", ErrServerKey)
	}
	if ctx == nil {
		return nil, fmt.Errorf("%w: no context", ErrServerKey)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(x) != k.pub.mod.Size() || lessConstantTime(x, k.pub.n) == 0 {
		return nil, fmt.Errorf("%w: operand out of range", ErrServerKey)
	}
	var y []byte
	var err error
	erase.Do(func() { y, err = c.exponentiate(len(x), x) })
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrServerKey, err)
	}
	if err := k.pub.verifyExponentiation(x, y); err != nil {
		clear(y)
		return nil, err
	}
	return y, nil
}

// exponentiate is Garner's formula: y = y_q + q * ((y_p - y_q) * q^-1 mod p), in size bytes.
func (c *crt) exponentiate(size int, x []byte) ([]byte, error) {
	yp, err := c.p.Exp(c.p.Reduce(x), c.dp)
	if err != nil {
		return nil, err
	}
	// Each of these gives the key away: gcd(y_q^e - x, n) = q.
	defer clear(yp)
	yq, err := c.q.Exp(c.q.Reduce(x), c.dq)
	if err != nil {
		return nil, err
	}
	defer clear(yq)
	yqp := c.p.Reduce(yq)
	defer clear(yqp)
	diff, err := c.p.Sub(yp, yqp)
	if err != nil {
		return nil, err
	}
	defer clear(diff)
	h, err := c.p.Mul(diff, c.qInv)
	if err != nil {
		return nil, err
	}
	defer clear(h)
	return modexp.MulAdd(c.qBytes, h, yq, size), nil
}

// widen pads a number with leading zeros to size bytes.
func widen(b []byte, size int) []byte {
	w := make([]byte, size)
	copy(w[size-len(b):], b)
	return w
}

// predecessor returns p-1 for an odd p.
func predecessor(p []byte) []byte {
	b := append([]byte(nil), p...)
	b[len(b)-1] &^= 1
	return b
}
