package splitkey

import (
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/internal/taint"
	"github.com/tandem-rsa/tandem/splitkey/internal/prime"
)

// Sizes of moduli in bits.
const (
	minBits       = 2048
	maxBits       = 8192
	maxFinalBits  = 2 * maxBits // a composite of two
	maxClientBits = 4096        // for CheckModulus: the largest that GenerateKey makes
)

// publicKey is a validated RSA public key, ready for arithmetic.
type publicKey struct {
	mod *modexp.Modulus
	n   []byte // big-endian, no leading zeros
	e   uint
}

func newPublicKey(pub *rsa.PublicKey) (*publicKey, error) {
	if err := checkSize(pub, maxBits); err != nil {
		return nil, err
	}
	n := pub.N.Bytes()
	return &publicKey{mod: modexp.NewModulus(n), n: n, e: uint(pub.E)}, nil
}

// newClientKey is newPublicKey for a client key, whose modulus must fill its bytes: a
// share of k1 bytes is then never shorter than the modulus it hides in.
func newClientKey(pub *rsa.PublicKey) (*publicKey, error) {
	p, err := newPublicKey(pub)
	if err != nil {
		return nil, err
	}
	if p.mod.BitLen()%8 != 0 {
		return nil, fmt.Errorf("%w: a split modulus of %d bits, want a multiple of 8", ErrKey, p.mod.BitLen())
	}
	return p, nil
}

func checkSize(pub *rsa.PublicKey, max int) error {
	if pub == nil || pub.N == nil || pub.N.Sign() <= 0 {
		return fmt.Errorf("%w: no modulus", ErrKey)
	}
	if bits := pub.N.BitLen(); bits < minBits || bits > max {
		return fmt.Errorf("%w: a modulus of %d bits, want %d to %d", ErrKey, bits, minBits, max)
	}
	if pub.N.Bit(0) == 0 {
		return fmt.Errorf("%w: even modulus", ErrKey)
	}
	// crypto/rsa has the same bounds, so that what is accepted here verifies there.
	if pub.E < 3 || pub.E&1 == 0 || int64(pub.E) > 1<<31-1 {
		return fmt.Errorf("%w: public exponent %d, want an odd number from 3 to 2^31-1", ErrKey, pub.E)
	}
	return fipsExponent(pub.E)
}

// bits is the length of the modulus, 0 for nil.
func (p *publicKey) bits() int {
	if p == nil {
		return 0
	}
	return p.mod.BitLen()
}

// rsa returns a copy, nil for nil.
func (p *publicKey) rsa() *rsa.PublicKey {
	if p == nil {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(p.n), E: int(p.e)}
}

// message returns m1 = EM mod n1 of a message for a final key of this client key.
func (p *publicKey) message(m *Message) (*modexp.Elem, error) {
	if m == nil || m.em == nil {
		return nil, fmt.Errorf("%w: zero value", ErrMessage)
	}
	if !m.key.belongsTo(p) {
		return nil, fmt.Errorf("%w: it was encoded for another key", ErrMessage)
	}
	return p.mod.Reduce(m.em), nil
}

// partial returns y of k1 bytes with 1 < y < n1-1. Every odd exponent leaves 0, 1 and
// n1-1 as they are, so these would pass for any share.
func (p *publicKey) partial(b []byte) (*modexp.Elem, error) {
	y, err := p.mod.Elem(b)
	if err != nil {
		return nil, ErrMalformedPartial
	}
	fixed := y.IsZero() | y.IsOne() | y.IsMinusOne()
	if taint.Declassify(fixed, taint.PartialInRange) != 0 {
		return nil, ErrMalformedPartial
	}
	return y, nil
}

// CheckModulus checks a modulus that a client sends to a server. It must be an odd number
// of 2048 to 4096 bits, in whole bytes, without prime factors up to 65537; it must not
// have the form of the ROCA generator (CVE-2017-15361), nor fall to a hundred steps of
// Fermat's method (CVE-2022-26320). Else the error is [ErrKey]. CheckModulus cannot tell
// whether n has exactly two prime factors; a client that chooses a bad modulus harms only
// itself.
//
// A longer one is refused for its cost: twice the length is eight times the work in each
// of the server's checks.
func CheckModulus(pub *rsa.PublicKey) error {
	p, err := newClientKey(pub)
	if err != nil {
		return err
	}
	if p.mod.BitLen() > maxClientBits {
		return fmt.Errorf("%w: a modulus of %d bits, want at most %d", ErrKey, p.mod.BitLen(), maxClientBits)
	}
	if prime.HasSmallFactorVarTime(p.n) {
		return fmt.Errorf("%w: the modulus has a small factor", ErrKey)
	}
	return checkStrength(pub.N)
}
