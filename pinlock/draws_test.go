package pinlock

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
)

// requireUniform fails unless each byte of strings that were drawn at random looks uniform
// and independent of its neighbour, and all are different. These draws differ with each run,
// so it allows seven standard deviations: it fails once in ten million runs by chance.
func requireUniform(t *testing.T, drawn [][]byte) {
	t.Helper()
	seen := map[string]bool{}
	for _, b := range drawn {
		require.Len(t, b, len(drawn[0]))
		require.False(t, seen[string(b)], "drawn twice")
		seen[string(b)] = true
	}
	within := func(ones int) bool {
		return math.Abs(float64(ones)-float64(len(drawn))/2) < 7*math.Sqrt(float64(len(drawn)))/2
	}
	for i := range drawn[0] {
		for bit := range 8 {
			ones, changes := 0, 0
			for _, b := range drawn {
				ones += int(b[i] >> bit & 1)
				changes += int((b[i] ^ b[(i+1)%len(b)]) >> bit & 1)
			}
			require.True(t, within(ones), "byte %d, bit %d: %d ones in %d", i, bit, ones, len(drawn))
			require.True(t, within(changes), "bytes %d and %d, bit %d: differ %d times in %d", i, (i+1)%len(drawn[0]), bit, changes, len(drawn))
		}
	}
}

// TestSaltsAreRandom locks one share under one PIN time after time: every byte of the salt,
// where MarshalBinary writes it, is drawn anew.
func TestSaltsAreRandom(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestSaltsAreRandom")
	var salts, cts [][]byte
	for range 1000 {
		b, err := Lock(share, []byte("8395"), reduced)
		require.NoError(t, err)
		encoded, err := b.MarshalBinary()
		require.NoError(t, err)
		salts = append(salts, encoded[15:31])
		cts = append(cts, encoded[39+256:39+256+264])
	}
	requireUniform(t, salts)
	requireUniform(t, cts)
}

// TestNoncesAreRandom seals one lockbox under one key time after time.
func TestNoncesAreRandom(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestNoncesAreRandom")
	b := lockFixed(share, "8395", reduced, "TestNoncesAreRandom")
	var nonces, bodies [][]byte
	for range 1000 {
		sealed, err := seal(b, testDeviceKey)
		require.NoError(t, err)
		nonces = append(nonces, bytes.Clone(sealed[5:29]))
		bodies = append(bodies, sealed[29:])
	}
	requireUniform(t, nonces)
	requireUniform(t, bodies)
}
