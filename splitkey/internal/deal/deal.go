// Package deal computes the server's share for a given client's secret: the one
// moment at which somebody knows the whole key. It is internal so that the public
// API has no way to choose the secret, while splitkeytest has.
package deal

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"

	"github.com/tandem-rsa/tandem/splitkey/internal/modexp"
)

// ErrExponent is returned where e has no inverse modulo lambda, or one that is
// too small (FIPS 186-5, appendix A.1.1, asks for d > 2^(bits/2)).
var ErrExponent = errors.New("deal: e is not a usable public exponent for these primes")

// Dealer knows a whole key. Wipe it when the shares are made.
type Dealer struct {
	secret *dealerSecret
}

type dealerSecret struct {
	lambda []byte // lcm(p-1, q-1), in the length of the modulus
	e      []byte // in the same length
}

// NewVarTime returns the dealer for the primes p and q of a modulus of size bytes. Its
// time depends on them: see [modexp.LCMVarTime].
func NewVarTime(p, q []byte, size int, e uint) (*Dealer, error) {
	lambda, err := modexp.LCMVarTime(p, q)
	if err != nil {
		return nil, err
	}
	lambda = lambda[len(lambda)-size:] // lambda < n; two primes may take a byte more than their product
	eb := make([]byte, len(lambda))
	binary.BigEndian.PutUint64(eb[len(eb)-8:], uint64(e))
	return &Dealer{&dealerSecret{lambda, eb}}, nil
}

// Wipe clears the key.
func (d *Dealer) Wipe() {
	clear(d.secret.lambda)
	d.secret.lambda = nil
}

// MultiplicativeVarTime returns d_s = (e * (2x+1))^-1 mod lambda, or false where 2x+1 has no
// inverse and the caller must draw another x. The inversion is blinded: what its
// time may tell is lambda, not x.
func (d *Dealer) MultiplicativeVarTime(x []byte) ([]byte, bool) {
	lambda := d.secret.lambda
	dc := ClientExponent(x)
	defer clear(dc)
	reduced := modexp.ModEven(dc, lambda)
	defer clear(reduced)
	u := modexp.MulModEven(reduced, d.secret.e, lambda)
	defer clear(u)
	ds, ok := modexp.InverseVarTime(u, lambda)
	if !ok {
		return nil, false
	}
	// The invariant of the scheme: e * d_c * d_s = 1 mod lambda.
	product := modexp.MulModEven(u, ds, lambda)
	defer clear(product)
	if subtle.ConstantTimeCompare(product, oneOf(len(lambda))) == 0 {
		panic("deal: internal error: e*dc*ds != 1 mod lambda")
	}
	return ds, true
}

// AdditiveVarTime returns d_s = e^-1 - x mod lambda. The inversion is blinded, and x takes no part in it.
func (d *Dealer) AdditiveVarTime(x []byte) ([]byte, error) {
	lambda := d.secret.lambda
	priv, err := d.privateExponentVarTime()
	if err != nil {
		return nil, err
	}
	defer clear(priv)
	reduced := modexp.ModEven(x, lambda)
	defer clear(reduced)
	return modexp.SubModEven(priv, reduced, lambda), nil
}

// CheckExponentVarTime returns ErrExponent unless the key has a private exponent as FIPS 186-5 asks.
func (d *Dealer) CheckExponentVarTime() error {
	priv, err := d.privateExponentVarTime()
	clear(priv)
	return err
}

func (d *Dealer) privateExponentVarTime() ([]byte, error) {
	lambda := d.secret.lambda
	priv, ok := modexp.InverseVarTime(d.secret.e, lambda)
	if !ok {
		return nil, ErrExponent
	}
	product := modexp.MulModEven(priv, d.secret.e, lambda)
	defer clear(product)
	if subtle.ConstantTimeCompare(product, oneOf(len(lambda))) == 0 {
		panic("deal: internal error: e*d != 1 mod lambda")
	}
	// For random primes d is this small with probability 2^(-bits/2).
	upper := priv[:len(priv)/2]
	if subtle.ConstantTimeCompare(upper, make([]byte, len(upper))) == 1 {
		clear(priv)
		return nil, ErrExponent
	}
	return priv, nil
}

// ClientExponent returns d_c = 2x+1 in one byte more than x.
func ClientExponent(x []byte) []byte {
	dc := make([]byte, len(x)+1)
	carry := byte(1)
	for i := len(x) - 1; i >= 0; i-- {
		dc[i+1] = x[i]<<1 | carry
		carry = x[i] >> 7
	}
	dc[0] = carry
	return dc
}

func oneOf(size int) []byte {
	b := make([]byte, size)
	b[size-1] = 1
	return b
}
