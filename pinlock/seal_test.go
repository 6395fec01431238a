package pinlock

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
)

var testStorageKey = bytes.Repeat([]byte{7}, StorageKeySize)

func testSealed(t testing.TB, label string) (sealed []byte, share *splitkey.ClientShare) {
	share, _ = testShares(t, 2048, splitkey.Multiplicative, label)
	sealed, err := seal(lockFixed(share, "0846", reduced, label), testStorageKey)
	require.NoError(t, err)
	require.Len(t, sealed, 92+2*256)
	return sealed, share
}

func TestSeal(t *testing.T) {
	sealed, share := testSealed(t, "TestSeal")
	b, err := openSealed(sealed, testStorageKey)
	require.NoError(t, err)
	opened, err := b.Unlock([]byte("0846"), reduced)
	require.NoError(t, err)
	require.Equal(t, share.Secret(), opened.Secret())

	// The documented form, opened by hand.
	require.Equal(t, "TDsl\x01", string(sealed[:5]))
	aead, err := newX(testStorageKey)
	require.NoError(t, err)
	body, err := aead.Open(nil, sealed[5:29], sealed[29:], []byte("tandem sealed lockbox v1"))
	require.NoError(t, err)
	encoded, err := b.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, encoded, withChecksum(body))
}

func TestSealDrawsNonce(t *testing.T) {
	share, _ := testShares(t, 2048, splitkey.Multiplicative, "TestSealDrawsNonce")
	b := lockFixed(share, "0846", reduced, "TestSealDrawsNonce")
	one, err := seal(b, testStorageKey)
	require.NoError(t, err)
	two, err := seal(b, testStorageKey)
	require.NoError(t, err)
	require.NotEqual(t, one[5:29], two[5:29])
	require.NotEqual(t, one[29:], two[29:])
	// Nothing of the lockbox shows.
	pub := share.PublicKey().N.Bytes()
	for i := 0; i+8 <= len(pub); i++ {
		require.False(t, bytes.Contains(one, pub[i:i+8]))
	}
}

func TestEveryDamageToASealedLockboxIsRefused(t *testing.T) {
	sealed, _ := testSealed(t, "TestEveryDamageToASealedLockboxIsRefused")
	for i := range 8 * len(sealed) {
		damaged := bytes.Clone(sealed)
		damaged[i/8] ^= 1 << (i % 8)
		_, err := openSealed(damaged, testStorageKey)
		require.ErrorIs(t, err, ErrSealed, "bit %d", i)
	}
	for n := range sealed {
		_, err := openSealed(sealed[:n], testStorageKey)
		require.ErrorIs(t, err, ErrSealed, "%d bytes", n)
	}
	_, err := openSealed(append(slices.Clip(sealed), 0), testStorageKey)
	require.ErrorIs(t, err, ErrSealed)
	for i := range 8 * StorageKeySize {
		other := bytes.Clone(testStorageKey)
		other[i/8] ^= 1 << (i % 8)
		_, err := openSealed(sealed, other)
		require.ErrorIs(t, err, ErrSealed)
	}
}

func TestStorageKeySize(t *testing.T) {
	sealed, share := testSealed(t, "TestStorageKeySize")
	b := lockFixed(share, "0846", reduced, "TestStorageKeySize")
	for _, n := range []int{0, 1, 16, 24, 31, 33, 64} {
		_, err := seal(b, make([]byte, n))
		require.ErrorIs(t, err, ErrStorageKey)
		_, err = openSealed(sealed, make([]byte, n))
		require.ErrorIs(t, err, ErrStorageKey)
	}
}

// TestSealedBodyIsParsed: other bytes under a right seal are no lockbox.
func TestSealedBodyIsParsed(t *testing.T) {
	sealed, share := testSealed(t, "TestSealedBodyIsParsed")
	aead, err := newX(testStorageKey)
	require.NoError(t, err)
	reseal := func(body []byte) []byte {
		return aead.Seal(bytes.Clone(sealed[:29]), sealed[5:29], body, []byte("tandem sealed lockbox v1"))
	}
	good := lockFixed(share, "0846", reduced, "TestSealedBodyIsParsed").c.Get().encode()
	_, err = openSealed(reseal(good), testStorageKey)
	require.NoError(t, err)
	for _, body := range [][]byte{nil, good[:len(good)-1], append(slices.Clip(good), 0), withChecksum(good), append([]byte("TDlb\x02"), good[5:]...)} {
		_, err := openSealed(reseal(body), testStorageKey)
		require.ErrorIs(t, err, ErrLockbox)
	}
}

// TestFormsAreNotConfused: neither reader accepts what the writer of the other form
// wrote.
func TestFormsAreNotConfused(t *testing.T) {
	sealed, _ := testSealed(t, "TestFormsAreNotConfused")
	encoded, _ := testEncoded(t, "TestFormsAreNotConfused")
	_, err := ParseLockbox(sealed)
	require.ErrorIs(t, err, ErrLockbox)
	_, err = openSealed(encoded, testStorageKey)
	require.ErrorIs(t, err, ErrSealed)
}
