package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// counting is a store on which clients count, each count noted once it is confirmed.
type counting struct {
	*Store
	confirmed []atomic.Uint64
	stop      func()
}

func startCounting(t *testing.T, keys, clients int) *counting {
	c := &counting{Store: openNew(t), confirmed: make([]atomic.Uint64, keys)}
	var create sync.WaitGroup
	for i := range keys {
		create.Go(func() {
			if err := c.Create(context.Background(), fmt.Sprint("key ", i), make([]byte, 2200)); err != nil {
				t.Error(err)
			}
		})
	}
	create.Wait()
	var wg sync.WaitGroup
	done := make(chan struct{})
	c.stop = sync.OnceFunc(func() { close(done); wg.Wait() })
	t.Cleanup(c.stop)
	for range clients {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				k := rand.IntN(keys)
				var n uint64
				err := limiter.Update(context.Background(), c, fmt.Sprint("key ", k), func(v []byte) ([]byte, error) {
					n = binary.BigEndian.Uint64(v) + 1
					return binary.BigEndian.AppendUint64(nil, n), nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				for o := c.confirmed[k].Load(); n > o && !c.confirmed[k].CompareAndSwap(o, n); o = c.confirmed[k].Load() {
				}
			}
		})
	}
	return c
}

// TestBackupWhileCounting: a backup of a running store is whole, and has all that was
// confirmed before it.
func TestBackupWhileCounting(t *testing.T) {
	const keys = 400
	c := startCounting(t, keys, 16)
	copied := filepath.Join(t.TempDir(), "copy")
	for range thorough(12, 3) {
		before := make([]uint64, keys)
		for k := range keys {
			before[k] = c.confirmed[k].Load()
		}
		f, err := os.Create(copied)
		require.NoError(t, err)
		require.NoError(t, c.Backup(t.Context(), f))
		require.NoError(t, f.Close())
		require.NoError(t, CheckFile(t.Context(), copied))
		s, err := Open(copied, Options{})
		require.NoError(t, err)
		for k := range keys {
			v, _, err := s.Load(t.Context(), fmt.Sprint("key ", k))
			require.NoError(t, err)
			require.GreaterOrEqual(t, binary.BigEndian.Uint64(v), before[k], "a count is missing")
		}
		require.NoError(t, s.Create(t.Context(), "new", nil))
		require.NoError(t, s.Close())
	}
}

// TestCheckWhileCounting finds no fault in a sound store, however much is written
// meanwhile.
func TestCheckWhileCounting(t *testing.T) {
	c := startCounting(t, 200, 8)
	for range thorough(50, 10) {
		require.NoError(t, c.Check(t.Context()))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Check(ctx), context.Canceled)
	c.stop()
	path := c.db.Path()
	require.ErrorIs(t, CheckFile(t.Context(), path), ErrInUse)
	require.NoError(t, c.Close())
	require.NoError(t, CheckFile(t.Context(), path))
	require.ErrorIs(t, CheckFile(ctx, path), context.Canceled)
	require.ErrorIs(t, CheckFile(t.Context(), path+" not"), os.ErrNotExist)
}

// shortWriter fails after some bytes, and calls then before it does.
type shortWriter struct {
	left int
	then func()
}

var errShort = errors.New("no room for a backup")

func (w *shortWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		if w.then != nil {
			w.then()
			return len(b), nil
		}
		return 0, errShort
	}
	return len(b), nil
}

func TestBackupFails(t *testing.T) {
	s := openNew(t)
	for i := range 100 {
		require.NoError(t, s.Create(t.Context(), fmt.Sprint(i), make([]byte, 4000)))
	}
	require.ErrorIs(t, s.Backup(t.Context(), &shortWriter{left: 100 << 10}), errShort)
	require.Error(t, s.Backup(t.Context(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, s.Backup(ctx, &shortWriter{100 << 10, cancel}), context.Canceled)
	require.ErrorIs(t, s.Backup(ctx, io.Discard), context.Canceled)
	require.NoError(t, s.Create(t.Context(), "later", nil))

	// What is not durable yet is not copied.
	s.mu.Lock()
	s.durable--
	s.mu.Unlock()
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var b bytes.Buffer
	require.ErrorIs(t, s.Backup(ctx, &b), context.DeadlineExceeded)
	require.Zero(t, b.Len())
}

func TestBackupFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path)
	require.NoError(t, s.Create(t.Context(), "id", []byte("value")))
	require.ErrorIs(t, BackupFile(t.Context(), path, io.Discard), ErrInUse)
	var online, offline bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &online))
	require.NoError(t, s.Close())
	require.NoError(t, os.Chmod(path, 0o400))
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, BackupFile(t.Context(), path, &offline))
	require.Equal(t, online.Bytes(), offline.Bytes())
	for id := range uint64(2) {
		require.Equal(t, id, native.Uint64(online.Bytes()[id*pageSize:]), "the id of a meta page")
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.ErrorIs(t, BackupFile(t.Context(), path+" not", io.Discard), os.ErrNotExist)
	_, err = os.Stat(path + " not")
	require.ErrorIs(t, err, os.ErrNotExist, "a backup made a store")
	require.NoError(t, os.WriteFile(path+" not", offline.Bytes(), 0o600))
	value, _, err := open(t, path+" not").Load(t.Context(), "id")
	require.NoError(t, err)
	require.Equal(t, "value", string(value))
}
