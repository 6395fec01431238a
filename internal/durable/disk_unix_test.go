//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package durable

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnlockBeforeClose: a copy of the descriptor, as a child has between fork and exec, does not keep
// the lock.
func TestUnlockBeforeClose(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := TryLock(name)
	require.NoError(t, err)
	kept := copiesOf(t, name)
	require.Len(t, kept, 1)
	_, err = TryLock(name)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, unlock())
	again, err := TryLock(name)
	require.NoError(t, err)
	require.NoError(t, again())
	for _, fd := range kept {
		require.NoError(t, syscall.Close(fd))
	}
}

// copiesOf duplicates the descriptors that this process has of a file.
func copiesOf(t *testing.T, name string) []int {
	want, err := os.Stat(name)
	require.NoError(t, err)
	var copies []int
	for fd := range 256 {
		var stat syscall.Stat_t
		if syscall.Fstat(fd, &stat) != nil || !os.SameFile(want, statOf(t, fd)) {
			continue
		}
		kept, err := syscall.Dup(fd)
		require.NoError(t, err)
		copies = append(copies, kept)
		break
	}
	return copies
}

func statOf(t *testing.T, fd int) os.FileInfo {
	kept, err := syscall.Dup(fd)
	require.NoError(t, err)
	file := os.NewFile(uintptr(kept), "copy")
	defer file.Close()
	info, err := file.Stat()
	require.NoError(t, err)
	return info
}

// TestSyncFolderSyncs: a folder that cannot be synced is an error. The system's own folder of
// processes is one.
func TestSyncFolderSyncs(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("no /proc here")
	}
	require.ErrorIs(t, Disk{}.SyncFolder("/proc"), syscall.EINVAL)
}
