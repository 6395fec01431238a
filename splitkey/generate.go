package splitkey

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/splitkey/internal/deal"
	"github.com/tandem-rsa/tandem/splitkey/internal/modexp"
	"github.com/tandem-rsa/tandem/splitkey/internal/prime"
)

// publicExponent of generated keys.
const publicExponent = 65537

// GenerateKey makes an RSA key of 2048, 3072 or 4096 bits with e = 65537 and deals its
// two shares. Afterwards nobody knows the key. It returns [ErrKey] for any other size
// and [ErrShare] for an unknown sharing.
//
// The primes are l-safe (see [Multiplicative]) and otherwise as FIPS 186-5, appendix
// A.1.3, asks, except that they have their upper three bits set, not two.
func GenerateKey(bits int, s Sharing) (*ClientShare, *ServerShare, error) {
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return nil, nil, fmt.Errorf("%w: cannot generate %d bits, want 2048, 3072 or 4096", ErrKey, bits)
	}
	if !s.valid() {
		return nil, nil, fmt.Errorf("%w: unknown sharing", ErrShare)
	}
	var c *ClientShare
	var srv *ServerShare
	var err error
	for range generateTries {
		p, q := prime.New(bits/2), prime.New(bits/2)
		c, srv, err = dealPrimes(p, q, publicExponent, s)
		clear(p)
		clear(q)
		if err == nil {
			return c, srv, nil
		}
	}
	return nil, nil, err
}

// generateTries bounds the loop of GenerateKey. One try fails with probability below 2^-30 (a large
// common divisor of p-1 and q-1, |p-q| too small, d too small), so four in a row
// mean that the arithmetic or the machine is broken, and an error is due.
const generateTries = 4

// Split deals two shares of a key that exists. The key must have two primes, neither
// shorter than a quarter of the modulus, and a modulus of 2048 to 8192 bits, in whole
// bytes; any public exponent that crypto/rsa accepts will do. The caller then destroys the key and every copy of it:
// whoever keeps one can sign alone.
//
// Split returns [ErrKey] for a key that is not acceptable or not consistent,
// [ErrOrdinaryPrimes] for [Multiplicative] sharing of a key whose primes are not
// l-safe, and [ErrShare] for an unknown sharing.
func Split(key *rsa.PrivateKey, s Sharing) (*ClientShare, *ServerShare, error) {
	if !s.valid() {
		return nil, nil, fmt.Errorf("%w: unknown sharing", ErrShare)
	}
	if key != nil {
		if _, err := newDeviceKey(&key.PublicKey); err != nil {
			return nil, nil, err
		}
	}
	p, q, err := primesOf(key)
	if err != nil {
		return nil, nil, err
	}
	defer clear(p)
	defer clear(q)
	if !prime.IsPrimeVarTime(p) || !prime.IsPrimeVarTime(q) {
		return nil, nil, fmt.Errorf("%w: a factor is not prime", ErrKey)
	}
	if s == Multiplicative && !(prime.IsLSafeVarTime(p) && prime.IsLSafeVarTime(q)) {
		return nil, nil, ErrOrdinaryPrimes
	}
	return dealPrimes(p, q, uint(key.E), s)
}

// primesOf returns the primes of a key that has been checked for consistency.
func primesOf(key *rsa.PrivateKey) (p, q []byte, err error) {
	if key == nil || key.D == nil {
		return nil, nil, fmt.Errorf("%w: no private key", ErrKey)
	}
	pub, err := newPublicKey(&key.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	if key.D.Sign() <= 0 { // crypto/rsa ignores the sign
		return nil, nil, fmt.Errorf("%w: the private exponent is not positive", ErrKey)
	}
	if len(key.Primes) != 2 || key.Primes[0] == nil || key.Primes[1] == nil || key.Primes[0].Sign() <= 0 || key.Primes[1].Sign() <= 0 {
		return nil, nil, fmt.Errorf("%w: %d prime factors, want 2", ErrKey, len(key.Primes))
	}
	if key.Primes[0].Bit(0) == 0 || key.Primes[1].Bit(0) == 0 {
		return nil, nil, fmt.Errorf("%w: even factor", ErrKey)
	}
	// Factors of unequal length are unusual, but RSA keys: a quarter is where the
	// smaller one would begin to be within reach of the elliptic curve method.
	if least := pub.mod.BitLen() / 4; key.Primes[0].BitLen() < least || key.Primes[1].BitLen() < least {
		return nil, nil, fmt.Errorf("%w: factors of %d and %d bits, want at least a quarter of the modulus' %d",
			ErrKey, key.Primes[0].BitLen(), key.Primes[1].BitLen(), pub.mod.BitLen())
	}
	// Validate knows that n = p*q, that d belongs to e and that p and q are not too close.
	if err := key.Validate(); err != nil {
		return nil, nil, fmt.Errorf("%w: inconsistent", ErrKey)
	}
	return key.Primes[0].Bytes(), key.Primes[1].Bytes(), nil
}

// dealPrimes is the dealer: it draws the client's secret, computes the server's and
// forgets the rest.
func dealPrimes(p, q []byte, e uint, s Sharing) (*ClientShare, *ServerShare, error) {
	if prime.TooClose(p, q) {
		return nil, nil, fmt.Errorf("%w: factors are too close", ErrKey)
	}
	n := modexp.Product(p, q)
	n = n[len(n)-(new(big.Int).SetBytes(n).BitLen()+7)/8:]
	dealer, err := deal.NewVarTime(p, q, len(n), e)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	defer dealer.Wipe()
	if err := dealer.CheckExponentVarTime(); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(e)}

	x := make([]byte, len(n)+blindingBytes)
	defer clear(x)
	var d []byte
	for d == nil {
		rand.Read(x)
		switch s {
		case Multiplicative:
			// Fails for one x in 2^9 at worst, where many factors of lambda are barely
			// above 2^16, and on average for 3 in a million: draw another.
			d, _ = dealer.MultiplicativeVarTime(x)
		case Additive:
			if d, err = dealer.AdditiveVarTime(x); err != nil {
				return nil, nil, fmt.Errorf("%w: %v", ErrKey, err)
			}
		}
	}
	defer clear(d)
	c, err := NewClientShare(pub, s, x)
	if err != nil {
		return nil, nil, err
	}
	srv, err := NewServerShare(pub, s, d)
	if err != nil {
		return nil, nil, err
	}
	if err := proveShares(c, srv); err != nil {
		c.Wipe()
		srv.Wipe()
		return nil, nil, err
	}
	return c, srv, nil
}

// proveShares signs and verifies once with a fresh pair of shares: the pairwise
// consistency test of FIPS 140-3, section 7.10.3.3.
func proveShares(c *ClientShare, s *ServerShare) error {
	digest := sha256.Sum256([]byte("tandem pairwise consistency test"))
	completer, err := NewCompleter(s, nil)
	if err != nil {
		return err
	}
	m, err := Encode(completer.FinalKey(), digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	y, err := c.SignPartial(m)
	if err != nil {
		return err
	}
	if _, err := completer.Check(m, y); err != nil {
		return fmt.Errorf("%w: shares do not belong together", ErrKey)
	}
	return nil
}
