package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

const pageSize = 4096

// filled writes a store of many pages and returns its bytes.
func filled(t *testing.T, path string) []byte {
	s, err := Open(path, Options{})
	require.NoError(t, err)
	for i := range 120 {
		require.NoError(t, s.Create(context.Background(), fmt.Sprint("key ", i), make([]byte, 500)))
	}
	require.NoError(t, s.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// TestDamagedPages: Open and Backup refuse a file with large damage.
func TestDamagedPages(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"half of the file": func(b []byte) []byte { return b[:usedBytes(t, b)/2] },
		"the meta pages":   func(b []byte) []byte { return b[:2*pageSize] },
		"all page headers": eachPage(func(page []byte) { flip(page[:16]) }),
		"leaves of records": eachPage(func(page []byte) {
			if page[8] == 2 && !bytes.Contains(page, recordsBucket) { // a leaf
				page[8] = 0x55
			}
		}),
		"element counts": eachPage(func(page []byte) {
			if page[8] == 2 {
				page[10], page[11] = 0xff, 0xff
			}
		}),
		"zeroed pages": eachPage(func(page []byte) { clear(page) }),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store")
			require.NoError(t, os.WriteFile(path, damage(filled(t, path)), 0o600))
			for range 2 { // the refused file must be unlocked again
				s, err := Open(path, Options{})
				require.Error(t, err)
				require.NotErrorIs(t, err, ErrInUse)
				require.Nil(t, s)
			}
			require.Error(t, CheckFile(t.Context(), path))
			var b bytes.Buffer
			require.Error(t, BackupFile(t.Context(), path, &b))
			require.Zero(t, b.Len(), "a damaged store was copied")
		})
	}
}

// TestRepairOfAMetaPage: what "bbolt compact" makes of a file with one damaged meta page
// is a store, with all that was written, or all but the last write. What "bbolt surgery
// revert-meta-page" makes of it, two meta pages of one transaction, is refused.
func TestRepairOfAMetaPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	b := filled(t, path)
	newest, err := newestMeta(bytes.NewReader(b), pageSize)
	require.NoError(t, err)
	for page := range 2 {
		lost := 0
		if uint64(page) == newest.transaction%2 {
			lost = 1
		}
		broken := bytes.Clone(b)
		broken[page*pageSize+pageHeader+40] ^= 1
		require.NoError(t, os.WriteFile(path, broken, 0o600))
		_, err := Open(path, Options{})
		require.ErrorIs(t, err, ErrDamaged)

		source, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
		require.NoError(t, err)
		repaired := filepath.Join(t.TempDir(), "repaired")
		target, err := bbolt.Open(repaired, 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, bbolt.Compact(target, source, 0))
		require.NoError(t, errors.Join(source.Close(), target.Close()))
		ids, err := open(t, repaired).List(t.Context(), "", "", 1000)
		require.NoError(t, err)
		require.Len(t, ids, 120-lost)

		copy(broken[page*pageSize:][:pageSize], broken[(1-page)*pageSize:])
		require.NoError(t, os.WriteFile(path, broken, 0o600))
		_, err = Open(path, Options{})
		require.ErrorIs(t, err, ErrDamaged)
	}
}

// TestFreed: a page is free if it is in the freelist, and not if it is in what an older
// list has left behind it. A list that cannot be read says nothing.
func TestFreed(t *testing.T) {
	const at, free = 32, 3
	b := make([]byte, at)
	for _, id := range []uint64{3, 5, 9, 12} {
		b = native.AppendUint64(b, id)
	}
	s := snapshot{file: bytes.NewReader(b), freeAt: at, free: free}
	for id := range uint64(20) {
		freed, err := s.freed(id)
		require.NoError(t, err)
		require.Equal(t, id == 3 || id == 5 || id == 9, freed, "page %d", id)
	}
	s.file = bytes.NewReader(b[:at+8*free-1])
	_, err := s.freed(9)
	require.ErrorIs(t, err, ErrDamaged)
}

// usedBytes is the length of a file up to the end of its last used page.
func usedBytes(t *testing.T, b []byte) int {
	first, err := readMeta(bytes.NewReader(b), pageSize, 0)
	require.NoError(t, err)
	second, err := readMeta(bytes.NewReader(b), pageSize, 1)
	require.NoError(t, err)
	return int(max(first.end, second.end)) * first.pageSize
}

// eachPage applies f to every page but the two meta pages.
func eachPage(f func(page []byte)) func(b []byte) []byte {
	return func(b []byte) []byte {
		for i := 2 * pageSize; i+pageSize <= len(b); i += pageSize {
			f(b[i : i+pageSize])
		}
		return b
	}
}

func flip(b []byte) {
	for i := range b {
		b[i] ^= 0xff
	}
}
