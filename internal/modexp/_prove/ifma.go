package prove

import (
	"errors"
	"fmt"
	"math/big"
)

// shape is an IFMA kernel: numbers of digits*52 bits in vectors of 8 lanes.
type shape struct{ bits, vectors, digits int }

var shapes = []shape{{1024, 3, 20}, {1536, 4, 30}, {2048, 5, 40}, {3072, 8, 60}, {4096, 10, 79}}

// index is the word of digit j in memory.
func (s shape) index(j int) int { return 8*(j%s.vectors) + j/s.vectors }

func (s shape) words() int { return 8 * s.vectors }

// radix is log2 of R.
func (s shape) radix() uint { return uint(52 * s.digits) }

// check holds what the proofs say about a shape on paper: a result below 4N fits in the
// digits (N < 2^bits), and they fit in the vectors.
func (s shape) check() error {
	if s.bits+2 > 52*s.digits || s.digits > s.words() {
		return fmt.Errorf("%d digits in %d vectors do not hold 4N", s.digits, s.vectors)
	}
	return nil
}

// number is an argument in the kernel's format: as words, and by digit. Digits beyond K
// are 0.
func (s shape) number(d *domain, name string) (words, digits []*number) {
	words, digits = make([]*number, s.words()), make([]*number, s.words())
	for j := range digits {
		hi := ones52
		if j >= s.digits {
			hi = nought
		}
		digits[j] = d.input(fmt.Sprintf("%s[%d]", name, j), hi)
		words[s.index(j)] = digits[j]
	}
	return words, digits
}

// ifmaContext is what the modulus contributes, preconditions P4 to P6.
type ifmaContext struct {
	words     []*number
	m2, n, m1 []*number // by digit
}

func (s shape) context(d *domain) (c ifmaContext) {
	var m2, n, m1 []*number
	m2, c.m2 = s.number(d, "M2")
	n, c.n = s.number(d, "N")
	m1, c.m1 = s.number(d, "M1")
	k0 := d.input("k0", ones52)
	d.assumeMinusOne(k0, c.n[0], 52)
	for _, part := range [][]*number{m2, n, m1, {k0, d.constant(ones52, true)}} {
		c.words = append(c.words, part...)
	}
	return c
}

// ifmaProof is one product or squaring.
type ifmaProof struct {
	shape
	*machine
	context ifmaContext
	x, y    []*number // the factors, by digit
	bound   *big.Rat  // the sum of the lanes is below bound * N
	lanes   []*number // by digit, as they were normalized
}

// cut is where the accumulators have the value of the result, and the normalization
// begins: registers are those that are shifted first, vector by vector. It proves the
// value, and goes on with lanes of which no more is known than their bounds.
func (p *ifmaProof) cut(registers []int) error {
	if len(registers) != p.vectors {
		return fmt.Errorf("%d vectors are normalized, not %d", len(registers), p.vectors)
	}
	if p.lanes != nil {
		return errors.New("it normalizes twice")
	}
	old := make([]*number, p.words())
	for j := range old {
		old[j] = p.defined(p.vector[registers[j%p.vectors]][j/p.vectors])
	}
	var err error
	if p.bound, err = p.identity(old); err != nil {
		return err
	}
	if p.bound.Cmp(big.NewRat(4, 1)) >= 0 {
		return errors.New("the result could be 4N or more")
	}
	// All lanes are at least 0, and their sum is below 4N < 2^(bits+2).
	p.lanes = make([]*number, len(old))
	for j, n := range old {
		hi := nought
		if top := p.bits + 2 - 52*j; top > 0 {
			hi = least(n.hi, ones(uint(top)))
		}
		p.lanes[j] = p.hidden0
		if hi.Sign() > 0 {
			p.lanes[j] = p.newAtom(fmt.Sprintf("lane of digit %d", j), hi, func(v value) *big.Int { return v(n) })
		}
		p.vector[registers[j%p.vectors]][j/p.vectors] = p.lanes[j]
	}
	return nil
}

// identity proves, for lanes by digit,
//
//	R * sum lanes[j] 2^(52j) = x*y + N * (a sum of q's with weights of at least 0)
//
// and returns the bound of sum lanes[j] 2^(52j), in N.
func (p *ifmaProof) identity(lanes []*number) (*big.Rat, error) {
	left, err := p.overAtoms(lanes)
	if err != nil {
		return nil, err
	}
	for i, a := range p.x {
		for j, b := range p.y {
			if !a.zero() && !b.zero() {
				left.subtract(pair(a, b), pow(uint(52*(i+j))))
			}
		}
	}
	multiples, err := p.multiples(left)
	if err != nil {
		return nil, fmt.Errorf("in R * result - x*y: %w", err)
	}
	// x, y <= 4N and N < 2^bits: x*y <= 16 * 2^bits * N.
	most := new(big.Int).Lsh(big.NewInt(16), uint(p.bits))
	most.Add(most, multiples)
	return new(big.Rat).SetFrac(most, pow(p.radix())), nil
}

// overAtoms is R * sum lanes[j] 2^(52j) over inputs, halves of products and carries.
//
// A digit q that is dropped with its lane appears as -q. Where q is not an atom but an
// expression itself (the first digit is one low half), its atoms appear instead. There
// q - q is added: once as an expression, once as q.
func (p *ifmaProof) overAtoms(lanes []*number) (polynomial, error) {
	sum := polynomial{}
	for j, n := range lanes {
		sum.add(linear(n), pow(p.radix()+uint(52*j)))
	}
	expanded, err := p.expand(sum, expansion{})
	if err != nil {
		return nil, err
	}
	owed := map[*number]*big.Int{}
	for m, c := range expanded {
		for i, q := range m {
			if q == 0 || p.numbers[q].atom {
				continue
			}
			switch other := m[1-i]; other {
			case p.context.m2[0].id:
				owed[p.numbers[q]] = new(big.Int).Rsh(c, 104)
			case p.context.m1[0].id:
				owed[p.numbers[q]] = new(big.Int).Rsh(c, 52)
			}
		}
	}
	if len(owed) == 0 {
		return expanded, nil
	}
	for q, c := range owed {
		sum.add(linear(q), c)
	}
	if expanded, err = p.expand(sum, expansion{}); err != nil {
		return nil, err
	}
	for q, c := range owed {
		expanded.subtract(linear(q), c)
	}
	return expanded, nil
}

// multiples proves that a polynomial is a sum of
//
//	u * q * (2^104 M2 - 1),   u * q * (2^52 M1 - 1),   u * q * N
//
// with u >= 0 and all digits of M2, M1 and N. These are multiples of N: 2^104 M2 - 1 =
// kN with k < 2^104, and 2^52 M1 - 1 = kN with k < 2^52. It returns what N is
// multiplied by, at most.
func (p *ifmaProof) multiples(left polynomial) (*big.Int, error) {
	factors := []struct {
		name   string
		digits []*number
		shift  uint
	}{{"M2", p.context.m2, 104}, {"M1", p.context.m1, 52}, {"N", p.context.n, 0}}
	type place struct{ factor, digit int }
	places := map[int32]place{}
	for f, factor := range factors {
		for j, n := range factor.digits[:p.digits] {
			places[n.id] = place{f, j}
		}
	}
	type use struct {
		weight *big.Int
		digits int
	}
	uses := map[int32]*[3]use{} // by q
	alone := polynomial{}       // the part without products
	for _, m := range left.monomials() {
		c := left[m]
		if m[1] == 0 {
			alone[m] = c
			continue
		}
		q, n := m[0], m[1]
		at, ok := places[n]
		if !ok {
			q, n = n, q
			if at, ok = places[n]; !ok {
				return nil, fmt.Errorf("a product is left over: %s", p.show(m, c))
			}
		}
		if _, both := places[q]; both {
			return nil, fmt.Errorf("a product is left over: %s", p.show(m, c))
		}
		weight, rest := new(big.Int).QuoRem(c, pow(uint(52*at.digit)), new(big.Int))
		if weight.Sign() <= 0 || rest.Sign() != 0 {
			return nil, fmt.Errorf("%s has a wrong weight", p.show(m, c))
		}
		if uses[q] == nil {
			uses[q] = new([3]use)
		}
		u := &uses[q][at.factor]
		if u.weight != nil && u.weight.Cmp(weight) != 0 {
			return nil, fmt.Errorf("%s: the weight differs from that of other digits", p.show(m, c))
		}
		u.weight = weight
		u.digits++
	}
	most := new(big.Int)
	for q, byFactor := range uses {
		for f, u := range byFactor {
			if u.weight == nil {
				continue
			}
			if u.digits != p.digits {
				return nil, fmt.Errorf("%s is multiplied by %d digits of %s", p.numbers[q].name, u.digits, factors[f].name)
			}
			shift := factors[f].shift
			if u.weight.TrailingZeroBits() < shift {
				return nil, fmt.Errorf("%s times %s has a wrong weight", p.numbers[q].name, factors[f].name)
			}
			weight := new(big.Int).Rsh(u.weight, shift)
			k := one // q * N
			if shift > 0 {
				alone.add(monomial{q, 0}, weight) // the -1 of 2^104 M2 - 1
				k = ones(shift)
			}
			bound := new(big.Int).Mul(weight, p.numbers[q].hi)
			most.Add(most, bound.Mul(bound, k))
		}
	}
	return most, p.nothingLeft("without products", alone)
}

// normalized proves that words are digits, at most 2^52-1, of the value of the lanes.
// (Digits from K on are 0 then: the value is below 4N <= 2^(52K), and none is negative.)
func (p *ifmaProof) normalized(words []*number) error {
	if p.lanes == nil {
		return errors.New("nothing is normalized")
	}
	left := polynomial{}
	for j, lane := range p.lanes {
		w := words[p.index(j)]
		switch {
		case w == nil:
			return fmt.Errorf("digit %d is not stored", j)
		case w.hi.Cmp(ones52) > 0:
			return fmt.Errorf("digit %d could be 2^52 or more", j)
		}
		left.add(linear(w), pow(uint(52*j)))
		left.subtract(linear(lane), pow(uint(52*j)))
	}
	left, err := p.expand(left, expansion{})
	if err != nil {
		return err
	}
	return p.nothingLeft("normalized - result", left)
}

// laneBound is what the comment in _asm/ifma.go says of all lanes.
var laneBound = pow(61)

// facts are what a proof found out, for the report.
type facts struct {
	numbers int
	lane    *big.Int // no lane was greater
	bound   *big.Rat // z is below bound * N; nil: not a product
	words   []*number
	domain  *domain
}

func (m *machine) facts(words []*number) facts {
	return facts{numbers: len(m.numbers), lane: m.lane, words: words, domain: m.domain}
}

func (p *ifmaProof) facts(words []*number) facts {
	f := p.machine.facts(words)
	f.bound = p.bound
	return f
}
