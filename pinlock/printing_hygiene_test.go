package pinlock

import (
	"crypto/fips140"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/printtest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestNothingPrinted prints everything that has to do with a PIN, errors included.
func TestNothingPrinted(t *testing.T) {
	pin, digits, letters := []byte("839517264083"), []byte("012345678901"), []byte("8395172640ab")
	x := make([]byte, 264)
	for i := range x {
		x[i] = byte(i*i>>3 ^ i*77)
	}
	share, err := splitkey.NewClientShare(&splitkeytest.Key(2048).PublicKey, splitkey.Multiplicative, x)
	require.NoError(t, err)
	cost := Params{Time: 1, MemoryKiB: 8, Threads: 1}
	box, err := Lock(share, pin, cost)
	require.NoError(t, err)
	opened, err := box.Unlock(pin, cost)
	require.NoError(t, err)
	_, weak := Lock(share, digits, cost)
	require.Error(t, weak)
	_, format := box.Unlock(letters, cost)
	require.Error(t, format)
	storageKey := []byte("the phone's 32 secret bytes: 8395")
	sealed, err := box.Seal(storageKey[:StorageKeySize])
	damaged := err
	if fips140.Enforced() {
		require.ErrorIs(t, err, splitkey.ErrFIPS)
	} else {
		require.NoError(t, err)
		sealed[50] ^= 1
		_, damaged = OpenLockbox(sealed, storageKey[:StorageKeySize])
		require.ErrorIs(t, damaged, ErrSealed)
	}
	_, long := OpenLockbox(sealed, storageKey)
	require.ErrorIs(t, long, ErrStorageKey)
	_, longer := box.Seal(storageKey)
	require.ErrorIs(t, longer, ErrStorageKey)
	printtest.Hidden(t, map[string][]byte{
		"the PIN": pin, "a weak PIN": digits, "what is no PIN": letters, "x": x, "the storage key": storageKey,
	}, box, *box, struct{ b Lockbox }{*box}, opened, *opened, weak, format, damaged, long, longer)
}
