package prove

import (
	"errors"
	"fmt"
	"math/big"
)

// The ADX functions work on numbers of 8*blocks words. Each contract is proved for every
// number of blocks from 1 (adxReduceRow: 2) to maxBlocks; all words of all operands are
// arbitrary.
const (
	blockWords = 8
	maxBlocks  = 16
)

// row is one call.
type row struct {
	*machine
	blocks, words int
	t             *region
	before        []*number // t
}

// newRow makes a call with a number t of some words, followed by unset of them.
func newRow(f *function, blocks, set, unset int) *row {
	d := newDomain()
	r := &row{machine: newMachine(d, f), blocks: blocks, words: blockWords * blocks}
	r.before = inputs(d, "t", set)
	words := append(append([]*number(nil), r.before...), make([]*number, unset)...)
	r.t = &region{name: "t", words: words, writable: true}
	return r
}

func (r *row) operand(name string, words int) []*number {
	w := inputs(r.domain, name, words)
	r.pass(name, pointerTo(&region{name: name, words: w}))
	return w
}

func (r *row) passBlocks() { r.pass("blocks", wordOf(r.constant(big.NewInt(int64(r.blocks)), true))) }

// stored refuses words that were not set.
func stored(name string, words []*number) error {
	for i, n := range words {
		if n == nil {
			return fmt.Errorf("word %d of %s is not stored", i, name)
		}
	}
	return nil
}

// finish proves that left is 0 for all inputs, carries that are 0 aside.
func (r *row) finish(what string, left polynomial) (facts, error) {
	left, err := r.expand(left, expansion{})
	if err != nil {
		return facts{}, err
	}
	r.dropZeroCarries(left, r.t.words)
	if err := r.nothingLeft(what, left); err != nil {
		return facts{}, err
	}
	return r.facts(r.t.words), r.leavesNothing()
}

// proveMulRow: adxMulRow(t, x, y, blocks) sets t = t + x*y, for t and x of n words and
// y of eight. It writes n+8 words, the last eight without reading them.
func proveMulRow(f *function, blocks int) (facts, error) {
	n := blockWords * blocks
	r := newRow(f, blocks, n, blockWords)
	r.pass("t", pointerTo(r.t))
	x, y := r.operand("x", n), r.operand("y", blockWords)
	r.passBlocks()
	return r.addsProducts(x, y, func(i, j int) bool { return true })
}

// proveSqrRow: adxSqrRow(t, x, blocks) adds to t the products x[i]*x[j] 2^(64(i+j)) with
// i < 8 and j > i, for t and x of n words; it writes n+8 words.
func proveSqrRow(f *function, blocks int) (facts, error) {
	n := blockWords * blocks
	r := newRow(f, blocks, n, blockWords)
	r.pass("t", pointerTo(r.t))
	x := r.operand("x", n)
	r.passBlocks()
	return r.addsProducts(x, x[:blockWords], func(j, i int) bool { return j > i })
}

func (r *row) addsProducts(x, y []*number, which func(i, j int) bool) (facts, error) {
	if err := r.run(); err != nil {
		return facts{}, err
	}
	if err := stored("t", r.t.words); err != nil {
		return facts{}, err
	}
	left := polynomial{}
	left.addWords(r.t.words, 0, 1)
	left.addWords(r.before, 0, -1)
	left, err := r.expand(left, expansion{})
	if err != nil {
		return facts{}, err
	}
	for i := range x {
		for j := range y {
			if which(i, j) {
				left.subtract(pair(x[i], y[j]), pow(uint(64*(i+j))))
			}
		}
	}
	return r.finish("t' - t - products", left)
}

// proveSqrFinish: adxSqrFinish(t, x, blocks) sets t = 2t + sum x[i]^2 2^(128i) modulo
// 2^(64*2n), for t of 2n words.
func proveSqrFinish(f *function, blocks int) (facts, error) {
	n := blockWords * blocks
	r := newRow(f, blocks, 2*n, 0)
	r.pass("t", pointerTo(r.t))
	x := r.operand("x", n)
	r.passBlocks()
	if err := r.run(); err != nil {
		return facts{}, err
	}
	left := polynomial{}
	left.addWords(r.t.words, 0, 1)
	left.addWords(r.before, 0, -2)
	left, err := r.expand(left, expansion{})
	if err != nil {
		return facts{}, err
	}
	for i := range x {
		left.subtract(pair(x[i], x[i]), pow(uint(128*i)))
	}
	dropMultiples(left, uint(128*n))
	return r.finish("t' - 2t - squares", left)
}

// dropMultiples removes what is 0 modulo 2^k: integers with weights that 2^k divides.
func dropMultiples(p polynomial, k uint) {
	for m, c := range p {
		if c.TrailingZeroBits() >= k {
			delete(p, m)
		}
	}
}

// proveReduceRow: adxReduceRow(t, n, k0, carry, blocks) adds q*n to t for a q of eight
// words, which makes the lowest eight words 0, with carry (0 or 1) at the weight of
// word n of t:
//
//	t'[8:] 2^512 + carryOut 2^(64(n+8)) = t + q*n + carry 2^(64n),   carryOut is 0 or 1,
//
// for k0*n[0] = -1 mod 2^64 (precondition P9). The lowest eight words keep what they
// held.
func proveReduceRow(f *function, blocks int) (facts, error) {
	n := blockWords * blocks
	r := newRow(f, blocks, n+blockWords, 0)
	r.pass("t", pointerTo(r.t))
	modulus := r.operand("n", n)
	k0, carry := r.input("k0", ones64), r.input("carry", one)
	r.assumeMinusOne(k0, modulus[0], 64)
	r.pass("k0", wordOf(k0))
	r.pass("carry", wordOf(carry))
	r.passBlocks()
	r.pass("carryOut", content{})
	if err := r.run(); err != nil {
		return facts{}, err
	}
	for i := range blockWords {
		if r.t.words[i] != r.before[i] {
			return facts{}, fmt.Errorf("word %d of t is written", i)
		}
	}
	out := r.results["carryOut"]
	if out == nil || out.hi.Cmp(one) > 0 {
		return facts{}, errors.New("carryOut is not known to be 0 or 1")
	}
	left := polynomial{}
	left.addWords(r.t.words[blockWords:], blockWords, 1)
	left.addWords([]*number{out}, n+blockWords, 1)
	left.addWords(r.before, 0, -1)
	left.addWords([]*number{carry}, n, -1)
	left, err := r.expand(left, expansion{})
	if err != nil {
		return facts{}, err
	}
	r.dropZeroCarries(left, r.t.words[blockWords:])
	if err := r.isMultiple(left, modulus, blockWords); err != nil {
		return facts{}, fmt.Errorf("t' - t is no multiple of n: %w", err)
	}
	return r.facts(r.t.words), r.leavesNothing()
}

// isMultiple proves that p = q*n for a number q of at most words words: each product of
// a word of q with a word of n is there once, with its weight.
func (d *domain) isMultiple(p polynomial, n []*number, words int) error {
	place := map[int32]int{}
	for j, w := range n {
		place[w.id] = j
	}
	position, uses := map[int32]int{}, map[int32]int{} // of a word of q
	for _, m := range p.monomials() {
		c, q, w := p[m], m[0], m[1]
		j, ok := place[w]
		if !ok {
			q, w = w, q
			j, ok = place[w]
		}
		k := int(c.TrailingZeroBits())/64 - j
		if !ok || q == 0 || k < 0 || k >= words || c.Cmp(pow(uint(64*(k+j)))) != 0 {
			return fmt.Errorf("left over: %s", d.show(m, c))
		}
		if at, seen := position[q]; seen && at != k {
			return fmt.Errorf("%s has a wrong weight", d.show(m, c))
		}
		position[q] = k
		uses[q]++
	}
	taken := map[int]bool{}
	for q, k := range position {
		if uses[q] != len(n) || taken[k] {
			return fmt.Errorf("a word of q is multiplied by %d words of n, not by %d, or another has its place", uses[q], len(n))
		}
		taken[k] = true
	}
	return nil
}

// proveSubMasked: adxSubMasked(z, t, n, mask, blocks) sets z = t - n modulo
// 2^(64*words) if mask is 2^64-1, and z = t if it is 0.
func proveSubMasked(f *function, blocks int) (facts, error) {
	n := blockWords * blocks
	d := newDomain()
	m := newMachine(d, f)
	z := &region{name: "z", words: make([]*number, n), writable: true}
	t, modulus := inputs(d, "t", n), inputs(d, "n", n)
	bit := d.input("bit of the mask", one)
	m.pass("z", pointerTo(z))
	m.pass("t", pointerTo(&region{name: "t", words: t}))
	m.pass("n", pointerTo(&region{name: "n", words: modulus}))
	m.pass("mask", wordOf(d.ofBit(bit, [2]*big.Int{nought, ones64}, false)))
	m.pass("blocks", wordOf(d.constant(big.NewInt(int64(blocks)), true)))
	if err := m.run(); err != nil {
		return facts{}, err
	}
	if err := stored("z", z.words); err != nil {
		return facts{}, err
	}
	left := polynomial{}
	left.addWords(z.words, 0, 1)
	left.addWords(t, 0, -1)
	left, err := d.expand(left, expansion{})
	if err != nil {
		return facts{}, err
	}
	for i, w := range modulus {
		left.add(pair(w, bit), pow(uint(64*i)))
	}
	dropMultiples(left, uint(64*n))
	if err := d.nothingLeft("z - t + n*bit", left); err != nil {
		return facts{}, err
	}
	return m.facts(z.words), m.leavesNothing()
}

// proveADXGather: as proveGather, for entries of 8*blocks words.
func proveADXGather(f *function, blocks int) (facts, error) {
	return proveGather(f, blockWords*blocks, func(m *machine) {
		m.pass("blocks", wordOf(m.constant(big.NewInt(int64(blocks)), true)))
	})
}
