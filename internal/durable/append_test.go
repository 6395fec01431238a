package durable

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLog: each line is synced before Write returns, the name before the first line, and
// a line that was cut off does not spoil the next one.
func TestLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	var steps []Op
	var fail Op
	disk := Observed(func(s Step) error {
		steps = append(steps, s.Op)
		if s.Op == fail {
			return syscall.ENOSPC
		}
		return nil
	})
	l, err := disk.OpenLog(name, 0o600)
	require.NoError(t, err)
	n, err := l.Write([]byte("first\n"))
	require.NoError(t, err)
	require.Equal(t, 6, n)
	require.Equal(t, []Op{Create, SyncFolder, Write, Sync}, steps)

	for _, fail = range []Op{Write, Sync} {
		_, err = l.Write([]byte("lost\n"))
		require.ErrorIs(t, err, syscall.ENOSPC, fail)
	}
	fail = ""
	n, err = l.Write([]byte("second\n"))
	require.NoError(t, err)
	require.Equal(t, 7, n)
	require.NoError(t, l.Close())
	requireFile(t, name, "first\nlost\nsecond\n")

	// What a crash has cut off.
	require.NoError(t, os.WriteFile(name, []byte("first\nsec"), 0o600))
	l, err = disk.OpenLog(name, 0o600)
	require.NoError(t, err)
	for _, line := range []string{"third\n", "fourth\n"} {
		_, err = l.Write([]byte(line))
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())
	requireFile(t, name, "first\nsec\nthird\nfourth\n")

	for _, fail = range []Op{Create, SyncFolder} {
		_, err = disk.OpenLog(filepath.Join(t.TempDir(), "log"), 0o600)
		require.ErrorIs(t, err, syscall.ENOSPC, fail)
	}
}

func requireFile(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// TestLogFails: what the file refuses is the error, and how much of a line was written is
// said without the newline that ended the one before.
func TestLogFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	closed, err := os.Create(name)
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	_, err = cutOff(closed)
	require.ErrorIs(t, err, os.ErrClosed)
	require.ErrorIs(t, writing([]byte("x"))(closed), os.ErrClosed)

	require.NoError(t, os.WriteFile(name, []byte("torn"), 0o600))
	writeOnly, err := os.OpenFile(name, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = cutOff(writeOnly)
	require.Error(t, err)
	require.NoError(t, writeOnly.Close())

	_, err = Disk{}.OpenLog(t.TempDir(), 0o600) // a folder
	require.Error(t, err)
	l, err := Disk{}.OpenLog(name, 0o600)
	require.NoError(t, err)
	n, err := l.Write([]byte("whole\n"))
	require.NoError(t, err)
	require.Equal(t, 6, n)
	require.NoError(t, l.file.Close())
	_, err = l.Write([]byte("lost\n"))
	require.ErrorIs(t, err, os.ErrClosed)
	requireFile(t, name, "torn\nwhole\n")
}
