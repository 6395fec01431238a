package prove

import "math/big"

// bdd is a Boolean function of conditions on numbers ("digit 7 is greater than
// 2^52-1"), as a reduced ordered binary decision diagram: R. E. Bryant, "Graph-based
// algorithms for Boolean function manipulation", 1986. Two functions are equal exactly
// if their bdd is.
type bdd int32

const (
	never  bdd = 0
	always bdd = 1
)

// diagram asks the variable of its level: lo if it is false.
type diagram struct {
	level  int32
	lo, hi bdd
}

type diagrams struct {
	nodes  []diagram
	unique map[diagram]bdd
	cases  map[[3]bdd]bdd
}

func newDiagrams() *diagrams {
	const leaf = 1 << 30 // below all variables
	return &diagrams{
		nodes:  []diagram{{leaf, never, never}, {leaf, always, always}},
		unique: map[diagram]bdd{},
		cases:  map[[3]bdd]bdd{},
	}
}

func (b *diagrams) node(level int32, lo, hi bdd) bdd {
	if lo == hi {
		return lo
	}
	k := diagram{level, lo, hi}
	if r, ok := b.unique[k]; ok {
		return r
	}
	b.nodes = append(b.nodes, k)
	r := bdd(len(b.nodes) - 1)
	b.unique[k] = r
	return r
}

func (b *diagrams) variable(level int) bdd { return b.node(int32(level), never, always) }

// choose is "if f then g else h".
func (b *diagrams) choose(f, g, h bdd) bdd {
	switch {
	case f == always:
		return g
	case f == never:
		return h
	case g == h:
		return g
	case g == always && h == never:
		return f
	}
	key := [3]bdd{f, g, h}
	if r, ok := b.cases[key]; ok {
		return r
	}
	level := min(b.nodes[f].level, b.nodes[g].level, b.nodes[h].level)
	half := func(x bdd, high bool) bdd { // x where the variable is known
		switch n := b.nodes[x]; {
		case n.level != level:
			return x
		case high:
			return n.hi
		default:
			return n.lo
		}
	}
	r := b.node(level, b.choose(half(f, false), half(g, false), half(h, false)),
		b.choose(half(f, true), half(g, true), half(h, true)))
	b.cases[key] = r
	return r
}

func (b *diagrams) not(f bdd) bdd    { return b.choose(f, never, always) }
func (b *diagrams) and(f, g bdd) bdd { return b.choose(f, g, never) }
func (b *diagrams) or(f, g bdd) bdd  { return b.choose(f, always, g) }
func (b *diagrams) xor(f, g bdd) bdd { return b.choose(f, b.not(g), g) }

// eval is f for one input.
func (d *domain) eval(f bdd, v value) bool {
	for f > always {
		n := d.bdds.nodes[f]
		if d.variable[n.level](v) {
			f = n.hi
		} else {
			f = n.lo
		}
	}
	return f == always
}

// newVariable is a condition that nothing is known about but what it means.
func (d *domain) newVariable(meaning func(value) bool) bdd {
	d.variable = append(d.variable, meaning)
	return d.bdds.variable(len(d.variable) - 1)
}

// compare returns the conditions n > c and n = c. The interval decides them if it can;
// they exclude each other by construction.
func (d *domain) compare(n *number, c *number) (greater, equal bdd) {
	if !c.constant() {
		refuse("a comparison with something that is not constant")
	}
	limit := c.lo
	switch {
	case n.lo.Cmp(limit) > 0:
		return always, never
	case n.hi.Cmp(limit) < 0:
		return never, never
	case n.constant():
		return never, always
	}
	key := limit.String()
	if g, ok := n.greater[key]; ok {
		return g, n.equal[key]
	}
	greater = never
	if n.hi.Cmp(limit) > 0 {
		greater = d.newVariable(func(v value) bool { return v(n).Cmp(limit) > 0 })
	}
	equal = d.newVariable(func(v value) bool { return v(n).Cmp(limit) == 0 })
	equal = d.bdds.and(d.bdds.not(greater), equal)
	if n.greater == nil {
		n.greater, n.equal = map[string]bdd{}, map[string]bdd{}
	}
	n.greater[key], n.equal[key] = greater, equal
	return greater, equal
}

// numberOf is 1 where f holds and 0 elsewhere. The same function is the same number.
func (d *domain) numberOf(f bdd) *number {
	if n, ok := d.bits[f]; ok {
		return n
	}
	var n *number
	switch f {
	case never:
		n = d.hidden0
	case always:
		n = d.constant(one, false)
	default:
		n = d.newAtom("condition", one, func(v value) *big.Int {
			if d.eval(f, v) {
				return one
			}
			return nought
		})
	}
	d.bits[f] = n
	return n
}
