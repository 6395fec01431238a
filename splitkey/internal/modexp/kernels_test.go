//go:build amd64 && !purego

package modexp

import (
	"flag"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

// long makes the differential tests as long as the numbers that stand in the comments
// of the tests; without it they are a hundredth of that.
var long = flag.Bool("kernel.long", false, "run the differential tests of the assembly at full length")

// kernelsOf returns every kernel of this processor for n, with the arithmetic on top of it.
func kernelsOf(t testing.TB, n *big.Int) map[string]*montgomery {
	kernels := make(map[string]*montgomery)
	for _, i := range available(n.BitLen()) {
		if m, ok := i.make(n.Bytes()).(*montgomery); ok {
			kernels[i.name] = m
		}
	}
	if len(kernels) == 0 {
		t.Skip("this processor has neither AVX-512 IFMA nor ADX")
	}
	return kernels
}

// pattern draws a number below 2^bits from distributions that find carries: uniform,
// near zero, near the top, long runs of equal bits, and next to a power of two at the edge of a digit
// or word.
func pattern(t testing.TB, bits int) *big.Int {
	one := big.NewInt(1)
	top := new(big.Int).Lsh(one, uint(bits))
	small := big.NewInt(int64(randInt(t, 4)))
	x := new(big.Int)
	switch randInt(t, 6) {
	case 0, 1:
		return randBelow(t, top)
	case 2:
		return small
	case 3:
		return x.Sub(top, small.Add(small, one))
	case 4:
		for i := 0; i < bits; {
			run := 1 + randInt(t, 200)
			if randInt(t, 2) == 1 {
				for k := i; k < min(i+run, bits); k++ {
					x.SetBit(x, k, 1)
				}
			}
			i += run
		}
		return x
	default:
		edge := []int{52, 64}[randInt(t, 2)]
		x.Lsh(one, uint(edge*randInt(t, bits/edge+1)))
		x.Sub(x, small)
		return x.Abs(x).Mod(x, top)
	}
}

func randInt(t testing.TB, n int) int {
	return int(randBelow(t, big.NewInt(int64(n))).Int64())
}

// patternModulus draws an odd number of exactly that many bits.
func patternModulus(t testing.TB, bits int) *big.Int {
	n := pattern(t, bits-1)
	return n.SetBit(n, bits-1, 1).SetBit(n, 0, 1)
}

func (m *montgomery) fromBig(x *big.Int) []uint64 {
	words := make([]uint64, len(m.n)+1)
	setBytes(words, x.Bytes())
	z := aligned(m.words())
	m.pack(z, words)
	return z
}

func (m *montgomery) toBig(z []uint64) *big.Int {
	words := make([]uint64, len(m.n)+1)
	m.unpack(words, z)
	b := make([]byte, 8*len(words))
	fillBytes(b, words)
	return new(big.Int).SetBytes(b)
}

// requireNormal checks the format: what pack makes of the value.
func (m *montgomery) requireNormal(t testing.TB, z []uint64) {
	require.Equal(t, m.fromBig(m.toBig(z)), z, "not normalized")
}

// operand draws a number that a kernel must accept: up to the bound of its results,
// (excess+1)*n, but always below R.
func (m *montgomery) operand(t testing.TB, n *big.Int) *big.Int {
	bound := new(big.Int).Mul(n, big.NewInt(int64(m.excess()+1)))
	if r := new(big.Int).Lsh(big.NewInt(1), uint(m.radixBits())); bound.Cmp(r) > 0 {
		bound = r
	}
	x := pattern(t, n.BitLen())
	switch randInt(t, 4) {
	case 0: // at the bound
		x.Sub(bound, big.NewInt(int64(1+randInt(t, 3))))
	case 1: // around multiples of n
		x.Mul(n, big.NewInt(int64(randInt(t, m.excess()+2))))
		x.Add(x, big.NewInt(int64(randInt(t, 5)-2))).Abs(x)
	}
	return x.Mod(x, bound)
}

// TestProducts compares single multiplications and squarings with math/big, on
// operands up to the bounds of lazy reduction: 10^6 products in the long run.
func TestProducts(t *testing.T) {
	iterations := 1500
	if *long {
		iterations = 150_000
	}
	for _, bits := range kernelSizes {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			var kernels map[string]*montgomery
			var n *big.Int
			products := 0
			for i := range iterations {
				if i%50 == 0 {
					n = patternModulus(t, bits)
					kernels = kernelsOf(t, n)
				}
				for name, m := range kernels {
					r := new(big.Int).Lsh(big.NewInt(1), uint(m.radixBits()))
					inverse := r.ModInverse(r, n)
					bound := new(big.Int).Mul(n, big.NewInt(int64(m.excess()+1)))
					tmp := make([]uint64, 2*len(m.n))
					check := func(what string, z []uint64, want *big.Int) {
						m.requireNormal(t, z)
						got := m.toBig(z)
						require.Negative(t, got.Cmp(bound), "%s %s: bound", name, what)
						require.Zero(t, got.Mod(got, n).Cmp(want), "%s %s: wrong modulo %x", name, what, n)
						products++
					}
					x, y := m.operand(t, n), m.operand(t, n)
					px, py, z := m.fromBig(x), m.fromBig(y), aligned(m.words())
					want := new(big.Int).Mul(x, y)
					want.Mul(want, inverse).Mod(want, n)
					m.kernel.mul(z, px, py, tmp)
					check("product", z, want)
					m.kernel.mul(px, px, py, tmp)
					require.Equal(t, z, px, "%s: z is x", name)

					want.Set(y)
					times := 1 + randInt(t, 2)
					for range times {
						want.Mul(want, want).Mul(want, inverse).Mod(want, n)
					}
					m.sqr(py, times, tmp)
					check("square", py, want)
				}
			}
			t.Logf("%d products", products)
		})
	}
}
