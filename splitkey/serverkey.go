package splitkey

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/internal/modexp"
)

// RSAKey is a whole RSA key that can be used, but perhaps not read: the server key of a
// composite. [SoftwareKey] and package hsm implement it.
type RSAKey interface {
	// Public returns the key's *[rsa.PublicKey].
	Public() crypto.PublicKey
	// Exponentiate returns x^d mod n: textbook RSA. x is a number below n in exactly as
	// many bytes as n has, and so is the result. An implementation that cannot answer
	// in time returns the context's error. A [Completer] verifies each result.
	Exponentiate(ctx context.Context, x []byte) ([]byte, error)
}

// serverKey is an RSAKey as a Completer uses it.
type serverKey struct {
	pub *publicKey
	// exponentiate returns x^d mod n, unverified.
	exponentiate func(ctx context.Context, x *modexp.Elem) ([]byte, error)
}

// newServerKey takes a SoftwareKey as it is, and checks the public key of any other.
func newServerKey(key RSAKey) (*serverKey, error) {
	if isnil.Value(key) {
		return nil, fmt.Errorf("%w: the server key is a nil", ErrKey)
	}
	if k, ok := key.(*SoftwareKey); ok {
		if k.pub == nil {
			return nil, fmt.Errorf("%w: zero value", ErrKey)
		}
		return &serverKey{k.pub, k.exponentiate}, nil
	}
	pub, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: the server key is not an RSA key but a %T", ErrKey, key.Public())
	}
	p, err := newPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return &serverKey{p, func(ctx context.Context, x *modexp.Elem) ([]byte, error) {
		return key.Exponentiate(ctx, x.Bytes())
	}}, nil
}

// inverse returns n1^-1 mod n2, precomputed or not. It exists only if gcd(n1, n2) = 1.
// All of it is public.
func (k *serverKey) inverse(n1, precomputed []byte) (*modexp.Elem, error) {
	x := k.pub.mod.Reduce(n1)
	if len(precomputed) == 0 {
		inverse, ok := x.InverseVarTime()
		if !ok {
			return nil, fmt.Errorf("%w: the two moduli have a common factor", ErrKey)
		}
		return inverse, nil
	}
	inverse, err := k.pub.mod.Elem(precomputed)
	if err != nil || x.Mul(inverse).IsOne() == 0 {
		return nil, fmt.Errorf("%w: wrong precomputed value", ErrKey)
	}
	return inverse, nil
}
