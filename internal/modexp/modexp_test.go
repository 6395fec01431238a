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
	m := modulusFor(n.Bytes(), i)
	require.Equal(t, n.BitLen(), m.BitLen())
	require.Equal(t, (n.BitLen()+7)/8, m.Size())
	one := big.NewInt(1)
	fill := func(x *big.Int) []byte { return x.FillBytes(make([]byte, m.Size())) }
	values := []*big.Int{new(big.Int), one, big.NewInt(2), new(big.Int).Sub(n, one), randBelow(t, n), randBelow(t, n)}
	exponent := make([]byte, 24)
	rand.Read(exponent)
	elem := func(x *big.Int) *Elem {
		e, err := m.Elem(fill(x))
		require.NoError(t, err)
		require.Equal(t, fill(x), e.Bytes())
		return e
	}
	require.Equal(t, fill(n), m.Bytes())
	require.Equal(t, fill(one), m.One().Bytes())
	for _, a := range values {
		x := elem(a)
		for _, e := range [][]byte{exponent, nil, {0}, {0, 0, 1}, {255}, {1, 0}} {
			want := fill(new(big.Int).Exp(a, new(big.Int).SetBytes(e), n))
			z := x.Clone()
			require.Same(t, z, z.Exp(e))
			require.Equal(t, want, z.Bytes())
		}
		for _, e := range []uint{0, 1, 2, 3, 4, 17, 65536, 65537, 1 << 31} {
			want := fill(new(big.Int).Exp(a, new(big.Int).SetUint64(uint64(e)), n))
			require.Equal(t, want, x.Clone().ExpShortVarTime(e).Bytes(), "%d", e)
		}
		for _, b := range values {
			z, y := new(big.Int), elem(b)
			require.Equal(t, fill(z.Mul(a, b).Mod(z, n)), x.Clone().Mul(y).Bytes())
			require.Equal(t, fill(z.Sub(a, b).Mod(z, n)), x.Clone().Sub(y).Bytes())
			require.Equal(t, a.Cmp(b) == 0, x.Equal(y) == 1)
			require.Equal(t, fill(b), y.Bytes(), "an operand is left as it is")
		}
		square := x.Clone()
		z := new(big.Int)
		require.Equal(t, fill(z.Mul(a, a).Mod(z, n)), square.Mul(square).Bytes(), "in place")
		require.Equal(t, a.Sign() == 0, x.IsZero() == 1)
		require.Equal(t, a.Cmp(one) == 0, x.IsOne() == 1)
		require.Equal(t, z.Add(a, one).Cmp(n) == 0, x.IsMinusOne() == 1)
		require.Equal(t, fill(a), x.Bytes(), "no clone changed it")
		x.Wipe()
		require.Equal(t, fill(new(big.Int)), x.Bytes())
	}
	for _, size := range []int{0, 1, m.Size() - 1, m.Size(), m.Size() + 1, 2 * m.Size(), 3*m.Size() + 5} {
		x := make([]byte, size)
		rand.Read(x)
		require.Equal(t, fill(new(big.Int).Mod(new(big.Int).SetBytes(x), n)), m.Reduce(x).Bytes())
		for i := range x {
			x[i] = 255
		}
		require.Equal(t, fill(new(big.Int).Mod(new(big.Int).SetBytes(x), n)), m.Reduce(x).Bytes())
	}
}

// TestRefused: a bad modulus panics, as a fault of this repository; bytes that are no
// element are refused, as they may come from outside; elements of two moduli panic.
func TestRefused(t *testing.T) {
	for _, n := range [][]byte{nil, {}, {0}, {1}, {2}, {0, 0, 1}, {1, 0}, {255, 255, 254}, {127, 255}} {
		require.Panics(t, func() { NewModulus(n) }, "%x", n)
	}
	n := oddOf(t, 2048)
	m := NewModulus(append([]byte{0, 0}, n.Bytes()...))
	for _, bad := range [][]byte{nil, make([]byte, 255), make([]byte, 257), n.Bytes(), new(big.Int).Add(n, big.NewInt(1)).FillBytes(make([]byte, 256))} {
		_, err := m.Elem(bad)
		require.ErrorIs(t, err, ErrRange)
	}
	_, err := m.Elem(new(big.Int).Sub(n, big.NewInt(1)).FillBytes(make([]byte, 256)))
	require.NoError(t, err)
	x, y := m.One(), NewModulus(n.Bytes()).One()
	for _, op := range []func(){func() { x.Mul(y) }, func() { x.Sub(y) }, func() { x.Equal(y) }} {
		require.Panics(t, op)
	}
}

// TestCheckedRoot: the root is returned; any other number, one not reduced and one of
// another length are refused.
func TestCheckedRoot(t *testing.T) {
	n := oddOf(t, 2048)
	m := NewModulus(n.Bytes())
	for _, y := range []*big.Int{new(big.Int), big.NewInt(1), big.NewInt(2), new(big.Int).Sub(n, big.NewInt(1)), randBelow(t, n)} {
		for _, e := range []uint{3, 65537} {
			b := y.FillBytes(make([]byte, 256))
			x := m.Reduce(b).ExpShortVarTime(e)
			root, err := m.CheckedRootVarTime(b, e, x)
			require.NoError(t, err)
			require.Equal(t, b, root.Bytes())
			_, err = m.CheckedRootVarTime(b, e, x.Clone().Sub(m.One()))
			require.ErrorIs(t, err, ErrRoot)
			wrong := new(big.Int).Add(y, big.NewInt(1))
			_, err = m.CheckedRootVarTime(wrong.Mod(wrong, n).FillBytes(make([]byte, 256)), e, x)
			require.ErrorIs(t, err, ErrRoot)
			for _, bad := range [][]byte{nil, b[1:], append([]byte{0}, b...), n.Bytes()} {
				_, err = m.CheckedRootVarTime(bad, e, x)
				require.ErrorIs(t, err, ErrRange)
			}
		}
	}
}

// TestGarner: moduli of equal and of different lengths, that are and are not whole words,
// the largest elements, and sizes that are just enough and more.
func TestGarner(t *testing.T) {
	one := big.NewInt(1)
	largest := func(bits int) *big.Int { x := new(big.Int).Lsh(one, uint(bits)); return x.Sub(x, one) }
	for _, bits := range []int{16, 63, 64, 65, 1000, 1024, 2048} {
		for _, bits2 := range []int{17, 64, bits, bits + 1, 2*bits + 3} {
			for _, n1 := range []*big.Int{largest(bits), oddOf(t, bits)} {
				n2 := oddOf(t, bits2)
				inverse := new(big.Int).ModInverse(n1, n2)
				if inverse == nil {
					continue
				}
				n := new(big.Int).Mul(n1, n2)
				m1, m2 := NewModulus(n1.Bytes()), NewModulus(n2.Bytes())
				for _, x := range []*big.Int{new(big.Int), one, new(big.Int).Sub(n, one), randBelow(t, n)} {
					for _, size := range []int{(n.BitLen() + 7) / 8, (bits+7)/8 + (bits2+7)/8 + 1} {
						x1, x2 := m1.Reduce(x.Bytes()), m2.Reduce(x.Bytes())
						b1, b2 := x1.Bytes(), x2.Bytes()
						require.Equal(t, x.FillBytes(make([]byte, size)), Garner(x1, x2, m2.Reduce(inverse.Bytes()), size))
						require.Equal(t, b1, x1.Bytes())
						require.Equal(t, b2, x2.Bytes())
					}
				}
			}
		}
	}
}

// TestPublic compares the operations on public numbers with math/big.
func TestPublic(t *testing.T) {
	inverseOf := func(a, m *big.Int) (*Elem, bool) { return NewModulus(m.Bytes()).Reduce(a.Bytes()).InverseVarTime() }
	for range 20 {
		m := oddOf(t, 512)
		a := randBelow(t, m)
		inverse, ok := inverseOf(a, m)
		want := new(big.Int).ModInverse(a, m)
		require.Equal(t, want != nil, ok)
		if ok {
			require.Equal(t, want.FillBytes(make([]byte, 64)), inverse.Bytes())
		}
	}
	m := oddOf(t, 512)
	a := oddOf(t, 100)
	product := new(big.Int).Mul(m, a)
	_, ok := inverseOf(a, product)
	require.False(t, ok)
}
