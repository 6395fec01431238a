//go:build amd64 && !purego

package modexp

import (
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// kernelsOf returns every kernel of this processor for n, with the arithmetic on top of
// it.
func kernelsOf(n *big.Int) map[string]*montgomery {
	kernels := make(map[string]*montgomery)
	for _, i := range available(n.BitLen()) {
		if m, ok := i.prepare(wordsOf(n)).(*montgomery); ok {
			kernels[i.name] = m
		}
	}
	return kernels
}

func (m *montgomery) fromBig(x *big.Int) []uint64 {
	words := make([]uint64, len(m.n)+1)
	SetBytes(words, x.Bytes())
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

// bound is what the results of a kernel must stay below: 3n + n/256 is proven in
// _asm/ifma.go, R and so 2n in _asm/adx.go.
func (m *montgomery) bound(n *big.Int) *big.Int {
	if _, ok := m.kernel.(*ifma); ok {
		b := new(big.Int).Mul(n, big.NewInt(3))
		return b.Add(b, new(big.Int).Rsh(n, 8))
	}
	return new(big.Int).Lsh(big.NewInt(1), uint(m.radixBits()))
}

// factors draws the operands of one product. A third of them make the product v, for a
// v with a pattern, out of v*R and 1 or of v and R: so carries run through whole
// results.
func (m *montgomery) factors(t testing.TB, n, r *big.Int) (x, y *big.Int) {
	v := pattern(t, n.BitLen())
	switch v.Mod(v, n); randInt(t, 6) {
	case 0:
		x = new(big.Int).Mul(v, r)
		return x.Mod(x, n), big.NewInt(1)
	case 1:
		return v, new(big.Int).Mod(r, n)
	}
	return m.operand(t, n), m.operand(t, n)
}

// TestProducts compares single multiplications and squarings with math/big, on operands
// up to the bounds of lazy reduction. In the long run these are 10^6 products of each
// kernel.
func TestProducts(t *testing.T) {
	iterations := 1000
	switch {
	case *long:
		iterations = 60_000
	case testing.Short():
		iterations = 200
	}
	for _, bits := range adxSizes {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			products := map[string]int{}
			rounds := iterations / 50
			if bits > 4096 {
				rounds = (rounds + 3) / 4 // the same rows as in the smaller sizes
			}
			for range rounds {
				n := patternModulus(t, bits)
				for name, m := range kernelsOf(n) {
					for range 50 {
						products[name] += compareProducts(t, m, n)
					}
				}
			}
			t.Logf("%v products", products)
		})
	}
}

// compareProducts makes one product and one or two squarings.
func compareProducts(t *testing.T, m *montgomery, n *big.Int) (products int) {
	r := new(big.Int).Lsh(big.NewInt(1), uint(m.radixBits()))
	inverse := new(big.Int).ModInverse(r, n)
	bound := m.bound(n)
	tmp := make([]uint64, 2*len(m.n))
	check := func(what string, z []uint64, want *big.Int) {
		got := m.toBig(z)
		require.Equal(t, m.fromBig(got), z, "%s: not normalized", what)
		require.Negative(t, got.Cmp(bound), "%s: exceeds its bound", what)
		require.Zero(t, got.Mod(got, n).Cmp(want), "%s: wrong modulo %x", what, n)
	}
	x, y := m.factors(t, n, r)
	px, py, z := m.fromBig(x), m.fromBig(y), aligned(m.words())
	want := new(big.Int).Mul(x, y)
	want.Mul(want, inverse).Mod(want, n)
	m.kernel.mul(z, px, py, tmp)
	check("product", z, want)
	m.kernel.mul(py, px, py, tmp)
	require.Equal(t, z, py, "z is y")

	times := 1 + randInt(t, 2)
	want.Set(x)
	for range times {
		want.Mul(want, want).Mul(want, inverse).Mod(want, n)
	}
	m.sqr(px, times, tmp)
	check("square", px, want)
	return 2 + times
}

// TestGather reads every index of a table of random numbers.
func TestGather(t *testing.T) {
	for _, bits := range adxSizes {
		n := oddOf(t, bits)
		for name, m := range kernelsOf(n) {
			w := m.words()
			table := aligned(w << windowBits)
			for i := range table {
				table[i] = randBelow(t, new(big.Int).Lsh(big.NewInt(1), 64)).Uint64()
			}
			for i := range 1 << windowBits {
				z := aligned(w)
				m.gather(z, table, i)
				require.Equal(t, table[i*w:(i+1)*w], z, "%s/%d entry %d", name, bits, i)
			}
		}
	}
}

// TestConstants checks what newMontgomery computes without a division.
func TestConstants(t *testing.T) {
	for _, bits := range adxSizes {
		for range 10 {
			n := patternModulus(t, bits)
			for _, m := range kernelsOf(n) {
				r := new(big.Int).Lsh(big.NewInt(1), uint(m.radixBits()))
				require.Zero(t, m.toBig(m.one).Cmp(new(big.Int).Mod(r, n)))
				rr := m.toBig(m.rr)
				require.Zero(t, rr.Mod(rr, n).Cmp(new(big.Int).Mod(new(big.Int).Mul(r, r), n)))
				radix := new(big.Int).Lsh(big.NewInt(1), uint(bits))
				require.Zero(t, m.toBig(m.radix).Cmp(radix.Mod(radix, n)))
				if k, ok := m.kernel.(*ifma); ok {
					requireIFMAContext(t, m, k, n)
				}
			}
		}
	}
}

// requireIFMAContext checks M1 and M2 by their definition: one more than a multiple of n,
// divided by a power of 2^52, and below n.
func requireIFMAContext(t *testing.T, m *montgomery, k *ifma, n *big.Int) {
	w := k.words()
	for i, from := range []int{2 * w, 0} { // M1, M2
		multiplier := m.toBig(k.context[from : from+w])
		require.Negative(t, multiplier.Cmp(n))
		scaled := new(big.Int).Lsh(multiplier, uint(digitBits*(i+1)))
		scaled.Sub(scaled, big.NewInt(1))
		require.Zero(t, scaled.Mod(scaled, n).Sign())
	}
}

// TestWorkingSpaceWiped looks at working space after use.
func TestWorkingSpaceWiped(t *testing.T) {
	a := newArena()
	words := a.words
	for i := range a.take(1000) {
		words[i] = ^uint64(0)
	}
	a.wipe()
	require.Equal(t, make([]uint64, len(words)), words)

	n := oddOf(t, 4096)
	x, b := wordsOf(randBelow(t, n)), randBelow(t, n).FillBytes(make([]byte, 512))
	for name, m := range kernelsOf(n) {
		m.exp(x, b)
		m.mul(x, x)
		m.expShortVarTime(x, 65537)
		m.reduce(x, append(b, b...))
		// Whatever is in the pool now, some of it has been used.
		for range 8 {
			a := newArena()
			require.Zero(t, a.used)
			require.Equal(t, make([]uint64, len(a.words)), a.words, name)
		}
	}
}

// TestSwitches runs the comparison with math/big again in a process whose GODEBUG
// forbids implementations.
func TestSwitches(t *testing.T) {
	binary, err := os.Executable()
	require.NoError(t, err)
	for _, c := range []struct{ godebug, without string }{
		{"cpu.avx512ifma=off", "ifma"},
		{"cpu.avx512=off", "ifma"},
		{"cpu.avx512f=off,cpu.adx=off", "ifma adx"},
		{"cpu.bmi2=off", "adx"},
		{"cpu.all=off", "ifma adx"},
	} {
		t.Run(c.godebug, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, "-test.run=^TestAgainstBig$/^(1024|2048|3072)$", "-test.v")
			cmd.Env = append(os.Environ(), "GODEBUG="+c.godebug)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "--- PASS: TestAgainstBig")
			require.Contains(t, string(out), "TestAgainstBig/2048/"+portable.name)
			for name := range strings.FieldsSeq(c.without) {
				require.NotContains(t, string(out), "/"+name, "must not be used")
			}
		})
	}
}
