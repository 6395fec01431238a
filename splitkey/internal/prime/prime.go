// Package prime finds the primes of client keys.
//
// A prime p is l-safe when p = 3 mod 4 and (p-1)/2 has no prime factor up to [Bound].
// With two such primes, an odd number drawn at random is invertible mod lcm(p-1, q-1)
// with probability about 1 - 2^-18.6 on average (what fails is the sum of 1/r over the
// prime factors r > 2^16 of lambda), so a multiplicative share rules out no PIN: see
// section 2 of docs/scheme.md.
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

	"github.com/tandem-rsa/tandem/internal/modexp"
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
// are set, in big-endian order. bits must be a multiple of 64. The caller wipes it; what
// was computed on the way is wiped.
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
		modexp.SetBytes(limbs, p)
		if s.rejectsVarTime(limbs, true) || !millerRabinVarTime(p, roundsRandom) {
			continue
		}
		return p
	}
}

// IsPrimeVarTime reports whether p, an odd number of 17 bits or more without leading zero
// bytes, is prime, for a p that may have been chosen by an adversary. A composite passes
// with probability 2^-128 at most. For p = 3 mod 4 the time does not depend on which
// prime it is.
func IsPrimeVarTime(p []byte) bool {
	return len(p) > 2 && p[0] != 0 && p[len(p)-1]&1 == 1 && millerRabinVarTime(p, roundsForeign)
}

// IsLSafeVarTime reports whether the prime p is l-safe. For an l-safe one the time does
// not depend on which it is.
func IsLSafeVarTime(p []byte) bool {
	return len(p) > 0 && p[len(p)-1]&3 == 3 && !rejectsBytesVarTime(p, true)
}

// HasSmallFactorVarTime reports whether n is even or has a prime factor up to Bound.
func HasSmallFactorVarTime(n []byte) bool {
	return len(n) == 0 || n[len(n)-1]&1 == 0 || rejectsBytesVarTime(n, false)
}

func rejectsBytesVarTime(p []byte, alsoPredecessor bool) bool {
	limbs := limbsOf(p)
	defer clear(limbs)
	return sieveFor(len(limbs)).rejectsVarTime(limbs, alsoPredecessor)
}

// TooClose reports whether |p-q| < 2^(bits/2-100) for the factors p and q of a modulus of
// that many bits: FIPS 186-5, appendix A.1.3, step 5.5. For random primes the probability
// is about 2^-97. The factors need not be of equal length: one may be below a power of
// two that the other is above.
func TooClose(p, q []byte, bits int) bool {
	words := (max(len(p), len(q)) + 7) / 8
	s := new(modexp.Integers)
	defer s.Wipe()
	distance := s.Distance(s.FromBytes(p, words), s.FromBytes(q, words))
	limit := bits/2 - 100
	var above uint64
	for i, w := range distance {
		if from := limit - 64*i; from <= 0 {
			above |= w
		} else if from < 64 {
			above |= w >> from
		}
	}
	return above == 0
}

// millerRabinVarTime is the test of FIPS 186-5, appendix B.3.1, with random bases.
// Its time depends on the number of factors two in p-1, and on whether p passes.
func millerRabinVarTime(p []byte, rounds int) bool {
	m := modexp.NewWipeableModulus(p)
	defer m.Wipe()
	// p - 1 = 2^twos * d with d odd.
	d := m.Bytes()
	defer clear(d)
	d[len(d)-1] &^= 1
	twos := 0
	for d[len(d)-1]&1 == 0 {
		shiftRight(d)
		twos++
	}
	for range rounds {
		if !passesVarTime(m.Reduce(randomBase(m.BitLen())), d, twos) {
			return false
		}
	}
	return true
}

// passesVarTime is one round: whether base^d is 1, or one of its first squares is -1.
func passesVarTime(base *modexp.Elem, d []byte, twos int) bool {
	z := base.Exp(d)
	defer z.Wipe()
	probable := z.IsOne() | z.IsMinusOne()
	for range twos - 1 {
		probable |= z.Mul(z).IsMinusOne()
	}
	return probable == 1
}

// randomBase draws a number in [2, 2^(bits-1)), all of which are less than p-1.
func randomBase(bits int) []byte {
	b := make([]byte, (bits+7)/8)
	for {
		rand.Read(b)
		b[0] &= byte(1<<((bits-1)%8) - 1)
		for _, x := range b[:len(b)-1] {
			if x != 0 {
				return b
			}
		}
		if b[len(b)-1] > 1 {
			return b
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
	modexp.SetBytes(limbs, p)
	return limbs
}
