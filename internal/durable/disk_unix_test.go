//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package durable

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnlockBeforeClose: a child that has the descriptor, as every child has between fork
// and exec, does not keep the lock.
func TestUnlockBeforeClose(t *testing.T) {
	if os.Getenv("DURABLE_CHILD") != "" { // the child, which lives until the test ends
		_, err := io.Copy(io.Discard, os.Stdin)
		require.NoError(t, err)
		return
	}
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := TryLock(name)
	require.NoError(t, err)
	child := exec.Command(os.Args[0], "-test.run=^TestUnlockBeforeClose$")
	child.Env = append(os.Environ(), "DURABLE_CHILD=yes")
	child.ExtraFiles = []*os.File{opened(t, name)}
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	defer func() {
		require.NoError(t, stdin.Close())
		require.NoError(t, child.Wait())
	}()
	require.NoError(t, child.ExtraFiles[0].Close())

	_, err = TryLock(name)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, unlock())
	again, err := TryLock(name)
	require.NoError(t, err)
	require.NoError(t, again())
}

// opened returns another descriptor of the file that this process has open under that
// name.
func opened(t *testing.T, name string) *os.File {
	want, err := os.Stat(name)
	require.NoError(t, err)
	for fd := range 256 {
		copied, err := syscall.Dup(fd)
		if err != nil {
			continue
		}
		file := os.NewFile(uintptr(copied), name)
		if got, err := file.Stat(); err == nil && os.SameFile(want, got) {
			return file
		}
		require.NoError(t, file.Close())
	}
	require.Fail(t, "the file is not open")
	return nil
}

// TestSyncFolderIsReal: the sync fails for a folder that was closed, so it is the folder
// that is synced.
func TestSyncFolderIsReal(t *testing.T) {
	disk := Observed(func(s Step) error { return s.File.Close() })
	var failed *fs.PathError
	require.ErrorAs(t, disk.SyncFolder(t.TempDir()), &failed)
	require.Equal(t, "sync", failed.Op)
}
