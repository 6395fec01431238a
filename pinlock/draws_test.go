package pinlock

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/uniformtest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// draws is how often something is drawn anew.
func draws() int {
	if testing.Short() {
		return 250
	}
	return 1000
}

// TestSaltsAreRandom locks one share under one PIN again and again: every byte of the
// salt, where MarshalBinary writes it, is drawn anew.
func TestSaltsAreRandom(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestSaltsAreRandom")
	var salts, cts [][]byte
	for range draws() {
		b, err := Lock(share, []byte("8395"), reduced)
		require.NoError(t, err)
		encoded, err := b.MarshalBinary()
		require.NoError(t, err)
		salts = append(salts, encoded[15:31])
		cts = append(cts, encoded[39+256:39+256+264])
	}
	uniformtest.Require(t, salts)
	uniformtest.Require(t, cts)
}

// TestNoncesAreRandom seals one lockbox under one key again and again.
func TestNoncesAreRandom(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Additive, "TestNoncesAreRandom")
	b := lockFixed(share, "8395", reduced, "TestNoncesAreRandom")
	var nonces, bodies [][]byte
	for range draws() {
		sealed, err := seal(b, testStorageKey)
		require.NoError(t, err)
		nonces = append(nonces, bytes.Clone(sealed[5:29]))
		bodies = append(bodies, sealed[29:])
	}
	uniformtest.Require(t, nonces)
	uniformtest.Require(t, bodies)
}
