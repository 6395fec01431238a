package prime

import (
	"math/bits"
	"sync"

	"github.com/tandem-rsa/tandem/internal/modexp"
)

// Bound is the largest prime by which (p-1)/2 of an l-safe prime p must not be
// divisible. It is a little more than the 2^16 that a hidden share needs, so that
// e = 65537 is invertible as well.
const Bound = 65537

// A sieve tells, for an odd number p of a given number of limbs, whether p or
// (p-1)/2 has an odd prime factor up to Bound.
//
// The primes are taken in groups whose product m fits in 63 bits. One pass over
// the limbs of p divides by m from the bottom up (Hensel's division: T. Jebelean,
// "An algorithm for exact division", 1993), which needs multiplications only: a
// hardware division takes a time that depends on its operands, and p may be
// secret. The pass leaves a word c with
//
//	p = m*Q - c*B^limbs,  0 <= c <= m,  B = 2^64,
//
// so that for each prime r of the group
//
//	r divides p     if and only if  r divides c,
//	r divides p-1   if and only if  r divides c + B^-limbs mod r.
//
// Whether a word is a multiple of an odd r is again one multiplication: the
// multiples are exactly the words x with x * r^-1 mod B <= (B-1)/r (T. Granlund,
// P. L. Montgomery, "Division by invariant integers using multiplication", 1994,
// section 9).
type sieve struct {
	limbs  int
	groups []group
}

type group struct {
	m, minv uint64 // product of the primes, and its inverse mod 2^64
	primes  []divisor
}

type divisor struct {
	inv   uint64 // r^-1 mod 2^64
	limit uint64 // (2^64-1)/r
	shift uint64 // B^-limbs mod r
}

// Odd returns the odd primes up to Bound.
var Odd = sync.OnceValue(func() []uint64 {
	composite := make([]bool, Bound+1)
	var ps []uint64
	for i := 3; i <= Bound; i += 2 {
		if composite[i] {
			continue
		}
		ps = append(ps, uint64(i))
		// It does not start at i*i, which overflows an int of 32 bits.
		for j := 3 * i; j <= Bound; j += 2 * i {
			composite[j] = true
		}
	}
	return ps
})

// sieves keeps one sieve for each number of limbs that has been asked for.
var sieves sync.Map

func sieveFor(limbs int) *sieve {
	if s, ok := sieves.Load(limbs); ok {
		return s.(*sieve)
	}
	s := &sieve{limbs: limbs}
	var g *group
	for _, r := range Odd() {
		if g != nil {
			if hi, lo := bits.Mul64(g.m, r); hi == 0 && lo < 1<<63 {
				g.m = lo
			} else {
				g = nil
			}
		}
		if g == nil {
			s.groups = append(s.groups, group{m: r})
			g = &s.groups[len(s.groups)-1]
		}
		g.primes = append(g.primes, divisor{
			inv:   modexp.Inverse64(r),
			limit: (1<<64 - 1) / r,
			shift: minusPower(r, limbs),
		})
	}
	for i := range s.groups {
		s.groups[i].minv = modexp.Inverse64(s.groups[i].m)
	}
	actual, _ := sieves.LoadOrStore(limbs, s)
	return actual.(*sieve)
}

// minusPower returns 2^(-64*limbs) mod r for a small odd r.
func minusPower(r uint64, limbs int) uint64 {
	x, square := uint64(1), (r+1)/2 // 1/2 mod r
	for e := 64 * limbs; e > 0; e >>= 1 {
		if e&1 == 1 {
			x = x * square % r
		}
		square = square * square % r
	}
	return x
}

// divides returns 1 if the divisor divides x, and 0 otherwise.
func (d *divisor) divides(x uint64) uint64 {
	_, borrow := bits.Sub64(d.limit, x*d.inv, 0)
	return 1 - borrow
}

// remainder is the pass over p described at sieve.
func (g *group) remainder(p []uint64) uint64 {
	var c uint64
	for _, x := range p {
		s, borrow := bits.Sub64(x, c, 0)
		hi, _ := bits.Mul64(s*g.minv, g.m)
		c = hi + borrow
	}
	return c
}

// rejects reports whether p or p-1 (where both is set; else only p) has an odd
// prime factor up to Bound. It returns early on the first group with one: a
// number that is rejected is thrown away, so only the time of an accepted one
// must not, and does not, depend on its value.
func (s *sieve) rejectsVarTime(p []uint64, alsoPredecessor bool) bool {
	if len(p) != s.limbs {
		panic("prime: internal error: sieve of another size")
	}
	for i := range s.groups {
		g := &s.groups[i]
		c := g.remainder(p)
		var bad uint64
		for j := range g.primes {
			d := &g.primes[j]
			bad |= d.divides(c)
			if alsoPredecessor {
				bad |= d.divides(c + d.shift)
			}
		}
		if bad != 0 {
			return true
		}
	}
	return false
}
