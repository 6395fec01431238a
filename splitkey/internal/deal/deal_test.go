package deal

import (
	"crypto/rand"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

var one = big.NewInt(1)

func random(t testing.TB, bits int) *big.Int {
	x, err := rand.Int(rand.Reader, new(big.Int).Lsh(one, uint(bits)))
	require.NoError(t, err)
	return x
}

// factors draws odd numbers p and q, which need not be prime here, with a product of
// exactly that many bits, and with gcd(p-1, q-1) = g.
func factors(t testing.TB, bits int, g *big.Int) (p, q *big.Int) {
	for {
		part := func() *big.Int {
			a := random(t, bits/2-g.BitLen()+2)
			a.Mul(a, g)
			return a.Add(a, one)
		}
		p, q = part(), part()
		if p.Bit(0) == 0 || q.Bit(0) == 0 || new(big.Int).Mul(p, q).BitLen() != bits {
			continue
		}
		if new(big.Int).GCD(nil, nil, new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)).Cmp(g) == 0 {
			return p, q
		}
	}
}

// TestLengths deals at every size in whole bytes modulo 64 bits, and for every length
// that lambda then has against n: gcd(p-1, q-1) has 2 to 32 bits, and is odd but for a
// factor two, or a power of two. (A lambda of fewer words than n is among them.)
func TestLengths(t *testing.T) {
	for bits := 2048; bits <= 2112; bits += 8 {
		step := 1
		if testing.Short() {
			step = 5
		}
		shorter := 0
		for gBits := 2; gBits <= 32; gBits += step {
			g := new(big.Int).SetBit(random(t, gBits-1), gBits-2, 1)
			g.Lsh(g.SetBit(g, 0, 1), 1) // 2 times an odd number
			if gBits%2 == 0 {
				g.Lsh(one, uint(gBits-1))
			}
			require.Equal(t, gBits, g.BitLen())
			p, q := factors(t, bits, g)
			lambda := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
			lambda.Div(lambda, g)
			if (lambda.BitLen()+63)/64 < (bits+63)/64 {
				shorter++
			}
			e := big.NewInt(65537)
			d := new(big.Int).ModInverse(e, lambda)
			dealer, err := New(p.Bytes(), q.Bytes(), bits/8, 65537)
			if d == nil {
				require.ErrorIs(t, err, ErrExponent)
				continue
			}
			require.NoError(t, err)
			n := new(big.Int).Mul(p, q)
			require.NoError(t, Check(n.Bytes(), p.Bytes(), q.Bytes(), d.Bytes(), 65537))

			x := make([]byte, bits/8+8)
			rand.Read(x)
			want := new(big.Int).Sub(d, new(big.Int).SetBytes(x))
			want.Mod(want, lambda)
			require.Equal(t, want.FillBytes(make([]byte, bits/8)), dealer.Additive(x))
			dc := new(big.Int).SetBytes(x)
			dc.Lsh(dc, 1).SetBit(dc, 0, 1)
			require.Equal(t, dc.FillBytes(make([]byte, len(x)+1)), ClientExponent(x))
			want.ModInverse(dc.Mul(dc, e), lambda)
			got, ok := dealer.Multiplicative(x)
			require.Equal(t, new(big.Int).GCD(nil, nil, dc, lambda).Cmp(one) == 0, ok)
			if ok {
				require.Equal(t, want.FillBytes(make([]byte, bits/8)), got)
			}
			dealer.Wipe()
		}
		if bits == 2056 {
			require.NotZero(t, shorter, "no lambda was shorter than n in words")
		}
	}
}

// TestDivisor: gcd(p-1, q-1) counts with its powers of two, up to 2^32-1.
func TestDivisor(t *testing.T) {
	for _, c := range []struct {
		g  *big.Int
		ok bool
	}{
		{big.NewInt(1<<32 - 2), true},
		{big.NewInt(1 << 31), true},
		{big.NewInt(1 << 32), false},
		{big.NewInt(1<<32 + 2), false},
		{big.NewInt(3 << 31), false},
		{big.NewInt(1 << 40), false},
		{new(big.Int).Lsh(one, 63), false},
		{new(big.Int).Lsh(one, 64), false},
		{new(big.Int).Lsh(one, 65), false},
		{new(big.Int).Lsh(one, 200), false},
		{new(big.Int).Lsh(big.NewInt(1<<32+15), 1), false},
		{new(big.Int).Lsh(random(t, 500), 1), false},
		// Small in its lowest word.
		{new(big.Int).SetBit(big.NewInt(2), 64, 1), false},
		{new(big.Int).SetBit(big.NewInt(2), 200, 1), false},
	} {
		p, q := factors(t, 2048, c.g)
		for range 2 {
			dealer, err := New(p.Bytes(), q.Bytes(), 256, 65537)
			if c.ok {
				require.NotErrorIs(t, err, ErrDivisor, "%x", c.g)
			} else {
				require.ErrorIs(t, err, ErrDivisor, "%x", c.g)
				require.Nil(t, dealer)
			}
			p, q = q, p
		}
	}
}

// TestSmallExponent: a d below 2^(bits/2) is refused, and so is an e that divides lambda.
// An e of one word has such a d for short moduli only.
func TestSmallExponent(t *testing.T) {
	p, q := []byte{11}, []byte{23} // lambda = 110
	_, err := New(p, q, 2, 73)     // d = 107 < 2^8
	require.ErrorIs(t, err, ErrExponent)
	_, err = New([]byte{251}, []byte{239}, 2, 3) // lambda = 29750, d = 9917
	require.NoError(t, err)
	_, err = New(p, q, 2, 5) // gcd(5, 110) = 5
	require.ErrorIs(t, err, ErrExponent)
}

func TestCheck(t *testing.T) {
	p, q := big.NewInt(1000003), big.NewInt(998244353)
	n := new(big.Int).Mul(p, q)
	lambda := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(big.NewInt(65537), lambda)
	other := new(big.Int).Add(d, one)
	check := func(n, p, q, d *big.Int, e uint) error {
		return Check(n.Bytes(), p.Bytes(), q.Bytes(), d.Bytes(), e)
	}
	require.NoError(t, check(n, p, q, d, 65537))
	require.NoError(t, check(n, q, p, new(big.Int).Add(d, lambda), 65537))
	require.ErrorContains(t, check(new(big.Int).Add(n, big.NewInt(2)), p, q, d, 65537), "p*q")
	require.ErrorContains(t, check(new(big.Int).Lsh(n, 64), p, q, d, 65537), "p*q")
	require.ErrorContains(t, check(p, p, q, d, 65537), "p*q")
	require.ErrorContains(t, check(n, p, q, other, 65537), "e*d")
	require.ErrorContains(t, check(n, p, q, d, 3), "e*d")
	// Right modulo one of the two only.
	onlyP := new(big.Int).ModInverse(big.NewInt(65537), new(big.Int).Sub(p, one))
	require.ErrorContains(t, check(n, p, q, onlyP, 65537), "e*d")
	require.ErrorContains(t, check(n, q, p, onlyP, 65537), "e*d")
}

// TestWipe: a dealer that was wiped has none of its numbers.
func TestWipe(t *testing.T) {
	p, q := factors(t, 2048, big.NewInt(2))
	dealer, err := New(p.Bytes(), q.Bytes(), 256, 65537)
	require.NoError(t, err)
	k := dealer.secret.Get()
	for name, words := range map[string][]uint64{"lambda": k.lambda, "e": k.e, "d": k.d} {
		require.NotEqual(t, make([]uint64, len(words)), words, name)
	}
	dealer.Wipe()
	for name, words := range map[string][]uint64{"lambda": k.lambda, "e": k.e, "d": k.d} {
		require.Equal(t, make([]uint64, len(words)), words, name)
	}
}
