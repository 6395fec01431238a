package splitkey

import (
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/internal/taint"
	"github.com/tandem-rsa/tandem/splitkey/internal/legacy"
	"github.com/tandem-rsa/tandem/splitkey/internal/prime"
)

// Sizes of moduli in bits. The lower bound is [legacy.MinBits].
const (
	maxBits      = 8192
	maxFinalBits = 2 * maxBits // a composite of two
)

// publicKey is a validated RSA public key, ready for arithmetic.
type publicKey struct {
	mod *modexp.Modulus
	n   []byte // big-endian, no leading zeros
	e   uint
}

func checkSize(pub *rsa.PublicKey, max int) error {
	if pub == nil || pub.N == nil || pub.N.Sign() <= 0 {
		return fmt.Errorf("%w: no modulus", ErrKey)
	}
	if bits := pub.N.BitLen(); bits < legacy.MinBits() || bits > max {
		return fmt.Errorf("%w: a modulus of %d bits, want %d to %d", ErrKey, bits, legacy.MinBits(), max)
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

func newPublicKey(pub *rsa.PublicKey) (*publicKey, error) {
	if err := checkSize(pub, maxBits); err != nil {
		return nil, err
	}
	n := pub.N.Bytes()
	mod, err := modexp.NewModulus(n)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	return &publicKey{mod: mod, n: n, e: uint(pub.E)}, nil
}

// newDeviceKey is newPublicKey for the modulus of a split key, which must fill its bytes:
// a share of k1 bytes is then never shorter than the modulus it hides in.
func newDeviceKey(pub *rsa.PublicKey) (*publicKey, error) {
	p, err := newPublicKey(pub)
	if err != nil {
		return nil, err
	}
	if p.mod.BitLen()%8 != 0 {
		return nil, fmt.Errorf("%w: a split modulus of %d bits, want a multiple of 8", ErrKey, p.mod.BitLen())
	}
	return p, nil
}

func (p *publicKey) rsa() *rsa.PublicKey {
	if p == nil {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(p.n), E: int(p.e)}
}

// maxClientBits is the largest modulus that CheckModulus accepts from a client: the largest
// that [GenerateKey] makes. Twice as long is eight times the work in each of the server's checks.
const maxClientBits = 4096

// CheckModulus is what a server asks of a modulus that a client sends: an odd number of
// 2048 to 4096 bits, in whole bytes, without prime factors up to 65537, that neither has the
// form of the ROCA generator (CVE-2017-15361) nor falls to a hundred steps of Fermat's
// method (CVE-2022-26320). It returns [ErrKey] otherwise. That n has exactly two prime factors it
// cannot tell; a client that chooses a bad modulus harms only itself.
func CheckModulus(pub *rsa.PublicKey) error {
	p, err := newDeviceKey(pub)
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

// ExponentiationVerifier checks what a device made with a private key, for implementations
// of [RSAKey] that use one. Keep it: it holds what can be computed from the public key once,
// which costs more than a check. It is safe for concurrent use.
type ExponentiationVerifier struct{ pub *publicKey }

// NewExponentiationVerifier returns the verifier of one key, of the sizes that [NewSoftwareKey] takes. It
// returns [ErrKey].
func NewExponentiationVerifier(pub *rsa.PublicKey) (*ExponentiationVerifier, error) {
	p, err := newPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return &ExponentiationVerifier{p}, nil
}

// PublicKey returns a copy of the key. For the zero value it is nil.
func (v *ExponentiationVerifier) PublicKey() *rsa.PublicKey {
	if v == nil {
		return nil
	}
	return v.pub.rsa()
}

// Verify returns nil if y^e = x mod n: if y is what the private key makes of x. Both are
// exactly as long as n. It returns [ErrServerKey] otherwise. Its time depends on the public key only.
func (v *ExponentiationVerifier) Verify(x, y []byte) error {
	if v == nil || v.pub == nil {
		return fmt.Errorf("%w: zero value", ErrServerKey)
	}
	return v.pub.verifyExponentiation(x, y)
}

func (p *publicKey) verifyExponentiation(x, y []byte) error {
	z, err := p.mod.ExpShortVarTime(y, p.e)
	if err != nil || taint.Declassify(subtle.ConstantTimeCompare(x, z), taint.ServerKeyRight) == 0 {
		return ErrServerKey
	}
	return nil
}
