package pinlock

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkParsed requires of every parsed lockbox that it has one form, and opens with any
// PIN if its cost is allowed.
func checkParsed(t *testing.T, b *Lockbox, encoded []byte) {
	again, err := b.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, encoded, again)
	for _, pin := range []string{"0000", "839501726408"} {
		share, err := b.Unlock([]byte(pin), Params{Time: 2, MemoryKiB: 64, Threads: 4})
		if errors.Is(err, ErrParams) {
			continue
		}
		require.NoError(t, err)
		require.Len(t, share.Secret(), len(b.c.Get().ct))
	}
}

func FuzzParseLockbox(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		// As it is, and with a right checksum appended, which a fuzzer does not find.
		for _, encoded := range [][]byte{data, withChecksum(data)} {
			b, err := ParseLockbox(encoded)
			if err != nil {
				require.ErrorIs(t, err, ErrLockbox)
				require.Nil(t, b)
				continue
			}
			checkParsed(t, b, encoded)
		}
	})
}

func FuzzOpenLockbox(f *testing.F) {
	f.Fuzz(func(t *testing.T, data, storageKey []byte) {
		if _, err := openSealed(data, storageKey); err != nil {
			known := errors.Is(err, ErrSealed) || errors.Is(err, ErrLockbox) || errors.Is(err, ErrStorageKey)
			require.True(t, known, "%v", err)
			require.Equal(t, len(storageKey) != StorageKeySize, errors.Is(err, ErrStorageKey))
		}
		if len(storageKey) != StorageKeySize {
			return
		}
		// data again, under a right seal.
		aead, err := newX(storageKey)
		require.NoError(t, err)
		header := append([]byte("TDsl\x01"), make([]byte, 24)...)
		b, err := openSealed(aead.Seal(header, header[5:], data, []byte("tandem sealed lockbox v1")), storageKey)
		if err != nil {
			require.ErrorIs(t, err, ErrLockbox)
			return
		}
		checkParsed(t, b, withChecksum(data))
	})
}

func FuzzCheckPIN(f *testing.F) {
	f.Fuzz(func(t *testing.T, pin []byte) {
		before := bytes.Clone(pin)
		err := CheckPIN(pin)
		require.Equal(t, before, pin)
		digits := len(pin) >= 4 && len(pin) <= 12 && strings.Trim(string(pin), "0123456789") == ""
		require.Equal(t, !digits, errors.Is(err, ErrPINFormat))
		if digits {
			agree(t, string(pin))
		}
	})
}

// TestCorpora: each target starts from enough cases, of both kinds.
func TestCorpora(t *testing.T) {
	for target, atLeast := range map[string]int{"FuzzParseLockbox": 20, "FuzzOpenLockbox": 8, "FuzzCheckPIN": 20} {
		entries, err := os.ReadDir("testdata/fuzz/" + target)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(entries), atLeast, target)
		good := 0
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "good-") {
				good++
			}
		}
		require.NotZero(t, good, target)
		require.Less(t, good, len(entries), target)
	}
}
