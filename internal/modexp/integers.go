package modexp

import "math/bits"

// Integers is arithmetic on secret integers that are not elements of a [Modulus], such as
// p-1 and lambda, which are even. It computes in memory of its own, which never moves,
// and [Integers.Wipe] clears all of it: operands, results and whatever was computed on
// the way. The zero value is ready for use.
//
// An integer is a slice of 64-bit words, the least significant first, whose length is
// public. Each method returns a new one in the same memory. None branches on a value or
// addresses memory by one.
type Integers struct {
	pieces [][]uint64
	used   int // words of the last piece
}

// pieceWords is enough for all that a dealer does with a key of 4096 bits.
const pieceWords = 2048

// Wipe clears all integers. None can be used afterwards.
func (s *Integers) Wipe() { s.release(mark{}) }

// take returns n words, all zero.
func (s *Integers) take(n int) []uint64 {
	last := len(s.pieces) - 1
	if last < 0 || s.used+n > len(s.pieces[last]) {
		s.pieces = append(s.pieces, make([]uint64, max(n, pieceWords)))
		s.used = 0
		last++
	}
	from := s.used
	s.used += n
	return s.pieces[last][from:s.used:s.used]
}

// mark is a state to which release returns.
type mark struct{ pieces, used int }

func (s *Integers) mark() mark { return mark{len(s.pieces), s.used} }

// release clears what was taken since the mark: what a method needs on its way.
func (s *Integers) release(m mark) {
	for i := range s.pieces {
		switch {
		case i >= m.pieces:
			clear(s.pieces[i])
		case i == m.pieces-1:
			clear(s.pieces[i][m.used:])
		}
	}
	s.pieces, s.used = s.pieces[:m.pieces], m.used
}

// FromBytes returns the big-endian number b in so many words, which must be enough.
func (s *Integers) FromBytes(b []byte, words int) []uint64 {
	x := s.take(words)
	SetBytes(x, b)
	return x
}

// FromWord returns w in so many words.
func (s *Integers) FromWord(w uint64, words int) []uint64 {
	x := s.take(words)
	x[0] = w
	return x
}

// FillBytes writes x, which must fit, to all of b in big-endian order.
func FillBytes(b []byte, x []uint64) {
	clear(b)
	fillBytes(b, x)
}

// Product returns x*y in len(x)+len(y) bytes. Only the lengths leak.
func Product(x, y []byte) []byte {
	s := new(Integers)
	defer s.Wipe()
	z := make([]byte, len(x)+len(y))
	fillBytes(z, s.Product(s.FromBytes(x, wordsFor(len(x))), s.FromBytes(y, wordsFor(len(y)))))
	return z
}

// Widen returns x in so many words, not less than it has.
func (s *Integers) Widen(x []uint64, words int) []uint64 {
	z := s.take(words)
	copy(z, x)
	return z
}

// Distance returns |x-y| for integers of equal length.
func (s *Integers) Distance(x, y []uint64) []uint64 {
	z := s.take(len(x))
	var borrow uint64
	for i := range z {
		z[i], borrow = bits.Sub64(x[i], y[i], borrow)
	}
	negate(z, -borrow)
	return z
}

// Product returns x*y in as many words as both have.
func (s *Integers) Product(x, y []uint64) []uint64 {
	z := s.take(len(x) + len(y))
	mulAdd(z, x, y)
	return z
}

// Divide returns the quotient, as long as x, and the remainder, as long as m, of x/m for
// m > 0: bit by bit from the top.
func (s *Integers) Divide(x, m []uint64) (quotient, remainder []uint64) {
	q, r := s.take(len(x)), s.take(len(m))
	for i := len(x) - 1; i >= 0; i-- {
		for b := 63; b >= 0; b-- {
			// r = 2r + bit, which may have one bit more than m.
			carry, borrow := x[i]>>b&1, uint64(0)
			for j, w := range r {
				r[j] = w<<1 | carry
				carry = w >> 63
				_, borrow = bits.Sub64(r[j], m[j], borrow)
			}
			_, below := bits.Sub64(carry, 0, borrow)
			subMasked(r, m, below-1)
			q[i] |= (1 - below) << b
		}
	}
	return q, r
}

// Mod returns x mod m, as long as m, for m > 0.
func (s *Integers) Mod(x, m []uint64) []uint64 {
	r := s.take(len(m))
	before := s.mark()
	_, rest := s.Divide(x, m)
	copy(r, rest)
	s.release(before)
	return r
}

// MulMod returns x*y mod m, as long as m, for m > 0.
func (s *Integers) MulMod(x, y, m []uint64) []uint64 {
	r := s.take(len(m))
	before := s.mark()
	_, rest := s.Divide(s.Product(x, y), m)
	copy(r, rest)
	s.release(before)
	return r
}

// SubMod returns x-y mod m, for x and y less than m. All have the same length.
func (s *Integers) SubMod(x, y, m []uint64) []uint64 {
	z := s.Widen(x, len(x))
	subMod(z, y, m)
	return z
}

// GCD returns gcd(x, y) and 1, for integers of equal length that are not both zero. If
// 2^64 divides both, it returns 0 and 0.
func (s *Integers) GCD(x, y []uint64) (gcd []uint64, ok uint64) {
	gcd = s.take(len(x))
	before := s.mark()
	defer func() { s.release(before) }()
	a, b := s.Widen(x, len(x)), s.Widen(y, len(y))
	// The powers of two that divide both.
	var twos uint64
	for range 63 {
		even := 1 ^ (a[0]|b[0])&1
		halve(a, 0, -even)
		halve(b, 0, -even)
		twos += even
	}
	// An odd one becomes b.
	ok = (a[0] | b[0]) & 1
	swap(a, b, (b[0]&1)-1)
	euclid(a, b, nil, nil, nil)
	for range 63 {
		// twos > 0: double.
		more := -((twos | -twos) >> 63)
		var carry uint64
		for i, w := range b {
			b[i] = (w<<1|carry)&more | w&^more
			carry = w >> 63
		}
		twos -= more & 1
	}
	for i := range gcd {
		gcd[i] = b[i] & -ok
	}
	return gcd, ok
}

// Inverse returns x^-1 mod m, as long as m, and 1. If there is no inverse, it returns a
// meaningless number and 0. x must be odd, less than 2^64 times m, and not zero modulo m;
// m > 1 may be even.
//
// With t = m^-1 mod x and k = x-t, k*m = -1 mod x: so (1 + k*m)/x is an integer, and it
// is the inverse. It takes an inversion modulo an odd number only, and a short one for a
// short x.
func (s *Integers) Inverse(x, m []uint64) (inverse []uint64, ok uint64) {
	inverse = s.take(len(m))
	before := s.mark()
	defer func() { s.release(before) }()
	a, b := s.Mod(m, x), s.Widen(x, len(x))
	u, v := s.take(len(x)), s.take(len(x))
	u[0] = 1
	euclid(a, b, u, v, x)
	ok = IsOne(b)
	// For x = 1 there is nothing to invert modulo x, and k = 0 gives the right result.
	k := s.Distance(x, v)
	mask := IsOne(x) - 1
	for i := range k {
		k[i] &= mask
	}
	sum := s.Product(k, m)
	carry := uint64(1)
	for i := range sum {
		sum[i], carry = bits.Add64(sum[i], 0, carry)
	}
	q, _ := s.Divide(sum, x)
	copy(inverse, q[:len(m)])
	return inverse, ok
}

// euclid is the binary algorithm of Euclid (T. Pornin, "Optimized binary GCD for modular
// inversion", 2020, algorithm 1), for an odd b: it leaves a = 0 and b = gcd(a, b). If n,
// which is odd, is given with u = 1 and v = 0, then v is a^-1 mod n for b = n and a gcd
// of 1. a and b have the same length, as u, v and n do.
//
// Each step removes at least one bit of a or b, so as many steps as both have bits are
// enough.
func euclid(a, b, u, v, n []uint64) {
	for range 2 * 64 * len(a) {
		odd := -(a[0] & 1)
		var borrow uint64
		for i := range a {
			_, borrow = bits.Sub64(a[i], b[i], borrow)
		}
		// If a is odd: the smaller one to b, and a-b, which is even, to a.
		less := odd & -borrow
		swap(a, b, less)
		subMasked(a, b, odd)
		halve(a, 0, ^uint64(0))
		if n == nil { // public
			continue
		}
		swap(u, v, less)
		borrow = 0
		for i := range u {
			u[i], borrow = bits.Sub64(u[i], v[i]&odd, borrow)
		}
		addMasked(u, n, -borrow)
		carry := addMasked(u, n, -(u[0] & 1))
		halve(u, carry, ^uint64(0))
	}
}

// IsOne returns 1 if x = 1, and 0 otherwise.
func IsOne(x []uint64) uint64 {
	rest := x[0] ^ 1
	for _, w := range x[1:] {
		rest |= w
	}
	return 1 ^ (rest|-rest)>>63
}

// negate sets x = -x where the mask is of ones.
func negate(x []uint64, mask uint64) {
	carry := mask & 1
	for i, w := range x {
		x[i], carry = bits.Add64(w^mask, 0, carry)
	}
}

// swap exchanges x and y where the mask is of ones.
func swap(x, y []uint64, mask uint64) {
	y = y[:len(x)]
	for i := range x {
		d := (x[i] ^ y[i]) & mask
		x[i] ^= d
		y[i] ^= d
	}
}

// halve divides x, with a bit above it, by two where the mask is of ones.
func halve(x []uint64, above, mask uint64) {
	for i := range x {
		next := above
		if i+1 < len(x) {
			next = x[i+1]
		}
		x[i] = (x[i]>>1|next<<63)&mask | x[i]&^mask
	}
}

// addMasked adds n AND mask to x, and returns the carry.
func addMasked(x, n []uint64, mask uint64) (carry uint64) {
	n = n[:len(x)]
	for i := range x {
		x[i], carry = bits.Add64(x[i], n[i]&mask, carry)
	}
	return carry
}
