//go:build amd64 && !purego

package modexp

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// What _prove proves of the assembly it proves under preconditions, P1 to P9 of its
// doc.go, which the Go code of this package provides. The tests of this file hold them.

// watched is a kernel that checks the preconditions of each call.
type watched struct {
	kernel
	t     *testing.T
	n     *big.Int
	calls map[string]int
}

func (w *watched) mul(z, x, y, tmp []uint64) {
	w.calls["mul"]++
	w.operand("x", x)
	w.operand("y", y)
	w.lengths("z", z, w.words())
	w.workingSpace(tmp, z, x, y)
	w.kernel.mul(z, x, y, tmp)
}

func (w *watched) sqr(z []uint64, n int, tmp []uint64) {
	w.calls["sqr"]++
	w.operand("z", z)
	w.workingSpace(tmp, z)
	require.Positive(w.t, n, "P8: squarings")
	w.kernel.sqr(z, n, tmp)
}

func (w *watched) gather(z, table []uint64, index int) {
	w.calls["gather"]++
	w.lengths("z", z, w.words())
	w.lengths("table", table, w.words()<<windowBits)
	require.False(w.t, overlap(z, table), "P2: z and the table")
	require.True(w.t, 0 <= index && index < 1<<windowBits, "P8: index %d", index)
	for i := range 1 << windowBits {
		w.operand("entry of the table", table[i*w.words():][:w.words()])
	}
	w.kernel.gather(z, table, index)
}

func (w *watched) lengths(what string, x []uint64, words int) {
	require.Len(w.t, x, words, "P1: %s", what)
}

// operand: what is multiplied is in the kernel's format, P3, and not above its bound,
// P7.
func (w *watched) operand(what string, x []uint64) {
	w.lengths(what, x, w.words())
	value := w.value(x)
	if k, ok := w.kernel.(*ifma); ok {
		for j := range lanes * k.vectors {
			d := x[k.index(j)]
			require.Less(w.t, d, uint64(1)<<digitBits, "P3: digit %d of %s", j, what)
			require.True(w.t, j < k.digits || d == 0, "P3: digit %d of %s", j, what)
		}
		require.LessOrEqual(w.t, value.Cmp(new(big.Int).Lsh(w.n, 2)), 0, "P7: %s", what)
	}
}

// value is independent of unpack.
func (w *watched) value(x []uint64) *big.Int {
	k, ok := w.kernel.(*ifma)
	if !ok {
		return toBig(x)
	}
	v := new(big.Int)
	for j := k.words() - 1; j >= 0; j-- {
		v.Lsh(v, digitBits).Add(v, new(big.Int).SetUint64(x[k.index(j)]))
	}
	return v
}

// workingSpace: tmp overlaps nothing, and nothing overlaps the modulus or its constants.
func (w *watched) workingSpace(tmp []uint64, operands ...[]uint64) {
	var modulus [][]uint64
	switch k := w.kernel.(type) {
	case *adx:
		w.lengths("tmp", tmp, 2*len(k.n))
		modulus = append(modulus, k.n)
	case *ifma:
		modulus = append(modulus, k.context)
	}
	for _, x := range operands {
		require.False(w.t, overlap(x, tmp), "P2: an operand and tmp")
		for _, n := range modulus {
			require.False(w.t, overlap(x, n), "P2: an operand and the modulus")
		}
		for _, y := range operands {
			same := &x[0] == &y[0] && len(x) == len(y)
			require.True(w.t, same || !overlap(x, y), "P2: operands that are not the same")
		}
	}
	for _, n := range modulus {
		require.False(w.t, overlap(n, tmp), "P2: the modulus and tmp")
	}
}

// overlap says whether a change of x changes y.
func overlap(x, y []uint64) bool {
	before := slices.Clone(y)
	flip := func() {
		for i := range x {
			x[i] = ^x[i]
		}
	}
	flip()
	defer flip()
	return !slices.Equal(before, y)
}

func TestOverlap(t *testing.T) {
	x := make([]uint64, 10)
	require.True(t, overlap(x[:5], x[4:]))
	require.False(t, overlap(x[:5], x[5:]))
	require.Equal(t, make([]uint64, 10), x)
}

// TestPreconditions has every operation of montgomery make its calls to a kernel that
// checks them: P1, P2, P3, P7 and P8. Those that compute the constants are among them.
func TestPreconditions(t *testing.T) {
	for _, bits := range adxSizes {
		for _, n := range []*big.Int{largest(bits), smallest(bits), patternModulus(t, bits)} {
			for name, plain := range kernelsOf(n) {
				t.Run(fmt.Sprintf("%s/%d", name, bits), func(t *testing.T) {
					w := &watched{kernel: plain.kernel, t: t, n: n, calls: map[string]int{}}
					m := newMontgomery(w, wordsOf(n))
					w.operand("one", m.one)
					w.operand("rr", m.rr)
					w.operand("radix", m.radix)
					below := new(big.Int).Sub(n, big.NewInt(1))
					words := func(x *big.Int) []uint64 {
						w := make([]uint64, len(m.n))
						SetBytes(w, x.Bytes())
						return w
					}
					for _, x := range []*big.Int{below, new(big.Int), randBelow(t, n)} {
						m.exp(words(x), []byte{0xff, 0x00, 0x81})
						for _, e := range []uint{1, 2, 3, 64, 65537} {
							m.expShortVarTime(words(x), e)
						}
						m.mul(words(x), words(below))
						m.reduce(words(x), largest(3*bits+8).Bytes())
					}
					for _, call := range []string{"mul", "sqr", "gather"} {
						require.NotZero(t, w.calls[call], call)
					}
				})
			}
		}
	}
}

func largest(bits int) *big.Int {
	x := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	return x.Sub(x, big.NewInt(1))
}

func smallest(bits int) *big.Int {
	return new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
}

// TestPreconditionsOfModulus computes what a kernel keeps of a modulus: P4, P5 and P6 of
// the IFMA kernels, P9 and the blocks of the ADX kernel.
func TestPreconditionsOfModulus(t *testing.T) {
	for _, bits := range adxSizes {
		for i := range 20 {
			n := patternModulus(t, bits)
			switch i {
			case 0:
				n = largest(bits)
			case 1:
				n = smallest(bits)
			}
			for name, m := range kernelsOf(n) {
				w := &watched{kernel: m.kernel, t: t, n: n}
				switch k := m.kernel.(type) {
				case *ifma:
					w.contextIsRight(k)
				case *adx:
					require.Equal(t, wordsOf(n), k.n, "P9")
					require.Equal(t, ^uint64(0), k.k0*k.n[0], "P9: k0*n[0] = -1")
					require.Equal(t, len(k.n), 8*k.blocks, "P8")
					require.True(t, 2 <= k.blocks && k.blocks <= 16, "P8")
				default:
					require.Fail(t, "an unknown kernel", name)
				}
			}
		}
	}
}

func (w *watched) contextIsRight(k *ifma) {
	words := k.words()
	w.lengths("context", k.context, 3*words+2)
	part := func(i int) []uint64 { return k.context[i*words : (i+1)*words] }
	for i, name := range []string{"M2", "N", "M1"} {
		w.operand(name, part(i))
	}
	require.Zero(w.t, w.value(part(1)).Cmp(w.n), "P4: N")
	require.LessOrEqual(w.t, w.n.BitLen()+2, k.radixBits(), "P4: 4N fits")
	require.Equal(w.t, uint(1), w.n.Bit(0), "P4: N is odd")
	for i, part := range map[uint][]uint64{104: part(0), 52: part(2)} {
		// M 2^i = 1 + kN with 0 <= k < 2^i
		k, rest := new(big.Int).Lsh(w.value(part), i), new(big.Int)
		k.QuoRem(k.Sub(k, big.NewInt(1)), w.n, rest)
		require.Zero(w.t, rest.Sign(), "P5: 2^%d M = 1 mod N", i)
		require.True(w.t, k.Sign() >= 0 && k.BitLen() <= int(i), "P5: the factor of N")
	}
	k0, mask := k.context[3*words], k.context[3*words+1]
	require.Less(w.t, k0, uint64(1)<<digitBits, "P6: k0")
	require.Equal(w.t, uint64(digitMask), k0*part(1)[0]&digitMask, "P6: k0*N[0] = -1")
	require.Equal(w.t, uint64(1)<<52-1, mask, "P6: the mask")
}
