package prove

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// composition is the work of adx.mul or adx.sqr in adx_amd64.go: calls of the rows on
// one memory. TestLoops compares the loops here with the text of that file.
type composition struct {
	*domain
	functions map[string]*function
	blocks    int
	t, n      *region
	k0        *number
	calls     []call
}

// call is what a row made: the numbers from first to last, and the words of t before and
// after it.
type call struct {
	first, last int32
	words       []*number
}

type named struct {
	name string
	content
}

func (c *composition) call(name string, args ...named) (*machine, error) {
	m := newMachine(c.domain, c.functions[name])
	for _, a := range args {
		m.pass(a.name, a.content)
	}
	made := call{first: int32(len(c.numbers)), words: slices.Clone(c.t.words)}
	if err := m.run(); err != nil {
		return nil, err
	}
	made.last = int32(len(c.numbers))
	made.words = slices.DeleteFunc(append(made.words, c.t.words...), func(n *number) bool { return n == nil })
	c.calls = append(c.calls, made)
	return m, nil
}

func at(name string, r *region, word int) named {
	return named{name, content{kind: pointer, region: r, offset: int64(8 * word)}}
}

func (c *composition) count(blocks int) named {
	return named{"blocks", wordOf(c.constant(big.NewInt(int64(blocks)), true))}
}

// multiply is adx.mul up to the reduction, square is adx.sqr.
func (c *composition) multiply(x, y *region) error {
	for i := 0; i < len(y.words); i += blockWords {
		if _, err := c.call("adxMulRow", at("t", c.t, i), at("x", x, 0), at("y", y, i), c.count(c.blocks)); err != nil {
			return err
		}
	}
	return nil
}

func (c *composition) square(z *region) error {
	for i := range c.blocks {
		if _, err := c.call("adxSqrRow", at("t", c.t, 2*blockWords*i), at("x", z, blockWords*i), c.count(c.blocks-i)); err != nil {
			return err
		}
	}
	_, err := c.call("adxSqrFinish", at("t", c.t, 0), at("x", z, 0), c.count(c.blocks))
	return err
}

// reduce is adx.reduce; it returns the last carry.
func (c *composition) reduce(z *region) (*number, error) {
	carry := c.hidden0
	for i := 0; i < len(c.n.words); i += blockWords {
		m, err := c.call("adxReduceRow", at("t", c.t, i), at("n", c.n, 0), named{"k0", wordOf(c.k0)},
			named{"carry", wordOf(carry)}, c.count(c.blocks), named{"carryOut", content{}})
		if err != nil {
			return nil, err
		}
		carry = m.results["carryOut"]
	}
	if carry.bit != carry {
		return nil, errors.New("the carry of the reduction is not known to be a bit")
	}
	mask := c.ofBit(carry, [2]*big.Int{nought, ones64}, false)
	_, err := c.call("adxSubMasked", at("z", z, 0), at("t", c.t, len(c.n.words)), at("n", c.n, 0),
		named{"mask", wordOf(mask)}, c.count(c.blocks))
	return carry, err
}

// proveComposed proves of a whole product, or square, of numbers x, y < R
//
//	t = x*y   after the rows,
//	t' + carry R = (x*y + q*N) / R   with q < R   after the reduction,
//	z = t' - carry N + borrow R   in the end, with carry and borrow 0 or 1.
//
// doc.go says why z = t' + carry R - carry N then, and is below R.
func proveComposed(functions map[string]*function, blocks int, square bool) error {
	d := newDomain()
	c := &composition{domain: d, functions: functions, blocks: blocks}
	words := blockWords * blocks
	c.t = &region{name: "t", words: make([]*number, 2*words), writable: true}
	for i := range words {
		c.t.words[i] = d.nothing // clear(tmp[:len(x)])
	}
	c.n = &region{name: "n", words: inputs(d, "n", words)}
	c.k0 = d.input("k0", ones64)
	d.assumeMinusOne(c.k0, c.n.words[0], 64)
	x := inputs(d, "x", words)
	y := x
	z := &region{name: "z", words: make([]*number, words), writable: true}
	var err error
	if square {
		z.words = slices.Clone(x)
		err = c.square(z)
	} else {
		y = inputs(d, "y", words)
		err = c.multiply(&region{name: "x", words: x}, &region{name: "y", words: y})
	}
	if err != nil {
		return err
	}
	product := slices.Clone(c.t.words)
	if err := c.isProduct(product, x, y); err != nil {
		return fmt.Errorf("t = x*y: %w", err)
	}
	carry, err := c.reduce(z)
	if err != nil {
		return err
	}
	if err := c.isReduced(product, carry); err != nil {
		return fmt.Errorf("the reduction: %w", err)
	}
	return c.isSubtracted(z.words, carry)
}

func (c *composition) isProduct(product, x, y []*number) error {
	left := polynomial{}
	left.addWords(product, 0, 1)
	left, err := c.expand(left, expansion{})
	if err != nil {
		return err
	}
	for i := range x {
		for j := range y {
			left.subtract(pair(x[i], y[j]), pow(uint(64*(i+j))))
		}
	}
	c.dropCarries(left)
	// Both sides are from 0 to R^2 - 1: a difference that is a multiple of R^2 is 0.
	dropMultiples(left, uint(128*len(x)))
	return c.nothingLeft("t - x*y", left)
}

// dropCarries looks for each carry in the row that made it.
func (c *composition) dropCarries(p polynomial) {
	for m := range p {
		if m[0] == 0 || m[1] != 0 {
			continue
		}
		for _, made := range c.calls {
			if m[0] >= made.first && m[0] < made.last && c.isZeroCarry(c.numbers[m[0]], made.words) {
				delete(p, m)
			}
		}
	}
}

func (c *composition) isReduced(product []*number, carry *number) error {
	words := len(c.n.words)
	keep := map[*number]bool{}
	for _, n := range product {
		keep[n] = true
	}
	left := polynomial{}
	left.addWords(c.t.words[words:], words, 1)
	left.addWords([]*number{carry}, 2*words, 1)
	left.addWords(product, 0, -1)
	left, err := c.expand(left, expansion{keep: func(n *number) bool { return keep[n] }})
	if err != nil {
		return err
	}
	c.dropCarries(left)
	return c.isMultiple(left, c.n.words, words)
}

func (c *composition) isSubtracted(z []*number, carry *number) error {
	words := len(c.n.words)
	keep := map[*number]bool{}
	for _, n := range c.t.words {
		keep[n] = true
	}
	left := polynomial{}
	left.addWords(z, 0, 1)
	left.addWords(c.t.words[words:], 0, -1)
	left, err := c.expand(left, expansion{keep: func(n *number) bool { return keep[n] || n == carry }})
	if err != nil {
		return err
	}
	for i, w := range c.n.words {
		left.add(pair(w, carry), pow(uint(64*i)))
	}
	for _, m := range left.monomials() {
		if m[1] == 0 && c.numbers[m[0]].hi.Cmp(one) == 0 && left[m].Cmp(pow(uint(64*words))) == 0 {
			delete(left, m) // the borrow out of the last word: one at most
			break
		}
	}
	return c.nothingLeft("z - t' + carry n", left)
}
