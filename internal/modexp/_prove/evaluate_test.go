package prove

import (
	"fmt"
	"go/format"
	"math/big"
	"math/rand/v2"
	"testing"
)

func gofmt(t testing.TB, text string) string {
	b, err := format.Source([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// evaluate gives all numbers of a domain their value for one input, and checks that each
// interval and each definition holds.
func evaluate(d *domain, inputs map[*number]*big.Int) (value, error) {
	values := make([]*big.Int, len(d.numbers))
	v := func(n *number) *big.Int { return values[n.id] }
	for _, n := range d.numbers[1:] {
		switch {
		case !n.atom:
			sum := new(big.Int)
			for _, t := range n.terms {
				p := new(big.Int).Set(t.coefficient)
				for _, id := range t.monomial {
					if id != 0 {
						p.Mul(p, values[id])
					}
				}
				sum.Add(sum, p)
			}
			if low := new(big.Int).And(sum, ones(n.shift)); low.Sign() != 0 {
				return nil, fmt.Errorf("number %d %s is not an integer", n.id, n.name)
			}
			values[n.id] = sum.Rsh(sum, n.shift)
		case n.compute != nil:
			values[n.id] = n.compute(v)
		default:
			x, ok := inputs[n]
			if !ok {
				return nil, fmt.Errorf("input %s has no value", n.name)
			}
			values[n.id] = x
		}
		if x := values[n.id]; x.Cmp(n.lo) < 0 || x.Cmp(n.hi) > 0 {
			return nil, fmt.Errorf("number %d %s is %v, outside of [%v, %v]", n.id, n.name, x, n.lo, n.hi)
		}
		if n.bit != nil {
			if x := new(big.Int).Mul(n.times, v(n.bit)); v(n.bit).BitLen() > 1 || x.Cmp(v(n)) != 0 {
				return nil, fmt.Errorf("number %d %s is not %v times a bit", n.id, n.name, n.times)
			}
		}
	}
	for _, n := range d.numbers[1:] { // refers to greater ids
		if n.addition == nil {
			continue
		}
		sum := new(big.Int)
		for _, t := range n.addition {
			sum.Add(sum, new(big.Int).Mul(t.coefficient, values[t.monomial[0]]))
		}
		if sum.Cmp(new(big.Int).Lsh(v(n), 64)) != 0 {
			return nil, fmt.Errorf("carry %d is not that of its addition", n.id)
		}
	}
	return v, nil
}

// edge draws a number from 0 to hi: an end, near an end, or anything.
func edge(r *rand.Rand, hi *big.Int) *big.Int {
	near := big.NewInt(r.Int64N(3))
	switch r.IntN(6) {
	case 0:
		return least(near, hi)
	case 1, 2:
		if near.Sub(hi, near); near.Sign() < 0 {
			return nought
		}
		return near
	}
	x := new(big.Int)
	for range (hi.BitLen() + 63) / 64 {
		x.Lsh(x, 64).Or(x, new(big.Int).SetUint64(r.Uint64()))
	}
	return x.Mod(x, new(big.Int).Add(hi, one))
}
