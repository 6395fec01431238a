package prove

import "math/big"

// The rules of arithmetic. Each makes numbers whose intervals and definitions hold for
// all inputs; TestNumbersHold evaluates them.

// product returns the low k bits of a*b and the rest:
//
//	high = a*b div 2^k, an atom;   low = a*b - 2^k * high.
//
// The same factors give the same two numbers.
func (d *domain) product(a, b *number, k uint) (low, high *number) {
	if a.zero() || b.zero() {
		z := d.zeroOf(a, b)
		return z, z
	}
	if a.constant() && b.constant() {
		p := new(big.Int).Mul(a.lo, b.lo)
		low = d.constant(new(big.Int).And(p, ones(k)), public(a, b))
		return low, d.constant(new(big.Int).Rsh(p, k), public(a, b))
	}
	key := productKey{pair(a, b), k}
	if p, ok := d.products[key]; ok {
		return p[0], p[1]
	}
	largest := new(big.Int).Mul(a.hi, b.hi)
	high = d.newAtom("high half", new(big.Int).Rsh(largest, k), func(v value) *big.Int {
		p := new(big.Int).Mul(v(a), v(b))
		return p.Rsh(p, k)
	})
	low = d.add(&number{
		lo: nought, hi: least(ones(k), largest), half: &half{a, b, k},
		terms: []term{{one, key.factors}, times(neg(pow(k)), high)},
	})
	d.products[key] = [2]*number{low, high}
	return low, high
}

func least(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// sum returns a+b+c as a word of 64 bits, and the carry. Where the sum fits in a word by
// the intervals, there is no carry; else
//
//	carry = (a+b+c) div 2^64, an atom;   word = a+b+c - 2^64 * carry.
func (d *domain) sum(a, b, c *number) (word, carry *number) {
	all := []*number{a, b, c}
	var in []*number
	for _, n := range all {
		if !n.zero() {
			in = append(in, n)
		}
	}
	switch len(in) {
	case 0:
		z := d.zeroOf(all...)
		return z, z
	case 1:
		return d.hide(in[0], all...), d.zeroOf(all...)
	}
	if w, k, ok := d.sumByCases(in, public(all...)); ok {
		return w, k
	}
	lo, hi := new(big.Int), new(big.Int)
	var terms []term
	for _, n := range in {
		lo.Add(lo, n.lo)
		hi.Add(hi, n.hi)
		terms = append(terms, plus(n))
	}
	most := new(big.Int).Rsh(hi, 64)
	if most.Sign() == 0 {
		return d.add(&number{lo: lo, hi: hi, terms: terms}), d.hidden0
	}
	if len(in) == 2 && d.cancels(in[0], in[1], 64) {
		carry = d.add(&number{name: "carry", lo: nought, hi: most, terms: terms, shift: 64})
		if most.Cmp(one) == 0 {
			carry.bit, carry.times = carry, one
		}
		return d.hidden0, carry
	}
	carry = d.newAtom("carry", most, func(v value) *big.Int {
		s := new(big.Int)
		for _, n := range in {
			s.Add(s, v(n))
		}
		return s.Rsh(s, 64)
	})
	word = d.add(&number{name: "sum", lo: nought, hi: ones64, wrapped: true,
		terms: append(terms, times(neg(pow(64)), carry))})
	carry.addition = append(append([]term(nil), terms...), times(minusOne, word))
	return word, carry
}

// sumByCases adds constants and multiples of one bit: both cases are computed. So a
// mask of ones plus 1, or a bit that became a mask and a carry again, is known to be
// that bit.
func (d *domain) sumByCases(in []*number, public bool) (word, carry *number, ok bool) {
	var bit *number
	for _, n := range in {
		switch {
		case n.constant():
		case n.bit == nil || bit != nil && bit != n.bit:
			return nil, nil, false
		default:
			bit = n.bit
		}
	}
	var w, k [2]*big.Int
	for i := range 2 {
		s := new(big.Int)
		for _, n := range in {
			if n.constant() {
				s.Add(s, n.lo)
			} else if i == 1 {
				s.Add(s, n.times)
			}
		}
		k[i], w[i] = new(big.Int).DivMod(s, pow(64), new(big.Int))
	}
	return d.ofBit(bit, w, public), d.ofBit(bit, k, public), true
}

// ofBit is cases[bit]; without a bit it is the constant cases[0].
func (d *domain) ofBit(bit *number, cases [2]*big.Int, public bool) *number {
	difference := new(big.Int).Sub(cases[1], cases[0])
	switch {
	case bit == nil || difference.Sign() == 0:
		return d.constant(cases[0], public)
	case cases[0].Sign() == 0 && difference.Cmp(one) == 0:
		return bit
	}
	n := &number{lo: cases[0], hi: cases[1], terms: []term{{cases[0], monomial{}}, times(difference, bit)}}
	if difference.Sign() < 0 {
		n.lo, n.hi = cases[1], cases[0]
	}
	if cases[0].Sign() == 0 {
		n.bit, n.times = bit, difference
	}
	return d.add(n)
}

// difference returns a-b-c as a word of 64 bits, and the borrow:
//
//	borrow = 1 where a-b-c < 0, an atom;   word = a-b-c + 2^64 * borrow.
//
// c is at most 1.
func (d *domain) difference(a, b, c *number) (word, borrow *number) {
	less := func(v value) *big.Int { // a-b-c div 2^64, negated
		s := new(big.Int).Sub(v(a), v(b))
		if s.Sub(s, v(c)); s.Sign() < 0 {
			return one
		}
		return nought
	}
	if a.constant() && b.constant() && c.constant() {
		lows := func(n *number) *big.Int { return n.lo }
		k := less(lows)
		w := new(big.Int).Sub(a.lo, b.lo)
		w.Sub(w, c.lo).And(w, ones64)
		return d.constant(w, public(a, b, c)), d.constant(k, public(a, b, c))
	}
	if b.zero() && c.zero() {
		return a, d.hidden0
	}
	borrow = d.newAtom("borrow", one, less)
	word = d.add(&number{lo: nought, hi: ones64,
		terms: []term{plus(a), times(minusOne, b), times(minusOne, c), times(pow(64), borrow)}})
	return word, borrow
}

// split returns n mod 2^52 and n div 2^52. The same number is split in the same way:
//
//	rem = n mod 2^52, an atom;   quo = (n - rem) / 2^52,
//
// but where comparisons of n with 2^52-1 were made, it is the quotient that is known:
//
//	quo = 1 where n > 2^52-1;   rem = n - 2^52 * quo.
func (d *domain) split(n *number) (rem, quo *number) {
	if n.rem52 == nil {
		n.rem52, n.quo52 = d.splitAnew(n)
	}
	return n.rem52, n.quo52
}

func (d *domain) splitAnew(n *number) (rem, quo *number) {
	byQuotient := func(condition bdd) (*number, *number) {
		quo := d.numberOf(condition)
		return d.add(&number{lo: nought, hi: ones52, terms: []term{plus(n), times(neg(pow(52)), quo)}}), quo
	}
	limit := d.constant(ones52, true)
	atMostOne := n.hi.Cmp(pow(53)) < 0
	switch {
	case n.hi.Cmp(ones52) <= 0:
		return n, d.zeroOf(n)
	case n.constant():
		return d.constant(new(big.Int).And(n.lo, ones52), n.public), d.constant(new(big.Int).Rsh(n.lo, 52), n.public)
	case n.base != nil && atMostOne:
		// n = base + [plus] is above 2^52-1 where base is, or equals it and plus holds.
		greater, equal := d.compare(n.base, limit)
		return byQuotient(d.bdds.or(greater, d.bdds.and(equal, n.plus)))
	case n.greater != nil && atMostOne:
		greater, _ := d.compare(n, limit)
		return byQuotient(greater)
	case len(n.terms) == 2 && n.shift == 0 && d.cancelsTerms(n.terms):
		rem = d.hidden0
	default:
		rem = d.newAtom("remainder", ones52, func(v value) *big.Int { return new(big.Int).And(v(n), ones52) })
	}
	quo = d.add(&number{lo: new(big.Int).Rsh(n.lo, 52), hi: new(big.Int).Rsh(n.hi, 52), shift: 52,
		terms: []term{plus(n), times(minusOne, rem)}})
	return rem, quo
}

func (d *domain) cancelsTerms(t []term) bool {
	for _, t := range t {
		if t.monomial[0] == 0 || t.monomial[1] != 0 || t.coefficient.Cmp(one) != 0 {
			return false
		}
	}
	return d.cancels(d.numbers[t[0].monomial[0]], d.numbers[t[1].monomial[0]], 52)
}

// cancels is Montgomery's step: a + b = 0 mod 2^k, because b is the low half of q*n,
// where q is the low half of a*k0, and k0*n = -1 mod 2^k by the contract. (Or a and b
// the other way round. Instead of a, its remainder modulo 2^52 may have been
// multiplied.)
func (d *domain) cancels(a, b *number, k uint) bool {
	return d.cancelsInto(a, b, k) || d.cancelsInto(b, a, k)
}

func (d *domain) cancelsInto(a, b *number, k uint) bool {
	if b.half == nil || b.half.bits != k {
		return false
	}
	isA := func(x *number) bool { return x == a || k == 52 && x == a.rem52 }
	try := func(q, n *number) bool {
		if q.half == nil || q.half.bits != k {
			return false
		}
		x, y := q.half.a, q.half.b
		return d.minus1[pair(x, n)] == k && isA(y) || d.minus1[pair(y, n)] == k && isA(x)
	}
	return try(b.half.a, b.half.b) || try(b.half.b, b.half.a)
}

// masked is m AND n for a mask m that is 0 or 2^64-1: a multiple of one bit.
func (d *domain) masked(m, n *number) *number {
	if n.zero() {
		return d.zeroOf(m, n)
	}
	return d.add(&number{lo: nought, hi: n.hi, terms: []term{{one, pair(m.bit, n)}}})
}

func isMask(n *number) bool { return n.bit != nil && n.times.Cmp(ones64) == 0 }

// sumOf is the word of the addition that the carry c came out of.
func (d *domain) sumOf(c *number) *number {
	return d.numbers[c.addition[len(c.addition)-1].monomial[0]]
}

// carryIn is the last carry that went into the addition that c came out of, if any did.
func (d *domain) carryIn(c *number) (in *number) {
	for _, t := range c.addition[:len(c.addition)-1] {
		if n := d.numbers[t.monomial[0]]; n.addition != nil {
			in = n
		}
	}
	return in
}

// isZeroCarry proves that a carry is 0. Carries are replaced, c by (addition)/2^64,
// until 2^m * c is a polynomial without them; its sums come with a minus and are at
// least 0, so the intervals bound it from above. A bound below 2^m says that c is 0.
//
// Which numbers to keep is a guess, and a wrong one only fails. First: the additions
// just before c, every sum that lost a carry being any word. Then: back to the inputs,
// through all but the stored words and the last sums of the chain, 1 to 10 of them.
func (d *domain) isZeroCarry(c *number, stored []*number) bool {
	if c.addition == nil {
		return false
	}
	m := uint(64 * (len(stored) + 40))
	try := func(e expansion) bool {
		p, err := d.expand(polynomial{linear(c): pow(m)}, e)
		return err == nil && d.upper(p).Cmp(pow(m)) < 0
	}
	if try(expansion{
		keep:  func(n *number) bool { return n.wrapped },
		carry: func(*number) bool { return true },
	}) {
		return true
	}
	kept := map[*number]bool{}
	for _, n := range stored {
		kept[n] = true
	}
	chain := map[*number]bool{}
	for n, i := c, 0; n != nil && i < 10; n, i = d.carryIn(n), i+1 {
		kept[d.sumOf(n)], chain[n] = true, true
		if try(expansion{
			keep:  func(n *number) bool { return kept[n] },
			carry: func(n *number) bool { return chain[n] || kept[d.sumOf(n)] },
		}) {
			return true
		}
	}
	return false
}

// dropZeroCarries removes the carries that are 0 from p.
func (d *domain) dropZeroCarries(p polynomial, stored []*number) {
	for m := range p {
		if m[0] != 0 && m[1] == 0 && d.isZeroCarry(d.numbers[m[0]], stored) {
			delete(p, m)
		}
	}
}
