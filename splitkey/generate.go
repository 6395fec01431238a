package splitkey

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/splitkey/internal/deal"
	"github.com/tandem-rsa/tandem/splitkey/internal/prime"
)

// publicExponent of generated keys.
const publicExponent = 65537

// GenerateKey makes an RSA key of 2048, 3072 or 4096 bits with e = 65537, deals its two
// shares, and wipes the key: both primes, lambda, the private exponent and all that was
// computed from them. It returns [ErrKey] for any other size and [ErrShare] for an
// unknown sharing.
//
// The primes are l-safe (see [Multiplicative]) and otherwise as FIPS 186-5, appendix
// A.1.3, asks, except that they have their upper three bits set, not two.
func GenerateKey(bits int, s Sharing) (c *ClientShare, srv *ServerShare, err error) {
	if err := checkGenerated(bits); err != nil {
		return nil, nil, err
	}
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	for range generateTries {
		erase.Do(func() { c, srv, err = generate(bits, s) })
		if err == nil {
			return c, srv, nil
		}
	}
	return nil, nil, err
}

// checkGenerated returns ErrKey for a size of key that is not made.
func checkGenerated(bits int) error {
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return fmt.Errorf("%w: cannot generate %d bits, want 2048, 3072 or 4096", ErrKey, bits)
	}
	return nil
}

// generateTries bounds the loop of GenerateKey. One try fails with probability below
// 2^-30 (a large common divisor of p-1 and q-1, |p-q| too small, d too small, a modulus
// that looks weak), so four in a row mean that the arithmetic or the machine is broken,
// and an error is due.
const generateTries = 4

func generate(bits int, s Sharing) (*ClientShare, *ServerShare, error) {
	p := prime.New(bits / 2)
	defer clear(p)
	q := prime.New(bits / 2)
	defer clear(q)
	dealer, err := newDealer(p, q, productOf(p, q, publicExponent))
	if err != nil {
		return nil, nil, err
	}
	defer dealer.Wipe()
	return dealer.shares(s)
}

// GenerateSoftwareKey makes a server key of 2048, 3072 or 4096 bits with e = 65537. Its
// primes are as those of [GenerateKey], so that the modulus is 0xc4 * 2^(bits-8) at least
// (see [LeastServerModulus]). Nothing but the key stays in memory. It returns [ErrKey]
// for any other size.
func GenerateSoftwareKey(bits int) (k *SoftwareKey, err error) {
	if err := checkGenerated(bits); err != nil {
		return nil, err
	}
	for range generateTries {
		erase.Do(func() { k, err = generateSoftwareKey(bits) })
		if err == nil {
			return k, nil
		}
	}
	return nil, err
}

func generateSoftwareKey(bits int) (*SoftwareKey, error) {
	p := prime.New(bits / 2)
	defer clear(p)
	q := prime.New(bits / 2)
	defer clear(q)
	return newSoftwareKey(p, q, publicExponent)
}

// productOf returns the public key with these two factors.
func productOf(p, q []byte, e int) *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modexp.Product(p, q)), E: e}
}

// Split deals two shares of a key that exists. The key must have two primes, neither
// shorter than a quarter of the modulus, and a modulus of 2048 to 8192 bits, in whole
// bytes; any public exponent that crypto/rsa accepts will do. Only the primes, the
// private exponent and the public key are read. Split wipes what it makes of them. The
// caller then destroys the key and every copy of it: whoever keeps one can sign alone.
//
// Split returns [ErrKey] for a key that is weak or not consistent, [ErrOrdinaryPrimes]
// for [Multiplicative] sharing of a key whose primes are not l-safe, and [ErrShare] for
// an unknown sharing.
func Split(key *rsa.PrivateKey, s Sharing) (c *ClientShare, srv *ServerShare, err error) {
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	if key != nil {
		if _, err := newClientKey(&key.PublicKey); err != nil {
			return nil, nil, err
		}
	}
	erase.Do(func() { c, srv, err = splitKey(key, s) })
	return c, srv, err
}

func splitKey(key *rsa.PrivateKey, s Sharing) (*ClientShare, *ServerShare, error) {
	k, err := readPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	defer k.wipe()
	dealer, err := newDealer(k.p, k.q, &key.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	defer dealer.Wipe()
	if !prime.IsPrimeVarTime(k.p) || !prime.IsPrimeVarTime(k.q) {
		return nil, nil, fmt.Errorf("%w: a factor is not prime", ErrKey)
	}
	if s == Multiplicative && !(prime.IsLSafeVarTime(k.p) && prime.IsLSafeVarTime(k.q)) {
		return nil, nil, ErrOrdinaryPrimes
	}
	return dealer.shares(s)
}

// dealer draws the client's secret, has the server's computed, and forgets the rest.
type dealer struct {
	sharer
	pub *rsa.PublicKey
}

// sharer is what computes the server's secret, a deal.Dealer.
type sharer interface {
	Multiplicative(x []byte) ([]byte, bool)
	Additive(x []byte) []byte
	Wipe()
}

// newDealer returns the dealer of the primes of pub. It refuses a weak key: conditions 3
// and 4 of section 2.1 of the scheme, and those of 3.5.
func newDealer(p, q []byte, pub *rsa.PublicKey) (*dealer, error) {
	if err := checkStrength(pub.N); err != nil {
		return nil, err
	}
	if prime.TooClose(p, q, pub.N.BitLen()) {
		return nil, fmt.Errorf("%w: factors are too close", ErrKey)
	}
	d, err := deal.New(p, q, pub.Size(), uint(pub.E))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	return &dealer{d, pub}, nil
}

func (d *dealer) shares(s Sharing) (*ClientShare, *ServerShare, error) {
	x := make([]byte, d.pub.Size()+blindingBytes)
	defer clear(x)
	var ds []byte
	for ds == nil {
		rand.Read(x)
		switch s {
		case Multiplicative:
			// It fails for one x in 2^9 at worst, where many factors of lambda are barely
			// above 2^16, and on average for 3 in a million.
			ds, _ = d.Multiplicative(x)
		case Additive:
			ds = d.Additive(x)
		}
	}
	defer clear(ds)
	c, err := NewClientShare(d.pub, s, x)
	if err != nil {
		return nil, nil, err
	}
	srv, err := newServerShare(d.pub, s, ds)
	if err == nil {
		err = proveShares(c, srv)
	}
	if err != nil {
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
	completer, err := NewCompleter(s, nil, nil)
	if err != nil {
		return err
	}
	m, err := completer.FinalKey().Encode(digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	y, err := c.SignPartial(m)
	if err != nil {
		return err
	}
	defer clear(y) // a test of PINs, since anybody knows the digest
	checked, err := completer.Check(m, y)
	if err != nil {
		return fmt.Errorf("%w: shares do not belong together", ErrKey)
	}
	checked.Wipe()
	return nil
}
