// Package prime finds the primes of device keys.
//
// A prime p is l-safe when p = 3 mod 4 and (p-1)/2 has no prime factor up to
// [Bound]. With two such primes, an odd number drawn at random is invertible mod
// lcm(p-1, q-1) with probability about 1 - 2^-18.6 on average (what fails is the sum of 1/r over the prime
// factors r > 2^16 of lambda), so that a multiplicative share
// rules out no PIN: see section 2 of docs/scheme.md.
//
// # Timing
//
// The search varies in time with the candidates that it rejects, and every
// candidate is drawn afresh: unlike in an incremental search, what is rejected
// says nothing of what is accepted (compare T. Finke, M. Gebhardt, W. Schindler,
// "A New Side-Channel Attack on RSA Prime Generation", CHES 2009). The number
// accepted goes through every check in a time that does not depend on it.
package prime

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"

	"github.com/tandem-rsa/tandem/splitkey/internal/modexp"
)

// Rounds of the Miller-Rabin test.
const (
	// roundsRandom is for candidates drawn here. FIPS 186-5, table B.1, asks for 5
	// rounds at 1024 bits and 4 above, for an error below 2^-112. Its bound is an
	// average over all odd numbers, and the sieve leaves about one in 150 of ours,
	// which may raise it by 7 bits: three more rounds lower it by more than that.
	roundsRandom = 8
	// roundsForeign is for primes of existing keys, which an adversary may have
	// chosen: each round lets a composite pass with probability 1/4 at most.
	roundsForeign = 64
)

// New returns a random l-safe prime of exactly bits bits, of which the upper three
// are set, in big-endian order. bits must be a multiple of 64.
func New(bits int) []byte {
	if bits < 128 || bits%64 != 0 {
		panic("prime: internal error: size is not a multiple of 64 bits")
	}
	size := bits / 8
	s := sieveFor(size / 8)
	limbs := make([]uint64, size/8)
	defer clear(limbs)
	p := make([]byte, size)
	for {
		rand.Read(p)
		p[0] |= 0b1110_0000
		p[size-1] |= 3
		setLimbs(limbs, p)
		if s.rejectsVarTime(limbs, true) || !millerRabinVarTime(p, roundsRandom) {
			continue
		}
		return p
	}
}

// IsPrimeVarTime reports whether the odd number p is prime, for a p that may have
// been chosen by an adversary. A composite passes with probability 2^-128 at most.
// For p = 3 mod 4 the time does not depend on which prime it is.
func IsPrimeVarTime(p []byte) bool {
	return len(p) > 0 && p[len(p)-1]&1 == 1 && millerRabinVarTime(p, roundsForeign)
}

// IsLSafeVarTime reports whether p, which is prime, is l-safe. For those that are,
// the time does not depend on which.
func IsLSafeVarTime(p []byte) bool {
	return len(p) > 0 && p[len(p)-1]&3 == 3 && !sieveFor((len(p)+7)/8).rejectsVarTime(limbsOf(p), true)
}

// HasSmallFactorVarTime reports whether n is even or has a prime factor up to Bound.
func HasSmallFactorVarTime(n []byte) bool {
	return len(n) == 0 || n[len(n)-1]&1 == 0 || sieveFor((len(n)+7)/8).rejectsVarTime(limbsOf(n), false)
}

// TooClose reports whether |p-q| < 2^(bits-100) for p and q of bits bits each:
// FIPS 186-5, appendix A.1.3, step 5.5. For random primes the probability is about 2^-97.
// Primes of different lengths in bytes are not close.
func TooClose(p, q []byte) bool {
	if len(p) != len(q) {
		return false
	}
	pq, qp := difference(p, q), difference(q, p)
	defer clear(pq)
	defer clear(qp)
	// One of the two differences is |p-q| and the other 2^bits - |p-q|. The upper
	// 100 bits of the smaller are all zero exactly if they are zero in one of them.
	return subtle.ConstantTimeCompare(top100(pq), make([]byte, 13)) == 1 ||
		subtle.ConstantTimeCompare(top100(qp), make([]byte, 13)) == 1
}

// difference returns a-b mod 2^(8*len(a)).
func difference(a, b []byte) []byte {
	out := make([]byte, len(a))
	borrow := 0
	for i := len(a) - 1; i >= 0; i-- {
		d := int(a[i]) - int(b[i]) - borrow
		out[i] = byte(d)
		borrow = d >> 8 & 1
	}
	return out
}

func top100(d []byte) []byte {
	t := append([]byte(nil), d[:13]...)
	t[12] &= 0xf0
	return t
}

// millerRabinVarTime is the test of FIPS 186-5, appendix B.3.1, with random bases.
// Its time depends on the number of factors two in p-1, and on whether p passes.
func millerRabinVarTime(p []byte, rounds int) bool {
	m, err := modexp.NewModulus(p)
	if err != nil {
		return false
	}
	defer m.Wipe()
	p = p[len(p)-m.Size():]
	// p - 1 = 2^a * d with d odd.
	d := append([]byte(nil), p...)
	defer clear(d)
	d[len(d)-1] &^= 1
	a := 0
	for d[len(d)-1]&1 == 0 {
		shiftRight(d)
		a++
	}
	one := make([]byte, len(p))
	one[len(p)-1] = 1
	minusOne := append([]byte(nil), p...)
	defer clear(minusOne)
	minusOne[len(p)-1] &^= 1

	base := make([]byte, len(p))
	for range rounds {
		randomBase(base, m.BitLen())
		z, err := m.Exp(base, d)
		if err != nil {
			return false
		}
		probable := subtle.ConstantTimeCompare(z, one) | subtle.ConstantTimeCompare(z, minusOne)
		for range a - 1 {
			z, _ = m.Mul(z, z)
			probable |= subtle.ConstantTimeCompare(z, minusOne)
		}
		clear(z) // p-1 in half of the rounds
		if probable == 0 {
			return false
		}
	}
	return true
}

// randomBase draws a number in [2, 2^(bits-1)), all of which are less than p-1.
func randomBase(b []byte, bits int) {
	for {
		rand.Read(b)
		b[0] &= byte(1<<((bits-1)%8) - 1)
		for _, x := range b[:len(b)-1] {
			if x != 0 {
				return
			}
		}
		if b[len(b)-1] > 1 {
			return
		}
	}
}

// shiftRight halves x.
func shiftRight(x []byte) {
	carry := byte(0)
	for i := range x {
		carry, x[i] = x[i]<<7, x[i]>>1|carry
	}
}

func limbsOf(p []byte) []uint64 {
	limbs := make([]uint64, (len(p)+7)/8)
	padded := make([]byte, 8*len(limbs))
	copy(padded[len(padded)-len(p):], p)
	setLimbs(limbs, padded)
	clear(padded)
	return limbs
}

// setLimbs sets limbs, least significant first, from big-endian bytes.
func setLimbs(limbs []uint64, b []byte) {
	for i := range limbs {
		limbs[i] = binary.BigEndian.Uint64(b[len(b)-8*(i+1):])
	}
}
