package pinlock

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// What a thief can do with a lockbox and a few bits of the server's share (scheme,
// section 10.3): with an additive share, drop most PINs or all but one; with a
// multiplicative one, nothing that is known.

// allX opens the lockbox under every PIN of four digits; in short mode, under those that
// begin with 8.
func allX(t *testing.T, b *Lockbox) map[int]*big.Int {
	first, last := 0, 10_000
	if testing.Short() {
		first, last = 8000, 9000
	}
	out := make(map[int]*big.Int)
	for pin := first; pin < last; pin++ {
		share, err := b.Unlock(fmt.Appendf(nil, "%04d", pin), reduced)
		require.NoError(t, err)
		out[pin] = new(big.Int).SetBytes(share.Secret())
	}
	return out
}

// splitNew splits a key anew. In multiplicative sharing 3 in a million x have no inverse.
func splitNew(t *testing.T, key *rsa.PrivateKey, s splitkey.Sharing) (x []byte, client *splitkey.ClientShare, server *splitkey.ServerShare) {
	x = make([]byte, key.Size()+8)
	var err error
	for range 5 {
		rand.Read(x)
		if client, server, err = splitkeytest.Split(key, s, x); err == nil {
			break
		}
	}
	require.NoError(t, err)
	return x, client, server
}

// lockNew splits a key anew and locks the client's share under 8395.
func lockNew(t *testing.T, key *rsa.PrivateKey, s splitkey.Sharing) (*Lockbox, *big.Int) {
	_, client, server := splitNew(t, key, s)
	b, err := Lock(client, []byte("8395"), reduced)
	require.NoError(t, err)
	return b, new(big.Int).SetBytes(server.Secret())
}

const rightPIN = 8395

// TestAdditiveLowBits: d_s modulo a known divisor of lambda drops all PINs but one in
// that many. n1 proves the divisor: 2 always, 4 if n1 = 3 (mod 4), 3 if n1 = 2 (mod 3).
func TestAdditiveLowBits(t *testing.T) {
	for _, c := range []struct {
		key     *rsa.PrivateKey
		divisor int64
	}{
		{splitkeytest.Key(2048), 2}, // l-safe primes: nothing but 2 is known
		{splitkeytest.NamedKey(splitkeytest.Ordinary, 2048), 4},
		{splitkeytest.NamedKey(splitkeytest.Server, 2048), 6},
		{splitkeytest.NamedKey(splitkeytest.Server, 3072), 12},
	} {
		proved := int64(2)
		if c.key.N.Bit(1) == 1 {
			proved *= 2
		}
		if new(big.Int).Mod(c.key.N, big.NewInt(3)).Int64() == 2 {
			proved *= 3
		}
		require.Equal(t, c.divisor, proved)
		m := big.NewInt(c.divisor)
		d := new(big.Int).ModInverse(big.NewInt(int64(c.key.E)), m)
		box, ds := lockNew(t, c.key, splitkey.Additive)
		leaked := new(big.Int).Mod(ds, m) // under four bits
		left, right := 0, false
		all := allX(t, box)
		for pin, x := range all {
			if sum := new(big.Int).Add(x, leaked); sum.Sub(sum, d).Mod(sum, m).Sign() == 0 {
				left++
				right = right || pin == rightPIN
			}
		}
		t.Logf("d_s mod %d leaves %d of %d PINs", c.divisor, left, len(all))
		require.True(t, right)
		share := 1 / float64(c.divisor)
		// Seven standard deviations: one run in a hundred billion is outside.
		pins := float64(len(all))
		require.InDelta(t, pins*share, float64(left), 7*math.Sqrt(pins*share*(1-share)))
	}
}

// TestAdditiveHighBits: the upper 32 bits of d_s drop nearly all PINs. e*(x+d_s) = 1
// modulo lambda, which is n1/gcd(p-1, q-1) up to half of its bits: so e*(x+d_s) modulo
// that is small for the right x.
func TestAdditiveHighBits(t *testing.T) {
	key := splitkeytest.Key(2048)
	box, ds := lockNew(t, key, splitkey.Additive)
	const known = 32
	unknown := uint(key.N.BitLen() - known)
	leaked := new(big.Int).Lsh(new(big.Int).Rsh(ds, unknown), unknown)
	// A generated key has no other common divisor than 2, almost surely.
	lambda := new(big.Int).Rsh(key.N, 1)
	e := big.NewInt(int64(key.E))
	bound := new(big.Int).Lsh(e, unknown)
	left, right := 0, false
	all := allX(t, box)
	for pin, x := range all {
		v := x.Add(x, leaked)
		v.Mul(v, e).Mod(v, lambda)
		// v + e*(d_s - leaked) = 1 modulo lambda.
		if v.Sub(lambda, v).Cmp(bound) <= 0 {
			left++
			right = right || pin == rightPIN
		}
	}
	t.Logf("the upper %d bits of d_s leave %d of %d PINs", known, left, len(all))
	require.True(t, right)
	// A wrong PIN stays with probability 2^-15: 1.3 are expected, 12 in no run.
	require.Less(t, left, 12)
}

// TestMultiplicativeBits: neither of these tells anything of a multiplicative share. x is
// odd or even, and in the lower or upper half, as often for one value of the lowest or
// highest bit of d_s as for the other.
func TestMultiplicativeBits(t *testing.T) {
	key := splitkeytest.Key(2048)
	half := new(big.Int).Rsh(key.N, 2) // of lambda
	draws := 400
	if testing.Short() {
		draws = 100
	}
	var differ [2][2]int
	for range draws {
		x, _, server := splitNew(t, key, splitkey.Multiplicative)
		xn, ds := new(big.Int).SetBytes(x), new(big.Int).SetBytes(server.Secret())
		require.EqualValues(t, 1, ds.Bit(0), "a unit modulo 2, whatever x is")
		upper := func(v *big.Int) uint {
			return uint((new(big.Int).Mod(v, new(big.Int).Rsh(key.N, 1)).Cmp(half) + 1) / 2)
		}
		for i, ofX := range []uint{xn.Bit(0), upper(xn)} {
			for j, ofD := range []uint{ds.Bit(1), upper(ds)} {
				differ[i][j] += int(ofX ^ ofD)
			}
		}
	}
	for _, row := range differ {
		for _, n := range row {
			require.InDelta(t, draws/2, n, 7*math.Sqrt(float64(draws))/2, "%v", differ)
		}
	}
}
