package prove

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// assign gives the inputs of a proof their values, by name.
func assign(t *testing.T, d *domain, byName map[string]*big.Int) map[*number]*big.Int {
	inputs := map[*number]*big.Int{}
	for _, n := range d.numbers[1:] {
		if !n.atom || n.compute != nil {
			continue
		}
		v, ok := byName[strings.TrimPrefix(n.name, "first ")]
		if !ok {
			t.Fatalf("no value for %s", n.name)
		}
		inputs[n] = v
	}
	return inputs
}

// digitsOf are those of v, in a shape's radix or in words.
func digitsOf(byName map[string]*big.Int, name string, v *big.Int, count int, bits uint) {
	for j := range count {
		d := new(big.Int).Rsh(v, bits*uint(j))
		byName[fmt.Sprintf("%s[%d]", name, j)] = d.And(d, ones(bits))
	}
}

// minusInverse is -1/n mod 2^k.
func minusInverse(n *big.Int, k uint) *big.Int {
	i := new(big.Int).ModInverse(n, pow(k))
	return i.Sub(pow(k), i)
}

// TestNumbersHold evaluates the proofs of products and squarings on inputs that the
// contracts allow, the largest among them: all intervals and definitions hold, and what
// was proved of the result is true of it.
func TestNumbersHold(t *testing.T) {
	texts, err := sources(modexp, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, s := range shapes {
		functions, err := parse(texts[fmt.Sprintf("ifma%d_amd64.s", s.bits)])
		if err != nil {
			t.Fatal(err)
		}
		mul, err := s.proveMul(functions[fmt.Sprintf("ifmaMul%d", s.bits)])
		if err != nil {
			t.Fatal(err)
		}
		sqr, err := s.proveSqr(functions[fmt.Sprintf("ifmaSqr%d", s.bits)])
		if err != nil {
			t.Fatal(err)
		}
		for turn := range 3 {
			n := ones(uint(s.bits))
			if turn > 0 {
				n = edge(r, n)
				n.SetBit(n.SetBit(n, 0, 1), s.bits-1, 1)
			}
			x, y := new(big.Int).Lsh(n, 2), new(big.Int).Lsh(n, 2)
			if turn > 1 {
				x, y = edge(r, x), edge(r, y)
			}
			in := map[string]*big.Int{"k0": minusInverse(n, 52)}
			for name, v := range map[string]*big.Int{"x": x, "y": y, "N": n, "M1": multiplier(n, 52), "M2": multiplier(n, 104)} {
				digitsOf(in, name, v, s.digits, 52)
			}
			digitsOf(in, "z", x, s.digits, 52)
			for name, c := range map[string]struct {
				facts
				y *big.Int
			}{"product": {mul, y}, "square": {sqr, x}} {
				v, err := evaluate(c.domain, assign(t, c.domain, in))
				if err != nil {
					t.Fatalf("%s, %d bits: %v", name, s.bits, err)
				}
				z := new(big.Int)
				for j := s.words() - 1; j >= 0; j-- {
					z.Lsh(z, 52).Add(z, v(c.words[s.index(j)]))
				}
				if z.Cmp(new(big.Int).Lsh(n, 2)) >= 0 {
					t.Errorf("%s, %d bits: 4N or more", name, s.bits)
				}
				z.Lsh(z, s.radix()).Sub(z, new(big.Int).Mul(x, c.y))
				if z.Mod(z, n).Sign() != 0 {
					t.Errorf("%s, %d bits: wrong", name, s.bits)
				}
			}
		}
	}
}

// multiplier is M1 for k = 52, and M2 for k = 104.
func multiplier(n *big.Int, k uint) *big.Int {
	m := new(big.Int).Mul(minusInverse(n, k), n)
	return m.Rsh(m.Add(m, one), k)
}

// TestRowsHold does the same for the rows of the ADX kernel.
func TestRowsHold(t *testing.T) {
	texts, err := sources(modexp, nil)
	if err != nil {
		t.Fatal(err)
	}
	functions, err := parse(texts["adx_amd64.s"])
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for turn := range 8 {
		blocks := 2 + turn%3
		n := blockWords * blocks
		width := uint(64 * n)
		draw := func(bits uint) *big.Int {
			if turn == 0 {
				return ones(bits)
			}
			return edge(r, ones(bits))
		}
		t0, x, y, mask := draw(2*width), draw(width), draw(512), draw(1)
		x.SetBit(x, 0, 1)
		carry := draw(1)
		in := map[string]*big.Int{"k0": minusInverse(x, 64), "carry": carry, "bit of the mask": mask}
		digitsOf(in, "t", t0, 2*n, 64)
		digitsOf(in, "x", x, n, 64)
		digitsOf(in, "n", x, n, 64)
		digitsOf(in, "y", y, blockWords, 64)
		value := func(v value, words []*number) *big.Int {
			sum := new(big.Int)
			for i := len(words) - 1; i >= 0; i-- {
				sum.Lsh(sum, 64).Add(sum, v(words[i]))
			}
			return sum
		}
		low := func(x *big.Int, bits uint) *big.Int { return new(big.Int).And(x, ones(bits)) }
		t1 := low(t0, width)
		for name, c := range map[string]struct {
			prove func(*function, int) (facts, error)
			right func(z *big.Int) bool
		}{
			"adxMulRow": {proveMulRow, func(z *big.Int) bool {
				want := new(big.Int).Mul(x, y)
				return z.Cmp(want.Add(want, t1)) == 0
			}},
			"adxSqrFinish": {proveSqrFinish, func(z *big.Int) bool {
				want := new(big.Int).Lsh(t0, 1)
				for i := range uint(n) {
					w := low(new(big.Int).Rsh(x, 64*i), 64)
					want.Add(want, w.Mul(w, w).Lsh(w, 128*i))
				}
				return z.Cmp(low(want, 2*width)) == 0
			}},
			"adxReduceRow": {proveReduceRow, func(z *big.Int) bool {
				// z - t is a multiple of n, once the words that became 0 are.
				// carryOut is 0 or 1.
				left := new(big.Int).Sub(z, low(z, 512))
				left.Sub(left, low(t0, width+512)).Sub(left, new(big.Int).Lsh(carry, width))
				if left.Sign() < 0 {
					left.Add(left, pow(width+512))
				}
				q, rest := new(big.Int).QuoRem(left, x, new(big.Int))
				return rest.Sign() == 0 && q.BitLen() <= 512
			}},
			"adxSubMasked": {proveSubMasked, func(z *big.Int) bool {
				want := new(big.Int).Mul(mask, x)
				return z.Cmp(low(want.Sub(t1, want), width)) == 0
			}},
		} {
			f, err := c.prove(functions[name], blocks)
			if err != nil {
				t.Fatal(err)
			}
			v, err := evaluate(f.domain, assign(t, f.domain, in))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !c.right(value(v, f.words)) {
				t.Errorf("%s, %d blocks: wrong", name, blocks)
			}
		}
	}
}
