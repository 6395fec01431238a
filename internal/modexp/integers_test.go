package modexp

import (
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func (s *Integers) fromBig(x *big.Int, words int) []uint64 { return s.FromBytes(x.Bytes(), words) }

// wordsOf returns an x of whole bytes in as many words as it has.
func wordsOf(x *big.Int) []uint64 {
	words := make([]uint64, wordsFor(len(x.Bytes())))
	SetBytes(words, x.Bytes())
	return words
}

func toBig(x []uint64) *big.Int {
	b := make([]byte, 8*len(x))
	FillBytes(b, x)
	return new(big.Int).SetBytes(b)
}

// positive draws a positive number of at most so many words.
func positive(t testing.TB, words int) *big.Int {
	for {
		if x := pattern(t, 1+randInt(t, 64*words)); x.Sign() > 0 {
			return x
		}
	}
}

// requireWiped wipes s, and requires that it was not empty before, and is now.
func requireWiped(t *testing.T, s *Integers) {
	pieces := slices.Clone(s.pieces)
	require.NotEmpty(t, pieces)
	s.Wipe()
	for _, piece := range pieces {
		require.Equal(t, make([]uint64, len(piece)), piece, "wiped")
	}
}

// TestIntegers compares every operation with math/big, for operands of equal and of
// different lengths, small, large and with long runs of equal bits.
func TestIntegers(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 60
	}
	one := big.NewInt(1)
	inverses := 0
	for range rounds {
		xWords, yWords := 1+randInt(t, 6), 1+randInt(t, 6)
		x, y := positive(t, xWords), positive(t, yWords)
		s := new(Integers)
		xs, ys := s.fromBig(x, xWords), s.fromBig(y, yWords)
		z := new(big.Int)
		require.Equal(t, z.Mul(x, y).String(), toBig(s.Product(xs, ys)).String())
		require.Equal(t, z.FillBytes(make([]byte, len(x.Bytes())+len(y.Bytes()))), Product(x.Bytes(), y.Bytes()))
		q, r := s.Divide(xs, ys)
		require.Equal(t, z.Div(x, y).String(), toBig(q).String())
		require.Equal(t, z.Mod(x, y).String(), toBig(r).String())
		require.Equal(t, z.Mod(x, y).String(), toBig(s.Mod(xs, ys)).String())
		m := positive(t, xWords)
		ms := s.fromBig(m, xWords)
		require.Equal(t, z.Mul(x, y).Mod(z, m).String(), toBig(s.MulMod(xs, ys, ms)).String())
		a, b := new(big.Int).Mod(x, m), new(big.Int).Mod(y, m)
		require.Equal(t, z.Sub(a, b).Mod(z, m).String(), toBig(s.SubMod(s.fromBig(a, xWords), s.fromBig(b, xWords), ms)).String())
		require.Equal(t, z.Sub(a, b).Abs(z).String(), toBig(s.Distance(s.fromBig(a, xWords), s.fromBig(b, xWords))).String())

		gcd, ok := s.GCD(s.Widen(xs, max(xWords, yWords)), s.Widen(ys, max(xWords, yWords)))
		want := new(big.Int).GCD(nil, nil, x, y)
		if want.TrailingZeroBits() >= 64 {
			want.SetInt64(0)
		}
		require.Equal(t, want.Sign() > 0, ok == 1)
		require.Equal(t, want.String(), toBig(gcd).String(), "gcd(%x, %x)", x, y)

		odd := new(big.Int).SetBit(x, 0, 1)
		if m := new(big.Int).Add(y, one); m.BitLen() <= 64*yWords {
			inverse, ok := s.Inverse(s.fromBig(odd, xWords), s.fromBig(m, yWords))
			want := new(big.Int).ModInverse(odd, m)
			require.Equal(t, want != nil, ok == 1, "%x^-1 mod %x", odd, m)
			if want != nil {
				require.Equal(t, want.String(), toBig(inverse).String(), "%x^-1 mod %x", odd, m)
				inverses++
			}
		}
		requireWiped(t, s)
	}
	require.Greater(t, inverses, rounds/10)
}

// TestIntegersEdges: the least operands, the powers of two up to where GCD gives up, and
// the lengths of a key.
func TestIntegersEdges(t *testing.T) {
	for _, shift := range []uint{0, 1, 31, 32, 33, 62, 63, 64, 65, 100} {
		for _, f := range []int64{1, 3, 1<<32 + 15} {
			s := new(Integers)
			g := new(big.Int).Lsh(big.NewInt(f), shift)
			gcd, ok := s.GCD(s.fromBig(new(big.Int).Mul(g, big.NewInt(10)), 4), s.fromBig(new(big.Int).Mul(g, big.NewInt(9)), 4))
			if shift >= 64 {
				g.SetInt64(0)
			}
			require.Equal(t, shift < 64, ok == 1)
			require.Equal(t, g.String(), toBig(gcd).String())
		}
	}
	for _, bits := range []int{2048, 2056, 8192} {
		words := bits/64 + 1
		s := new(Integers)
		m := randBelow(t, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
		m.SetBit(m, bits-1, 1).SetBit(m, 0, 0)
		for _, x := range []*big.Int{big.NewInt(1), big.NewInt(65537), new(big.Int).Sub(m, big.NewInt(1)), new(big.Int).Rsh(oddOf(t, bits), 1)} {
			x.SetBit(x, 0, 1)
			before := s.mark()
			inverse, ok := s.Inverse(s.fromBig(x, words), s.fromBig(m, words))
			want := new(big.Int).ModInverse(x, m)
			require.Equal(t, want != nil, ok == 1)
			if want != nil {
				require.Equal(t, want.String(), toBig(inverse).String())
			}
			s.release(before)
		}
		for i := range 2 * pieceWords / words { // into further pieces
			require.Len(t, s.take(words+i%3), words+i%3)
		}
		require.Greater(t, len(s.pieces), 1)
		for _, piece := range s.pieces {
			piece[0] = 1
		}
		requireWiped(t, s)
	}
}

// TestWipeableModulus compares the arithmetic in Go with math/big at every length, and
// checks that a wiped modulus leaves nothing.
func TestWipeableModulus(t *testing.T) {
	for _, bits := range []int{16, 17, 63, 64, 65, 1000, 1024, 1028, 1031, 1536, 2047, 2048, 4096, 8192} {
		n := oddOf(t, bits)
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			if bits > 4096 && testing.Short() {
				return
			}
			compareWithBig(t, n, wipeable)
		})
		m := NewWipeableModulus(n.Bytes())
		mont, ok := m.arithmetic.(*montgomery)
		require.True(t, ok, "not bigmod")
		require.NotZero(t, m.n[0])
		memory := [][]uint64{m.n, mont.one, mont.rr, mont.radix}
		constants := kernelConstants(mont.kernel)
		require.NotEqual(t, make([]uint64, len(constants)), constants)
		m.Wipe()
		for _, words := range memory {
			require.Equal(t, make([]uint64, len(words)), words)
		}
		require.Equal(t, make([]uint64, len(constants)), kernelConstants(mont.kernel))
	}
	require.Panics(t, func() { NewWipeableModulus(oddOf(t, 8193).Bytes()) })
}

func BenchmarkInverse(b *testing.B) {
	for _, bits := range []int{2048, 3072, 4096} {
		b.Run(fmt.Sprint(bits), func(b *testing.B) {
			s := new(Integers)
			x, m := s.fromBig(oddOf(b, bits), bits/64), s.fromBig(oddOf(b, bits), bits/64)
			before := s.mark()
			for b.Loop() {
				s.Inverse(x, m)
				s.release(before)
			}
		})
	}
}

// kernelConstants are the words that a kernel has computed from its modulus.
func kernelConstants(k kernel) (words []uint64) {
	v := reflect.ValueOf(k).Elem()
	if k0 := v.FieldByName("k0"); k0.IsValid() {
		return []uint64{k0.Uint()}
	}
	for context, i := v.FieldByName("context"), 0; i < context.Len(); i++ {
		words = append(words, context.Index(i).Uint())
	}
	return words
}
