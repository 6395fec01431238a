//go:build valgrind && linux && amd64

package taint_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/taint"
	"github.com/tandem-rsa/tandem/pinlock"
)

// cost is the least that Argon2id allows: what it does inside is not checked.
var cost = pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}

// lockboxOperations are those on the device's PIN. The PINs are not weak.
func (k key) lockboxOperations() []operation {
	lock := func(t *testing.T) *pinlock.Lockbox {
		box, err := pinlock.Lock(k.client(), secret([]byte("839517")), cost)
		require.NoError(t, err)
		return box
	}
	stored := func(t *testing.T) *pinlock.Lockbox {
		b, err := lock(t).MarshalBinary()
		require.NoError(t, err)
		box, err := pinlock.ParseLockbox(taint.DeclassifyBytes(b, taint.LockboxEncoding))
		require.NoError(t, err)
		return box
	}
	return []operation{
		{"Lock", func(t *testing.T) []byte {
			lock(t)
			return nil
		}, taint.WeakPIN},
		{"Lock with a weak PIN", func(t *testing.T) []byte {
			_, err := pinlock.Lock(k.client(), secret([]byte("19842580")), cost)
			var weak *pinlock.WeakPINError
			require.ErrorAs(t, err, &weak)
			require.Equal(t, "weak-parts", weak.Rule)
			return nil
		}, taint.WeakPIN},
		{"Lockbox.MarshalBinary", func(t *testing.T) []byte {
			b, err := lock(t).MarshalBinary()
			require.NoError(t, err)
			return b
		}, taint.Result},
		{"Lockbox.Seal", func(t *testing.T) []byte {
			b, err := lock(t).Seal(secret(make([]byte, pinlock.StorageKeySize)))
			require.NoError(t, err)
			return b
		}, taint.Result},
		{"Unlock", func(t *testing.T) []byte {
			share, err := stored(t).Unlock(secret([]byte("839517")), cost)
			require.NoError(t, err)
			return share.Secret()
		}, taint.Result},
		{"Unlock with another PIN", func(t *testing.T) []byte {
			share, err := stored(t).Unlock(secret([]byte("0000")), cost)
			require.NoError(t, err)
			return share.Secret()
		}, taint.Result},
		{"Unlock with no PIN", func(t *testing.T) []byte {
			_, err := stored(t).Unlock(secret([]byte("12a4")), cost)
			require.ErrorIs(t, err, pinlock.ErrPINFormat)
			return nil
		}, taint.PINFormat},
	}
}
