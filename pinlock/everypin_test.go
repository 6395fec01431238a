package pinlock

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha3"
	"fmt"
	"math"
	"math/big"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

const (
	pins    = 10_000
	ownPIN  = "0846"
	secretN = 256 + 8 // bytes of x for 2048 bits
)

var ownSecret = sha3.SumSHAKE256([]byte("every PIN opens the lockbox x"), secretN)

// everyPIN opens one lockbox with each PIN of 4 digits, at reduced cost, as a thief of
// the storage can. Key, secret and salt are fixed, so the tests below find the same each
// time.
var everyPIN = sync.OnceValues(func() (opened [][]byte, errs map[string]bool) {
	share, err := splitkey.NewClientShare(&splitkeytest.Key(2048).PublicKey, splitkey.Multiplicative, ownSecret)
	if err != nil {
		panic(err)
	}
	b := lockFixed(share, ownPIN, reduced, "every PIN opens the lockbox")
	errs = make(map[string]bool)
	for v := range pins {
		share, err := b.Unlock(fmt.Appendf(nil, "%04d", v), reduced)
		errs[fmt.Sprint(err)] = true
		if err == nil {
			opened = append(opened, share.Secret())
		}
	}
	return opened, errs
})

// chiSquare measures how far counts are from equal.
func chiSquare(counts []int) float64 {
	total := 0
	for _, c := range counts {
		total += c
	}
	expected := float64(total) / float64(len(counts))
	sum := 0.0
	for _, c := range counts {
		sum += (float64(c) - expected) * (float64(c) - expected) / expected
	}
	return sum
}

// uniform says whether counts could be a uniform distribution's: whether chi-square is
// within five standard deviations, after Wilson and Hilferty's transformation to the
// normal distribution (PNAS 17, 1931). A uniform source fails once in 1.7 million.
func uniform(counts []int) bool {
	k := float64(len(counts) - 1)
	z := (math.Cbrt(chiSquare(counts)/k) - (1 - 2/(9*k))) / math.Sqrt(2/(9*k))
	return math.Abs(z) < 5
}

func TestEveryPINOpens(t *testing.T) {
	opened, errs := everyPIN()
	require.Equal(t, map[string]bool{"<nil>": true}, errs)
	require.Len(t, opened, pins)
	distinct := make(map[string]bool)
	for _, x := range opened {
		require.Len(t, x, secretN)
		distinct[string(x)] = true
	}
	require.Len(t, distinct, pins)
	require.Equal(t, ownSecret, opened[846])
}

// TestOpenedBytesAreUniform looks at all bytes, at each place of a byte, and at each bit.
func TestOpenedBytesAreUniform(t *testing.T) {
	opened, _ := everyPIN()
	all := make([]int, 256)
	for i := range secretN {
		place := make([]int, 256)
		for _, x := range opened {
			place[x[i]]++
			all[x[i]]++
		}
		require.True(t, uniform(place), "byte %d: chi-square %f", i, chiSquare(place))
		for bit := range 8 {
			ones := 0
			for v, c := range place {
				ones += v >> bit & 1 * c
			}
			require.True(t, uniform([]int{ones, pins - ones}), "byte %d, bit %d: %d ones", i, bit, ones)
		}
	}
	require.True(t, uniform(all), "chi-square %f", chiSquare(all))
}

// TestCandidatesModuloSmallPrimes: neither candidate exponent, 2x+1 or x, tells anything
// modulo a small prime. 2x+1 is odd for all.
func TestCandidatesModuloSmallPrimes(t *testing.T) {
	opened, _ := everyPIN()
	key := splitkeytest.Key(2048)
	lambda := carmichael(key.Primes[0], key.Primes[1])
	for _, r := range []uint{2, 3, 5, 7, 11, 13} {
		multiplicative, additive := make([]int, r), make([]int, r)
		for _, x := range opened {
			d := modulo(x, r)
			additive[d]++
			multiplicative[(2*d+1)%r]++
		}
		require.True(t, uniform(additive), "x mod %d: %v", r, additive)
		if r == 2 {
			require.Equal(t, []int{0, pins}, multiplicative)
			continue
		}
		require.True(t, uniform(multiplicative), "2x+1 mod %d: %v", r, multiplicative)
		// The right exponent is invertible modulo lambda. Where r divides lambda, a thief
		// drops every PIN whose candidate is 0 mod r: that many. For these primes it does
		// not.
		require.InDelta(t, pins/r, multiplicative[0], 5*math.Sqrt(pins/float64(r)))
		require.NotZero(t, new(big.Int).Mod(lambda, big.NewInt(int64(r))).Sign(), "%d divides lambda", r)
	}
}

// TestNoCandidateIsRuledOut: with l-safe primes, not even somebody who knows lambda can
// rule out a PIN because its candidate has no inverse.
func TestNoCandidateIsRuledOut(t *testing.T) {
	opened, _ := everyPIN()
	key := splitkeytest.Key(2048)
	lambda := carmichael(key.Primes[0], key.Primes[1])
	ordinary := splitkeytest.NamedKey(splitkeytest.Ordinary, 2048)
	lambdaOrdinary := carmichael(ordinary.Primes[0], ordinary.Primes[1])
	one := big.NewInt(1)
	ruledOut, ruledOutOrdinary := 0, 0
	const sample = 1000
	for _, x := range opened[:sample] {
		d := new(big.Int).SetBytes(x)
		d.Lsh(d, 1).SetBit(d, 0, 1)
		if new(big.Int).GCD(nil, nil, d, lambda).Cmp(one) != 0 {
			ruledOut++
		}
		if new(big.Int).GCD(nil, nil, d, lambdaOrdinary).Cmp(one) != 0 {
			ruledOutOrdinary++
		}
	}
	require.Zero(t, ruledOut)
	// The same candidates under ordinary primes, which is why splitkey refuses those.
	require.Greater(t, ruledOutOrdinary, sample/20)
}

// TestTestsFindBias proves that the tests above can fail: they find a lockbox that holds
// the exponent in place of x, and one with a padding.
func TestTestsFindBias(t *testing.T) {
	opened, _ := everyPIN()
	// An exponent below 2^2048 in the place of x, under the same keystreams: its first 8
	// bytes are 0 and its last bit is 1, so every wrong PIN shows.
	right := opened[846]
	exponent := slices.Clone(right)
	clear(exponent[:8])
	exponent[secretN-1] |= 1
	short, odd := 0, 0
	for _, x := range opened {
		candidate := make([]byte, secretN)
		for i := range candidate {
			candidate[i] = x[i] ^ right[i] ^ exponent[i]
		}
		odd += int(candidate[secretN-1] & 1)
		if slices.Equal(candidate[:8], make([]byte, 8)) {
			short++
		}
	}
	require.Equal(t, 1, short, "only the right PIN gives a number in range")
	require.InDelta(t, pins/2, odd, 5*math.Sqrt(pins)/2, "half of the PINs are left")

	// Bytes that are never 0xff, as those of a number below a modulus that starts with
	// 0xff, or with one bit that is 1 in 53 of 100.
	missing, bent := make([]int, 256), make([]int, 2)
	for _, x := range opened {
		for _, v := range x {
			missing[min(int(v), 254)]++
		}
		one := 0
		if x[0] < 136 {
			one = 1
		}
		bent[one]++
	}
	require.False(t, uniform(missing))
	require.False(t, uniform(bent))
}

// TestWrongPINsSign: what wrong PINs open to makes partial signatures as well-formed as
// the right one's. Only the server's share can tell.
func TestWrongPINsSign(t *testing.T) {
	const label = "TestWrongPINsSign"
	client, server := testShares(t, 2048, splitkey.Multiplicative, label)
	b := lockFixed(client, ownPIN, reduced, label)
	completer, err := splitkey.NewCompleter(server, nil, nil)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(label))
	message, err := completer.FinalKey().Encode(digest[:], crypto.SHA256)
	require.NoError(t, err)
	n := client.PublicKey().N
	for v := 836; v < 856; v++ {
		share, err := b.Unlock(fmt.Appendf(nil, "%04d", v), reduced)
		require.NoError(t, err)
		y, err := share.SignPartial(message)
		require.NoError(t, err)
		require.Len(t, y, 256)
		require.Equal(t, -1, new(big.Int).SetBytes(y).Cmp(n))
		_, err = completer.Check(message, y)
		if v == 846 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, splitkey.ErrPartial)
		}
	}
}

func carmichael(p, q *big.Int) *big.Int {
	one := big.NewInt(1)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	gcd := new(big.Int).GCD(nil, nil, p1, q1)
	return p1.Div(p1.Mul(p1, q1), gcd)
}

func modulo(x []byte, r uint) uint {
	m := uint(0)
	for _, b := range x {
		m = (m<<8 + uint(b)) % r
	}
	return m
}
