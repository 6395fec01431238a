package prime

import (
	"crypto/fips140"
	"crypto/rand"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

var one = big.NewInt(1)

// TestSieve compares the sieve with math/big on random numbers and on multiples
// of each prime, and their successors.
func TestSieve(t *testing.T) {
	require.Len(t, Odd(), 6542) // pi(65537) = 6543, less the prime 2
	product := big.NewInt(1)
	for _, r := range Odd() {
		product.Mul(product, new(big.Int).SetUint64(r))
	}
	coprime := func(x *big.Int) bool { return new(big.Int).GCD(nil, nil, x, product).Cmp(one) == 0 }
	for _, limbs := range []int{2, 16, 17, 24} {
		s := sieveFor(limbs)
		check := func(x *big.Int) {
			t.Helper()
			p := limbsOf(x.FillBytes(make([]byte, 8*limbs)))
			require.Equal(t, !coprime(x), s.rejectsVarTime(p, false))
			require.Equal(t, !coprime(x) || !coprime(new(big.Int).Sub(x, one)), s.rejectsVarTime(p, true))
		}
		max := new(big.Int).Lsh(one, uint(64*limbs))
		for range 200 {
			x, _ := rand.Int(rand.Reader, max)
			check(x)
		}
		check(new(big.Int).Sub(max, one))
		check(one)
		// Each prime alone must be found, in p and in p-1.
		for i := 0; i < len(Odd()); i += 1 + i/40 {
			r := new(big.Int).SetUint64(Odd()[i])
			x, _ := rand.Int(rand.Reader, new(big.Int).Rsh(max, 17))
			x.Mul(x, r)
			p := limbsOf(x.FillBytes(make([]byte, 8*limbs)))
			require.True(t, s.rejectsVarTime(p, false), r)
			x.Add(x, one)
			p = limbsOf(x.FillBytes(make([]byte, 8*limbs)))
			require.True(t, s.rejectsVarTime(p, true), r)
		}
	}
}

func TestNew(t *testing.T) {
	// A bit that New does not set is set in all nine with probability 2^-9.
	for _, bits := range []int{1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024, 1536} {
		p := New(bits)
		x := new(big.Int).SetBytes(p)
		require.Equal(t, bits, x.BitLen())
		require.EqualValues(t, 7, p[0]>>5)
		require.True(t, x.ProbablyPrime(32))
		half := new(big.Int).Rsh(x, 1)
		require.EqualValues(t, 1, half.Bit(0), "p = 3 mod 4")
		for _, r := range Odd() {
			require.NotZero(t, new(big.Int).Mod(half, new(big.Int).SetUint64(r)).Sign(), r)
		}
		require.True(t, IsPrimeVarTime(p))
		require.True(t, IsLSafeVarTime(p))
		require.False(t, HasSmallFactorVarTime(p))
	}
}

func TestNotPrime(t *testing.T) {
	// Carmichael numbers and strong pseudoprimes to the first bases, and edge values.
	for _, s := range []string{"561", "1729", "3215031751", "341550071728321", "3825123056546413051", "318665857834031151167461"} {
		x, _ := new(big.Int).SetString(s, 10)
		require.False(t, IsPrimeVarTime(x.Bytes()), s)
	}
	for _, b := range [][]byte{nil, {0}, {1}, {2}, {0, 0}, {1, 0}} {
		require.False(t, IsPrimeVarTime(b))
		require.False(t, IsLSafeVarTime(b))
		require.True(t, HasSmallFactorVarTime(b) || len(b) == 1 && b[0] == 1)
	}
	for _, x := range []int64{65537, 65539, 1000003, 2147483647} {
		require.True(t, IsPrimeVarTime(big.NewInt(x).Bytes()), x)
	}
	for range 20 { // primes with p = 1 mod 4 take the other path
		fips140.WithoutEnforcement(func() {
			p, err := rand.Prime(rand.Reader, 256)
			require.NoError(t, err)
			require.True(t, IsPrimeVarTime(p.Bytes()))
		})
	}
}

// TestWorstComposite: no composite passes of the kind that an adversary would choose,
// (2x+1)(4x+1), which one round of Miller-Rabin lets pass most often (once in four).
func TestWorstComposite(t *testing.T) {
	require.GreaterOrEqual(t, roundsRandom, 5)   // FIPS 186-5, table B.1, at 1024 bits
	require.GreaterOrEqual(t, roundsForeign, 64) // 2^-128
	found := 0
	for x := int64(1_000_001); found < 50; x += 2 {
		p, q := big.NewInt(2*x+1), big.NewInt(4*x+1)
		if !p.ProbablyPrime(20) || !q.ProbablyPrime(20) {
			continue
		}
		found++
		require.False(t, IsPrimeVarTime(new(big.Int).Mul(p, q).Bytes()), "%d", x)
	}
}

// TestTooClose tests both edges of 2^(L-100) for every L of a modulus in whole bytes, in
// both orders, for factors of equal length and for some on either side of a power of two.
func TestTooClose(t *testing.T) {
	for bits := 2048; bits <= 2112; bits += 8 {
		half := uint(bits / 2)
		limit := new(big.Int).Lsh(one, half-100)
		below := new(big.Int).Sub(limit, one)
		power := new(big.Int).Lsh(one, half)
		x, err := rand.Int(rand.Reader, new(big.Int).Rsh(power, 1))
		require.NoError(t, err)
		equal := x.Add(x, new(big.Int).Rsh(power, 2))
		across := new(big.Int).Add(power, new(big.Int).Rsh(limit, 1))
		for _, p := range []*big.Int{equal, across} {
			for _, c := range []struct {
				distance *big.Int
				close    bool
			}{{new(big.Int), true}, {one, true}, {below, true}, {limit, false}, {new(big.Int).Lsh(limit, 1), false}, {new(big.Int).Rsh(p, 1), false}} {
				q := new(big.Int).Sub(p, c.distance)
				require.Equal(t, c.close, TooClose(p.Bytes(), q.Bytes(), bits), "%d bits, %x", bits, c.distance)
				require.Equal(t, c.close, TooClose(q.Bytes(), p.Bytes(), bits), "%d bits, %x", bits, c.distance)
			}
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for _, bits := range []int{1024, 1536, 2048} {
		b.Run(fmt.Sprint(bits), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				New(bits)
			}
		})
	}
}

func BenchmarkSieveAccepted(b *testing.B) {
	for _, bits := range []int{1024, 1536, 2048} {
		b.Run(fmt.Sprint(bits), func(b *testing.B) {
			p := limbsOf(New(bits))
			s := sieveFor(len(p))
			for b.Loop() {
				s.rejectsVarTime(p, true)
			}
		})
	}
}

// TestRandomBase: bases are drawn from all of [2, 2^(bits-1)), whatever the length.
func TestRandomBase(t *testing.T) {
	for bits := 17; bits <= 33; bits++ {
		most := 0
		for range 300 { // of which one has the highest bit with probability 1 - 2^-300
			x := new(big.Int).SetBytes(randomBase(bits))
			require.Positive(t, x.Cmp(one))
			most = max(most, x.BitLen())
		}
		require.Equal(t, bits-1, most)
	}
}
