package prove

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// polynomial is a sum of monomials in numbers. Two that are equal as polynomials are
// equal for all inputs; nothing else is ever concluded from them.
type polynomial map[monomial]*big.Int

func (p polynomial) add(m monomial, c *big.Int) {
	if p[m] == nil {
		p[m] = new(big.Int)
	}
	if p[m].Add(p[m], c); p[m].Sign() == 0 {
		delete(p, m)
	}
}

func (p polynomial) subtract(m monomial, c *big.Int) { p.add(m, neg(c)) }

// addWords adds sign * sum words[i] 2^(64(i+shift)).
func (p polynomial) addWords(words []*number, shift int, sign int64) {
	for i, n := range words {
		p.add(linear(n), new(big.Int).Mul(big.NewInt(sign), pow(uint(64*(i+shift)))))
	}
}

// monomials are in order, so that the same fault has the same refusal.
func (p polynomial) monomials() []monomial {
	return slices.SortedFunc(maps.Keys(p), func(a, b monomial) int { return slices.Compare(a[:], b[:]) })
}

// expansion says where to stop. With nil functions everything is written over atoms.
type expansion struct {
	// keep: leave this number as it is.
	keep func(*number) bool
	// carry: replace this carry by its addition. The sum that the addition refers to
	// has a greater id and is left as it is.
	carry func(*number) bool
}

// expand replaces numbers by their definitions, from the greatest id down. Each step is
// an equation, so the result equals p for all inputs. p consists of linear monomials.
func (d *domain) expand(p polynomial, e expansion) (polynomial, error) {
	pending := make([]*big.Int, len(d.numbers))
	out := polynomial{}
	at := len(pending) // ids from here on have been dealt with
	put := func(m monomial, c *big.Int) {
		if id := int(m[0]); id == 0 || m[1] != 0 || id >= at {
			out.add(m, c)
		} else if pending[id] == nil {
			pending[id] = new(big.Int).Set(c)
		} else {
			pending[id].Add(pending[id], c)
		}
	}
	for m, c := range p {
		put(m, c)
	}
	product := new(big.Int)
	for at--; at > 0; at-- {
		c, n := pending[at], d.numbers[at]
		if c == nil || c.Sign() == 0 {
			continue
		}
		terms, shift := n.terms, n.shift
		if n.addition != nil && e.carry != nil && e.carry(n) {
			terms, shift = n.addition, 64
		} else if n.atom || e.keep != nil && e.keep(n) {
			out.add(linear(n), c)
			continue
		}
		if c.TrailingZeroBits() < shift {
			return nil, fmt.Errorf("%s: its weight is not a multiple of 2^%d", d.show(linear(n), c), shift)
		}
		c.Rsh(c, shift)
		for _, t := range terms {
			put(t.monomial, product.Mul(t.coefficient, c))
		}
	}
	return out, nil
}

// upper is a bound of p by the intervals of its numbers.
func (d *domain) upper(p polynomial) *big.Int {
	sum := new(big.Int)
	for m, c := range p {
		v := new(big.Int).Set(c)
		for _, id := range m {
			switch {
			case id == 0:
			case c.Sign() > 0:
				v.Mul(v, d.numbers[id].hi)
			default:
				v.Mul(v, d.numbers[id].lo)
			}
		}
		sum.Add(sum, v)
	}
	return sum
}

// nothingLeft is nil for the polynomial 0, and else tells the least monomial.
func (d *domain) nothingLeft(what string, p polynomial) error {
	if len(p) == 0 {
		return nil
	}
	all := p.monomials()
	least := all[0]
	for _, m := range all {
		if p[m].CmpAbs(p[least]) < 0 {
			least = m
		}
	}
	return fmt.Errorf("%s: %d terms are left over, the least is %s", what, len(p), d.show(least, p[least]))
}

func (d *domain) show(m monomial, c *big.Int) string {
	var names []string
	for _, id := range m {
		switch {
		case id == 0:
		case d.numbers[id].name != "":
			names = append(names, d.numbers[id].name)
		default:
			names = append(names, fmt.Sprintf("number %d", id))
		}
	}
	k := c.TrailingZeroBits()
	return fmt.Sprintf("%v * 2^%d * [%s]", new(big.Int).Rsh(c, k), k, strings.Join(names, " * "))
}
