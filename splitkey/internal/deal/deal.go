// Package deal computes the server's share for a given client's secret: the one
// moment at which somebody knows the whole key. It is internal so that the public
// API has no way to choose the secret, while splitkeytest has.
//
// All that it computes is in memory of its own, which [Dealer.Wipe] clears: lambda, d,
// and every number on the way. No time here depends on a value, but it is public that a
// key or an x is refused.
package deal

import (
	"errors"

	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/internal/secret"
)

var (
	// ErrExponent is returned where e has no inverse modulo lambda, or one that is
	// too small (FIPS 186-5, appendix A.1.1, asks for d > 2^(bits/2)).
	ErrExponent = errors.New("deal: e is not a usable public exponent for these primes")
	// ErrDivisor is returned where gcd(p-1, q-1) is 2^32 or more. For random primes the
	// probability is about 2^-32; such a key is weak (the divisor also divides n-1).
	ErrDivisor = errors.New("deal: p-1 and q-1 have a large common divisor")
)

// maxDivisor bounds gcd(p-1, q-1).
const maxDivisor = 1 << 32

// Dealer knows a whole key. Wipe it when the shares are made.
type Dealer struct {
	secret secret.Value[*dealerSecret]
}

type dealerSecret struct {
	integers modexp.Integers
	// lambda = lcm(p-1, q-1) and d = e^-1 mod lambda in the words of the modulus, e in
	// one
	lambda, e, d []uint64
	size         int // of the modulus in bytes
}

// New returns the dealer for the odd primes p and q of a modulus of exactly size bytes.
// It returns [ErrDivisor] and [ErrExponent].
func New(p, q []byte, size int, e uint) (*Dealer, error) {
	k := &dealerSecret{size: size}
	dealer := &Dealer{secret.Hide(k)}
	if err := k.compute(p, q, uint64(e)); err != nil {
		dealer.Wipe()
		return nil, err
	}
	return dealer, nil
}

func (k *dealerSecret) compute(p, q []byte, e uint64) error {
	s := &k.integers
	half := (max(len(p), len(q)) + 7) / 8
	p1, q1 := s.FromBytes(p, half), s.FromBytes(q, half)
	p1[0] &^= 1
	q1[0] &^= 1
	gcd, ok := s.GCD(p1, q1)
	large := gcd[0] / maxDivisor
	for _, w := range gcd[1:] {
		large |= w
	}
	if ok == 0 || large != 0 {
		return ErrDivisor
	}
	q1, _ = s.Divide(q1, gcd[:1])
	product := s.Product(p1, q1)
	k.lambda = product[:(k.size+7)/8] // lambda < n

	k.e = s.FromWord(e, 1)
	d, ok := s.Inverse(k.e, k.lambda)
	if ok == 0 {
		return ErrExponent
	}
	k.d = d
	if modexp.IsOne(s.MulMod(k.d, k.e, k.lambda)) == 0 {
		panic("deal: internal error: e*d != 1 mod lambda")
	}
	// For random primes d is this small with probability 2^(-bits/2).
	var upper uint64
	for i, w := range k.d {
		if bit := 64*i - 4*k.size; bit >= 0 {
			upper |= w
		} else if bit > -64 {
			upper |= w >> -bit
		}
	}
	if upper == 0 {
		return ErrExponent
	}
	return nil
}

// Wipe clears the key.
func (d *Dealer) Wipe() { d.secret.Get().integers.Wipe() }

// Multiplicative returns d_s = (e * (2x+1))^-1 mod lambda, or false where 2x+1 has no
// inverse and the caller must draw another x.
func (d *Dealer) Multiplicative(x []byte) ([]byte, bool) {
	k := d.secret.Get()
	s := new(modexp.Integers)
	defer s.Wipe()
	dc := ClientExponent(x)
	defer clear(dc)
	reduced := s.Mod(s.FromBytes(dc, (len(dc)+7)/8), k.lambda)
	u := s.MulMod(reduced, k.e, k.lambda)
	ds, ok := s.Inverse(u, k.lambda)
	if ok == 0 {
		return nil, false
	}
	// The invariant of the scheme: e * d_c * d_s = 1 mod lambda.
	if modexp.IsOne(s.MulMod(u, ds, k.lambda)) == 0 {
		panic("deal: internal error: e*dc*ds != 1 mod lambda")
	}
	return k.bytes(ds), true
}

// Additive returns d_s = e^-1 - x mod lambda. For a random x it is zero, which is no
// share, with probability 1/lambda.
func (d *Dealer) Additive(x []byte) []byte {
	k := d.secret.Get()
	s := new(modexp.Integers)
	defer s.Wipe()
	reduced := s.Mod(s.FromBytes(x, (len(x)+7)/8), k.lambda)
	return k.bytes(s.SubMod(k.d, reduced, k.lambda))
}

func (k *dealerSecret) bytes(x []uint64) []byte {
	b := make([]byte, k.size)
	modexp.FillBytes(b, x)
	return b
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
