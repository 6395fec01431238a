package splitkey

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"math/big"
	"sync"

	"github.com/tandem-rsa/tandem/internal/modexp"
)

// FinalKey is a public key that was checked to be the final key of one client key (n1,
// e): that key itself, or its composite with a server key. Only [CheckFinalKey], on the
// client's side, and [NewCompleter], on the server's, make one. Messages are encoded for
// a FinalKey, and a share signs only messages for a final key of its own client key. It
// is public and immutable.
type FinalKey struct {
	pub    *rsa.PublicKey
	n1     []byte                 // modulus of the client key
	verify func() *modexp.Modulus // of pub, made when it is first needed and then kept
}

// CheckFinalKey checks a final key that a server sends to a client. It must be the client
// key itself, or the product of the client modulus and another odd one of 2048 to 8192
// bits, coprime to it; and the exponents must agree. Coprimality rejects n1^2, for which
// the server could sign without a key of its own: a signature modulo n1 lifts to one
// modulo n1^2 (Hensel). The error is [ErrKey].
//
// A check takes a small part of the time of a partial signature.
func CheckFinalKey(final, client *rsa.PublicKey) (*FinalKey, error) {
	p, err := newClientKey(client)
	if err != nil {
		return nil, err
	}
	if err := checkSize(final, maxFinalBits); err != nil {
		return nil, err
	}
	if final.E != client.E {
		return nil, fmt.Errorf("%w: public exponents %d and %d differ", ErrKey, client.E, final.E)
	}
	n2, rest := new(big.Int).QuoRem(final.N, client.N, new(big.Int))
	if rest.Sign() != 0 {
		return nil, fmt.Errorf("%w: not a multiple of the client modulus", ErrKey)
	}
	if n2.IsInt64() && n2.Int64() == 1 {
		return newFinalKey(final, p)
	}
	if err := checkSize(&rsa.PublicKey{N: n2, E: final.E}, maxBits); err != nil {
		return nil, err
	}
	if new(big.Int).GCD(nil, nil, client.N, n2).BitLen() != 1 {
		return nil, fmt.Errorf("%w: the two moduli have a common factor", ErrKey)
	}
	return newFinalKey(final, p)
}

// LeastServerModulus returns the least modulus that a server key of so many bits should
// have: 0xa8 * 2^(bits-8). Its product with the modulus of any [GenerateKey] key of the
// same length then has full length, 2*bits, since 168/256 * (7/8)^2 > 1/2. Every key of
// [GenerateSoftwareKey] has a larger modulus. HSMs may make primes with only two upper
// bits set: about one in eight of their keys has a smaller modulus, and another key is
// drawn.
//
// A client modulus of another kind makes products of full length with all such server
// keys if it does so with LeastServerModulus.
func LeastServerModulus(bits int) *big.Int {
	return new(big.Int).Lsh(big.NewInt(0xa8), uint(max(bits, 8)-8))
}

// newFinalKey returns the final key; the caller must have made the checks of
// CheckFinalKey.
func newFinalKey(pub *rsa.PublicKey, client *publicKey) (*FinalKey, error) {
	if err := fipsModulus(pub.N.BitLen()); err != nil {
		return nil, err
	}
	pub = &rsa.PublicKey{N: new(big.Int).Set(pub.N), E: pub.E}
	return &FinalKey{pub, client.n, sync.OnceValue(func() *modexp.Modulus { return modexp.NewModulus(pub.N.Bytes()) })}, nil
}

func (k *FinalKey) valid() bool { return k != nil && k.pub != nil }

// bits is the length of the modulus, 0 for nil and the zero value.
func (k *FinalKey) bits() int {
	if !k.valid() {
		return 0
	}
	return k.pub.N.BitLen()
}

// PublicKey returns a copy of the key. For nil and the zero value it is nil.
func (k *FinalKey) PublicKey() *rsa.PublicKey {
	if !k.valid() {
		return nil
	}
	return &rsa.PublicKey{N: new(big.Int).Set(k.pub.N), E: k.pub.E}
}

// equal reports whether both are the same final key of the same client key.
func (k *FinalKey) equal(other *FinalKey) bool {
	if !k.valid() || !other.valid() {
		return false
	}
	return k == other || k.pub.Equal(other.pub) && bytes.Equal(k.n1, other.n1)
}

// belongsTo reports whether it is a final key of this client key.
func (k *FinalKey) belongsTo(client *publicKey) bool {
	return uint(k.pub.E) == client.e && bytes.Equal(k.n1, client.n)
}
