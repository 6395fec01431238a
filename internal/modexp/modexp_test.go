package modexp

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

func randBelow(t testing.TB, n *big.Int) *big.Int {
	x, err := rand.Int(rand.Reader, n)
	require.NoError(t, err)
	return x
}

func oddOf(t testing.TB, bits int) *big.Int {
	n := randBelow(t, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	n.SetBit(n, bits-1, 1)
	return n.SetBit(n, 0, 1)
}

// TestAgainstBig compares every operation of every implementation with math/big, at the
// sizes in use, at sizes that are not whole bytes or limbs, and at the edges of the
// range.
func TestAgainstBig(t *testing.T) {
	for _, bits := range []int{17, 63, 64, 65, 1000, 1024, 1031, 1536, 2047, 2048, 3072, 4096, 6144, 8192} {
		n := oddOf(t, bits)
		for _, i := range available(bits) {
			t.Run(fmt.Sprintf("%d/%s", bits, i.name), func(t *testing.T) { compareWithBig(t, n, i) })
		}
	}
}

func compareWithBig(t *testing.T, n *big.Int, i implementation) {
	m := modulusFor(t, n.Bytes(), i)
	require.Equal(t, n.BitLen(), m.BitLen())
	require.Equal(t, (n.BitLen()+7)/8, m.Size())
	one := big.NewInt(1)
	fill := func(x *big.Int) []byte { return x.FillBytes(make([]byte, m.Size())) }
	values := []*big.Int{new(big.Int), one, big.NewInt(2), new(big.Int).Sub(n, one), randBelow(t, n), randBelow(t, n)}
	exponent := make([]byte, 24)
	rand.Read(exponent)
	for _, a := range values {
		for _, e := range [][]byte{exponent, nil, {0}, {0, 0, 1}, {255}, {1, 0}} {
			want := fill(new(big.Int).Exp(a, new(big.Int).SetBytes(e), n))
			got, err := m.Exp(fill(a), e)
			require.NoError(t, err)
			require.Equal(t, want, got)
			got = fill(a)
			require.NoError(t, m.ExpTo(got, got, e), "in place")
			require.Equal(t, want, got)
		}
		for _, e := range []uint{0, 1, 2, 3, 4, 17, 65536, 65537, 1 << 31} {
			got, err := m.ExpShortVarTime(fill(a), e)
			require.NoError(t, err)
			require.Equal(t, fill(new(big.Int).Exp(a, new(big.Int).SetUint64(uint64(e)), n)), got, "%d", e)
		}
		for _, b := range values {
			z := new(big.Int)
			got, err := m.Mul(fill(a), fill(b))
			require.NoError(t, err)
			require.Equal(t, fill(z.Mul(a, b).Mod(z, n)), got)
			got, err = m.Sub(fill(a), fill(b))
			require.NoError(t, err)
			require.Equal(t, fill(z.Sub(a, b).Mod(z, n)), got)
		}
	}
	for _, size := range []int{0, 1, m.Size() - 1, m.Size(), m.Size() + 1, 2 * m.Size(), 3*m.Size() + 5} {
		x := make([]byte, size)
		rand.Read(x)
		require.Equal(t, fill(new(big.Int).Mod(new(big.Int).SetBytes(x), n)), m.Reduce(x))
		for i := range x {
			x[i] = 255
		}
		require.Equal(t, fill(new(big.Int).Mod(new(big.Int).SetBytes(x), n)), m.Reduce(x))
	}
}

func TestRefused(t *testing.T) {
	for _, n := range [][]byte{nil, {}, {0}, {1}, {2}, {0, 0, 1}, {1, 0}, {255, 255, 254}} {
		_, err := NewModulus(n)
		require.ErrorIs(t, err, ErrModulus, "%x", n)
	}
	n := oddOf(t, 2048)
	m, err := NewModulus(append([]byte{0, 0}, n.Bytes()...))
	require.NoError(t, err)
	good := make([]byte, 256)
	require.ErrorIs(t, m.ExpTo(make([]byte, 255), good, good), ErrRange)
	for _, bad := range [][]byte{nil, make([]byte, 255), make([]byte, 257), n.Bytes(), new(big.Int).Add(n, big.NewInt(1)).FillBytes(make([]byte, 256))} {
		_, err = m.Exp(bad, good)
		require.ErrorIs(t, err, ErrRange)
		untouched := make([]byte, 256)
		require.ErrorIs(t, m.ExpTo(untouched, bad, good), ErrRange)
		require.Equal(t, make([]byte, 256), untouched)
		_, err = m.ExpShortVarTime(bad, 3)
		require.ErrorIs(t, err, ErrRange)
		for _, op := range []func(a, b []byte) ([]byte, error){m.Mul, m.Sub} {
			_, err = op(bad, good)
			require.ErrorIs(t, err, ErrRange)
			_, err = op(good, bad)
			require.ErrorIs(t, err, ErrRange)
		}
	}
}

// TestMulAdd: lengths that are and are not whole words, the largest operands, and results
// shorter than the operands together.
func TestMulAdd(t *testing.T) {
	one := big.NewInt(1)
	allOnes := func(bits int) *big.Int { x := new(big.Int).Lsh(one, uint(bits)); return x.Sub(x, one) }
	for _, bits := range []int{8, 63, 64, 65, 1000, 1024, 2048, 3072} {
		for _, hBits := range []int{1, 64, bits, 2*bits + 3} {
			for _, m := range []*big.Int{allOnes(bits), oddOf(t, bits), new(big.Int).Lsh(one, uint(bits-1))} {
				for _, h := range []*big.Int{new(big.Int), one, allOnes(hBits), oddOf(t, hBits)} {
					for _, a := range []*big.Int{new(big.Int), new(big.Int).Sub(m, one), randBelow(t, m)} {
						want := new(big.Int).Mul(m, h)
						want.Add(want, a)
						for _, size := range []int{(want.BitLen() + 7) / 8, (bits+7)/8 + (hBits+7)/8 + 1} {
							got := MulAdd(m.Bytes(), h.FillBytes(make([]byte, (hBits+7)/8)), a.FillBytes(make([]byte, (bits+7)/8)), size)
							require.Equal(t, want.FillBytes(make([]byte, size)), got)
						}
					}
				}
			}
		}
	}
}

// TestPublic compares the operations on public numbers with math/big.
func TestPublic(t *testing.T) {
	for range 20 {
		m := oddOf(t, 512)
		a := randBelow(t, m)
		inverse, ok := InverseVarTime(a.FillBytes(make([]byte, 64)), m.Bytes())
		want := new(big.Int).ModInverse(a, m)
		require.Equal(t, want != nil, ok)
		if ok {
			require.Equal(t, want.FillBytes(make([]byte, 64)), inverse)
		}
		require.Equal(t, want != nil, GCDIsOneVarTime(a.Bytes(), m.Bytes()))
		require.Equal(t, want != nil, GCDIsOneVarTime(m.Bytes(), a.Bytes()))
	}
	m := oddOf(t, 512)
	a := oddOf(t, 100)
	product := new(big.Int).Mul(m, a)
	require.False(t, GCDIsOneVarTime(product.Bytes(), a.Bytes()))
	_, ok := InverseVarTime(a.FillBytes(make([]byte, len(product.Bytes()))), product.Bytes())
	require.False(t, ok)
	require.Panics(t, func() { InverseVarTime(m.Bytes(), m.Bytes()) })
}
