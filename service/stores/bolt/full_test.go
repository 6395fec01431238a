//go:build linux || darwin

package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

func init() { roles["full"] = fillUp }

const (
	fillKeys   = 100
	fillRounds = 12
)

// TestFull: where there is no room for a write it fails without a trace, Load goes on,
// and writes succeed again as soon as there is room. (The child lowers and raises its
// limit on the length of a file: the same system calls fail as on a full disk, and no
// rights are needed.)
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childRole+"=full", childPath+"="+path)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	s := open(t, path)
	for i := range fillKeys {
		value, _, err := s.Load(t.Context(), fmt.Sprint("key ", i))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("value ", fillRounds-1), string(value[:len(fmt.Sprint("value ", fillRounds-1))]))
	}
}

// room lets this process write files up to a length.
func room(length uint64) {
	var limit syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	limit.Cur = min(length, limit.Max)
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// fillUp writes its keys again and again, each time longer and under another limit, until
// a write finds no room; it does the rest when there is room again.
func fillUp(path string) {
	ctx := context.Background()
	room(4 * uint64(os.Getpagesize())) // bbolt's first pages, and no more
	if _, err := Open(path, Options{}); err == nil {
		panic("a store without room for its first records")
	}
	room(1 << 62)
	s, err := Open(path, Options{})
	must(err)
	for i := range fillKeys {
		must(s.Create(ctx, fmt.Sprint("key ", i), nil))
	}
	for round := range fillRounds {
		must(s.Ping(ctx))
		info, err := os.Stat(path)
		must(err)
		// From the meta pages alone to a little more than the file.
		limit := 2*uint64(os.Getpagesize()) + uint64(round)*uint64(info.Size()+growBy/2)/(fillRounds-1)
		room(limit)
		full := 0
		for i := range fillKeys {
			id := fmt.Sprint("key ", i)
			before, version, err := s.Load(ctx, id)
			must(err)
			next := fmt.Appendf(nil, "value %d", round)
			next = append(next, make([]byte, 1000*(round+1))...)
			err = s.Swap(ctx, id, version, next)
			if errors.Is(err, ErrFull) {
				full++
				if errors.Is(err, limiter.ErrConflict) {
					panic("a conflict")
				}
				after, still, loadErr := s.Load(ctx, id)
				must(loadErr)
				if string(before) != string(after) || version != still {
					panic("a write that failed was written")
				}
				if err := s.Create(ctx, "new", nil); err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, limiter.ErrConflict) {
					panic(err)
				}
				must(s.Check(ctx))
				room(1 << 62)
				if err = s.Swap(ctx, id, version, next); err == nil {
					room(limit)
				}
			}
			must(err)
		}
		if round < fillRounds/2 && full == 0 {
			panic(fmt.Sprint("there was room within ", limit))
		}
		room(1 << 62)
		must(s.Check(ctx))
	}
	must(s.Close())
	must(CheckFile(ctx, path))
}

// TestOnlyFull: no other failure is taken for a full disk, neither a sync that fails nor
// a write after which a meta page has changed.
func TestOnlyFull(t *testing.T) {
	s := openNew(t)
	metas, err := s.metaPages()
	require.NoError(t, err)
	full := &fs.PathError{Op: "write", Err: syscall.ENOSPC}
	require.True(t, s.full(full, metas))
	require.True(t, s.full(&fs.PathError{Op: "write", Err: syscall.EDQUOT}, metas))
	require.True(t, s.full(&fs.PathError{Op: "write", Err: syscall.EFBIG}, metas))
	require.True(t, s.full(errors.New("file resize error: truncate: no space left on device"), metas))
	require.False(t, s.full(&fs.PathError{Op: "write", Err: syscall.EIO}, metas))
	require.False(t, s.full(&fs.PathError{Op: "sync", Err: syscall.ENOSPC}, metas))
	require.False(t, s.full(syscall.ENOSPC, metas), "what fdatasync returns")
	require.False(t, s.full(errors.New("file sync error: no space left on device"), metas))
	require.False(t, s.full(full, nil))
	require.NoError(t, s.db.Update(func(*bbolt.Tx) error { return nil }))
	require.False(t, s.full(full, metas), "the transaction has been committed")
}
