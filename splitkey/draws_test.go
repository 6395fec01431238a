package splitkey_test

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/uniformtest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestSecretsAreRandom splits one key again and again: every byte of x is drawn anew, and
// all but the first of d_s (which is below lambda) look random.
func TestSecretsAreRandom(t *testing.T) {
	for _, s := range sharings {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			var xs, ds [][]byte
			draws := 160
			if testing.Short() {
				draws = 64 // enough to see a bit that never changes
			}
			for range draws {
				c, srv, err := splitkey.Split(splitkeytest.Key(2048), s)
				require.NoError(t, err)
				require.Len(t, c.Secret(), 256+8)
				xs, ds = append(xs, c.Secret()), append(ds, srv.Secret()[1:])
			}
			uniformtest.Require(t, xs)
			// In multiplicative sharing d_s is a unit modulo an even number: its last bit
			// is 1.
			for _, d := range ds {
				d[254] = d[254]>>1 | d[253]<<7
			}
			uniformtest.Require(t, ds)
		})
	}
}

// TestGeneratedSecretsAreRandom: the secrets of keys that were made look random, too.
func TestGeneratedSecretsAreRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		c, srv, err := splitkey.GenerateKey(2048, splitkey.Multiplicative)
		require.NoError(t, err)
		x := c.Secret()
		for from := 0; from < len(x); from += 8 {
			eight := fmt.Sprintf("%x", x[from:from+8]) // twice the same: 2^-58
			require.False(t, seen[eight], "%d", from)
			require.NotEqual(t, "0000000000000000", eight)
			seen[eight] = true
		}
		for _, b := range [][]byte{srv.Secret(), c.PublicKey().N.Bytes()} {
			require.False(t, seen[string(b)])
			seen[string(b)] = true
		}
	}
}

// TestPSSSaltsAreRandom: every byte of a PSS salt is drawn anew for each message,
// whatever its length.
func TestPSSSaltsAreRandom(t *testing.T) {
	final := splitkeytest.FinalKey(t, &splitkeytest.Key(2048).PublicKey)
	for _, c := range []struct {
		hash         crypto.Hash
		length, want int
	}{
		{crypto.SHA256, rsa.PSSSaltLengthEqualsHash, 32}, {crypto.SHA256, rsa.PSSSaltLengthAuto, 32}, {crypto.SHA512, rsa.PSSSaltLengthEqualsHash, 64},
		{crypto.SHA3_384, rsa.PSSSaltLengthAuto, 48}, {crypto.SHA256, 20, 20}, {crypto.SHA512, 17, 17},
	} {
		var salts [][]byte
		for range 600 {
			m, err := final.Encode(make([]byte, c.hash.Size()), &rsa.PSSOptions{Hash: c.hash, SaltLength: c.length})
			require.NoError(t, err)
			require.Len(t, m.Salt(), c.want)
			salts = append(salts, m.Salt())
		}
		uniformtest.Require(t, salts)
	}
}
