package prove

import "math/big"

// number is an integer that the inputs of a kernel determine. For all inputs that the
// contract allows
//
//	lo <= value <= hi   and   value * 2^shift = sum of the terms.
//
// An atom has no terms: it is an input, or a function of numbers made before it that is
// no polynomial (a carry, a quotient, a comparison). A number never changes, and its
// definition refers to numbers with a smaller id only: there are no circles.
type number struct {
	id     int32
	name   string
	lo, hi *big.Int
	public bool // the same for all inputs, and not read from data
	atom   bool
	terms  []term
	shift  uint

	// compute is what an atom is, for the tests; nil for an input.
	compute func(value) *big.Int

	// What the rules know about this number.
	half         *half    // it is the low half of a product
	addition     []term   // it is a carry: value * 2^64 = addition
	wrapped      bool     // it is a sum from which a carry was taken
	bit          *number  // it is times * bit, and bit is 0 or 1
	times        *big.Int //
	base         *number  // it is base + plus, and plus is 0 or 1
	plus         bdd      //
	rem52, quo52 *number  // its split at 52 bits, once that was made
	greater      map[string]bdd
	equal        map[string]bdd
}

// half says: the number is a*b mod 2^bits.
type half struct {
	a, b *number
	bits uint
}

// value gives each number a value: one input of the kernel.
type value func(*number) *big.Int

// monomial is a product of at most two numbers, by id, the greater first; 0 is none.
type monomial [2]int32

type term struct {
	coefficient *big.Int
	monomial    monomial
}

func linear(n *number) monomial { return monomial{n.id, 0} }

func pair(a, b *number) monomial {
	if a.id < b.id {
		a, b = b, a
	}
	return monomial{a.id, b.id}
}

func plus(n *number) term { return term{one, linear(n)} }

func times(c *big.Int, n *number) term { return term{c, linear(n)} }

var (
	nought   = new(big.Int)
	one      = big.NewInt(1)
	minusOne = big.NewInt(-1)
	ones52   = ones(52)
	ones64   = ones(64)
)

// pow is 2^k.
func pow(k uint) *big.Int { return new(big.Int).Lsh(one, k) }

// ones is 2^k - 1.
func ones(k uint) *big.Int { return new(big.Int).Sub(pow(k), one) }

func neg(x *big.Int) *big.Int { return new(big.Int).Neg(x) }

func (n *number) constant() bool { return n.lo.Cmp(n.hi) == 0 }

func (n *number) is(v *big.Int) bool { return n.constant() && n.lo.Cmp(v) == 0 }

// zero says that n is 0 for all inputs.
func (n *number) zero() bool { return n.hi.Sign() == 0 }

// domain holds the numbers of one proof.
type domain struct {
	numbers []*number // by id, the first is none
	nothing *number   // 0, public
	hidden0 *number   // 0, computed from data

	products map[productKey][2]*number
	bits     map[bdd]*number // the number 0 or 1 of a condition
	minus1   map[monomial]uint
	bdds     *diagrams
	variable []func(value) bool // what a variable of the diagrams is, by level
}

type productKey struct {
	factors monomial
	bits    uint
}

func newDomain() *domain {
	d := &domain{
		numbers:  []*number{nil},
		products: map[productKey][2]*number{},
		bits:     map[bdd]*number{},
		minus1:   map[monomial]uint{},
		bdds:     newDiagrams(),
	}
	d.nothing = d.constant(nought, true)
	d.hidden0 = d.constant(nought, false)
	return d
}

func (d *domain) add(n *number) *number {
	n.id = int32(len(d.numbers))
	d.numbers = append(d.numbers, n)
	return n
}

func (d *domain) constant(v *big.Int, public bool) *number {
	return d.add(&number{lo: v, hi: v, public: public, terms: []term{{v, monomial{}}}})
}

// zeroOf is 0 that was computed from the operands.
func (d *domain) zeroOf(operands ...*number) *number {
	if public(operands...) {
		return d.nothing
	}
	return d.hidden0
}

func public(operands ...*number) bool {
	for _, n := range operands {
		if !n.public {
			return false
		}
	}
	return true
}

// hide is n where it was computed from the operands as well.
func (d *domain) hide(n *number, operands ...*number) *number {
	if !n.public || public(operands...) {
		return n
	}
	return d.constant(n.lo, false)
}

// newAtom is a number between 0 and hi.
func (d *domain) newAtom(name string, hi *big.Int, compute func(value) *big.Int) *number {
	n := d.add(&number{name: name, lo: nought, hi: hi, atom: true, compute: compute})
	if hi.Cmp(one) == 0 {
		n.bit, n.times = n, one
	}
	return n
}

// input is data: any number between 0 and hi.
func (d *domain) input(name string, hi *big.Int) *number {
	if hi.Sign() == 0 {
		return d.hidden0
	}
	return d.newAtom(name, hi, nil)
}

// assumeMinusOne: the contract says that a*b = -1 mod 2^k.
func (d *domain) assumeMinusOne(a, b *number, k uint) { d.minus1[pair(a, b)] = k }
