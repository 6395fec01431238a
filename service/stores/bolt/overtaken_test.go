package bolt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// watched is a store's file that a test watches being read.
type watched struct {
	file io.ReaderAt
	// before is called before each read, except a read that it makes itself; after may
	// change what was read.
	before func(meta bool)
	after  func(meta bool, at int64, b []byte)
	inside atomic.Bool
}

func (w *watched) ReadAt(b []byte, at int64) (int, error) {
	if !w.inside.CompareAndSwap(false, true) {
		return w.file.ReadAt(b, at)
	}
	defer w.inside.Store(false)
	meta := at < 2*pageSize
	if w.before != nil {
		w.before(meta)
	}
	n, err := w.file.ReadAt(b, at)
	if w.after != nil {
		w.after(meta, at, b)
	}
	return n, err
}

// commitTwice overwrites the meta page of a transaction that is being read.
func commitTwice(t *testing.T, s *Store) {
	for range 2 {
		require.NoError(t, s.Ping(context.Background()))
	}
}

// readers are the calls that read a state.
var readers = map[string]func(ctx context.Context, s *Store) error{
	"Load": func(ctx context.Context, s *Store) error {
		_, _, err := s.Load(ctx, "key 1")
		return err
	},
	"List": func(ctx context.Context, s *Store) error {
		_, err := s.List(ctx, "", "", 10)
		return err
	},
	"Check":  func(ctx context.Context, s *Store) error { return s.Check(ctx) },
	"Backup": func(ctx context.Context, s *Store) error { return s.Backup(ctx, io.Discard) },
}

func eachReader(t *testing.T, test func(t *testing.T, s *Store, w *watched, read func(ctx context.Context) error)) {
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			s := openNew(t)
			for i := range 3 {
				require.NoError(t, s.Create(t.Context(), fmt.Sprint("key ", i), make([]byte, 3000)))
			}
			w := &watched{file: s.file}
			s.file = w
			test(t, s, w, func(ctx context.Context) error { return read(ctx, s) })
		})
	}
}

// TestMetaPageIsReadOnce: a call does not read a meta page again, since two commits may
// overwrite it as soon as it was read.
func TestMetaPageIsReadOnce(t *testing.T) {
	eachReader(t, func(t *testing.T, s *Store, w *watched, read func(context.Context) error) {
		if txID(t, s)%2 == 0 { // the first meta page is also looked at before
			require.NoError(t, s.Ping(t.Context()))
		}
		overtaken, again := false, 0
		w.after = func(meta bool, at int64, _ []byte) {
			switch {
			case meta && overtaken:
				again++
			case at == pageSize:
				overtaken = true
				commitTwice(t, s)
			}
		}
		require.NoError(t, read(t.Context()))
		require.True(t, overtaken)
		require.Zero(t, again)
	})
}

// TestBackupOvertaken: a backup is the state that it began with, even if commits come
// between any two of its reads.
func TestBackupOvertaken(t *testing.T) {
	s := openNew(t)
	require.NoError(t, s.Create(t.Context(), "before", nil))
	transaction := txID(t, s)
	w := &watched{file: s.file}
	s.file = w
	n := 0
	w.before = func(meta bool) {
		if !meta {
			n++
			require.NoError(t, s.Create(context.Background(), fmt.Sprint("after ", n), nil))
		}
	}
	var b bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &b))
	require.Greater(t, n, 4)
	newest, err := newestMeta(bytes.NewReader(b.Bytes()), pageSize)
	require.NoError(t, err)
	require.EqualValues(t, transaction, newest.transaction)
	path := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	ids, err := open(t, path).List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{"before"}, ids)
}

// TestOvertakenOften: a call that finds its meta page overwritten, or half written,
// begins anew as often as that happens, and ends with its context.
func TestOvertakenOften(t *testing.T) {
	for _, torn := range []bool{false, true} {
		t.Run(fmt.Sprint("torn ", torn), func(t *testing.T) {
			eachReader(t, func(t *testing.T, s *Store, w *watched, read func(context.Context) error) {
				left := 50
				ctx, cancel := context.WithCancel(t.Context())
				w.before = func(meta bool) {
					if left--; meta && left >= 0 {
						commitTwice(t, s)
					}
					if left == 0 {
						cancel()
					}
				}
				w.after = func(meta bool, at int64, b []byte) {
					if torn && meta && left >= 0 {
						b[len(b)-1] ^= 1
					}
				}
				require.NoError(t, read(t.Context()))
				require.Negative(t, left)
				left = 10
				require.ErrorIs(t, read(ctx), context.Canceled)
			})
		})
	}
}

// TestMetaPageIsNotTheOne: a meta page that is damaged, or another transaction's, is
// damage at once if nothing was committed meanwhile, and nobody waits for a transaction
// that nobody wrote.
func TestMetaPageIsNotTheOne(t *testing.T) {
	renumber := func(by int) func(b []byte) {
		return func(b []byte) {
			body := b[pageHeader : pageHeader+metaLength]
			native.PutUint64(body[48:], uint64(int(native.Uint64(body[48:]))+by))
			native.PutUint64(body[metaLength-8:], metaSum(body))
		}
	}
	for name, damage := range map[string]func(b []byte){
		"damaged":      func(b []byte) { b[pageHeader+20] ^= 1 },
		"both damaged": func(b []byte) { b[pageHeader+20] ^= 1 },
		"older":        renumber(-2),
		"newer":        renumber(2),
	} {
		t.Run(name, func(t *testing.T) {
			eachReader(t, func(t *testing.T, s *Store, w *watched, read func(context.Context) error) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				at := int64(txID(t, s)%2) * pageSize
				n := 0
				w.after = func(meta bool, from int64, b []byte) {
					if meta && (from == at || name == "both damaged") {
						if damage(b); n == 2 { // to look for any, and to read this one
							cancel()
						}
						n++
					}
				}
				require.ErrorIs(t, read(ctx), ErrDamaged)
				w.after = nil
				require.NoError(t, read(t.Context()))
			})
		})
	}
	t.Run("in the file", func(t *testing.T) { // where bbolt reads it, too
		s := openNew(t)
		file, err := os.OpenFile(s.db.Path(), os.O_RDWR, 0)
		require.NoError(t, err)
		defer file.Close()
		b, at := make([]byte, pageSize), int64(txID(t, s)%2)*pageSize
		_, err = file.ReadAt(b, at)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, by := range []int{-2, 2, 4} {
			damaged := bytes.Clone(b)
			renumber(by)(damaged)
			_, err = file.WriteAt(damaged, at)
			require.NoError(t, err)
			require.ErrorIs(t, s.Check(ctx), ErrDamaged, by)
			require.ErrorIs(t, s.Ping(ctx), ErrDamaged, by)
		}
		_, err = file.WriteAt(b, at)
		require.NoError(t, err)
		require.NoError(t, s.Check(ctx))
		require.NoError(t, s.Ping(ctx))
	})
}
