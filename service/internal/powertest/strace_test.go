package powertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func hexed(s string) (out string) {
	for _, b := range []byte(s) {
		out += fmt.Sprintf(`\x%02x`, b)
	}
	return `"` + out + `"`
}

// read reads lines, in which 'x' stands for x as strace writes it.
func read(lines ...string) (Log, error) {
	r := newReader("/d", nil)
	for _, line := range lines {
		parts := strings.Split(line, "'")
		for i := 1; i < len(parts); i += 2 {
			parts[i] = hexed(parts[i])
		}
		if err := r.line("77 " + strings.Join(parts, "")); err != nil {
			return nil, err
		}
	}
	return r.log, nil
}

// TestReader: what strace writes is read as what was done, in its order.
func TestReader(t *testing.T) {
	log, err := read(
		"openat(AT_FDCWD, '/d/a', O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 5",
		"openat(AT_FDCWD, '/e/a', O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 6",
		"open('/d', O_RDONLY) = 7",
		"pwrite64(5, 'one', 3, 10) = 3",
		"pwrite64(6, 'two', 3, 10) = 3",
		"fsync(5 <unfinished ...>",
		"ftruncate(5, 11)                        = 0",
		"<... fsync resumed>) = 0",
		"fsync(7)  = 0",
		"fdatasync(6) = 0",
		"write(1, 'step 3\n', 7) = 7",
		"write(1, 'loose 4\nstep 5\n', 15) = 15",
		"write(2, 'step 3\n', 7) = 7",
		"openat(AT_FDCWD, '/d/none', O_RDWR) = -1 ENOENT (No such file or directory)",
		// Another thread gets the descriptor before the first one goes on.
		"close(5 <unfinished ...>",
		"open('/d/b', O_RDWR|O_CREAT, 0600) = 5",
		"<... close resumed>) = 0",
		"mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 5, 0) = 0x7f0000000000",
		"mmap(NULL, 4096, PROT_READ, MAP_SHARED, 5, 0) = 0x7f0000001000",
		"unlink('/d/a') = 0",
		"close(5) = 0",
		"pwrite64(5, 'no file of ours', 15, 0) = 15",
		"+++ exited with 0 +++",
	)
	require.NoError(t, err)
	require.Equal(t, Log{
		{Kind: Create, Name: "a"},
		{Kind: Write, Name: "a", At: 10, Data: []byte("one")},
		{Kind: Truncate, Name: "a", At: 11},
		{Kind: Sync, Name: "a", Began: 2},
		{Kind: SyncFolder, Began: 4},
		{Kind: Step, At: 3}, {Kind: Loose, At: 4}, {Kind: Step, At: 5},
		{Kind: Create, Name: "b", File: 1},
		{Kind: Map, Name: "b", File: 1},
		{Kind: Remove, Name: "a"},
	}, log)
}

// TestReaderRefuses: what the simulated disk does not know is an error.
func TestReaderRefuses(t *testing.T) {
	const open = "openat(AT_FDCWD, '/d/a', O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 5"
	for _, line := range []string{
		"openat(AT_FDCWD, '/d/a', O_RDWR|O_TRUNC) = 6",
		"openat(AT_FDCWD, '/d/a', O_WRONLY|O_APPEND) = 6",
		"openat(AT_FDCWD, '/d/b', O_RDWR) = 6",
		"openat(AT_FDCWD, '/d/b/c', O_RDWR|O_CREAT, 0600) = 6",
		"creat('/d/b', 0600) = 6",
		"write(5, 'x', 1) = 1",
		"pwrite64(5, 'xy', 2, 0) = 1",
		"pwrite64(5, 'xy'..., 4, 0) = 4",
		"pwritev(5, [{iov_base='x', iov_len=1}], 1, 0) = 1",
		"fallocate(5, 0, 0, 4096) = 0",
		"dup(5) = 6",
		"rename('/e/a', '/d/a') = 0",
		"renameat2(AT_FDCWD, '/d/a', AT_FDCWD, '/d/b', 0) = 0",
		"link('/d/a', '/d/b') = 0",
		"truncate('/d/a', 0) = 0",
		"mkdirat(AT_FDCWD, '/d/b', 0700) = 0",
		"write(1, 'what\n', 5) = 5",
		"write(1, 'what 5\n', 7) = 7",
	} {
		_, err := read(open, line)
		require.Error(t, err, line)
	}
	_, err := read(open)
	require.NoError(t, err)
}

// TestSame: a file that is not what the log says is noticed, and one that nobody told of;
// what is in a file that is written through memory is not known.
func TestSame(t *testing.T) {
	log := Log{
		{Kind: Create, Name: "a"},
		{Kind: Create, Name: "b", File: 1},
		{Kind: Map, Name: "b", File: 1},
		{Kind: Write, Name: "a", At: 2, Data: []byte("xy")},
	}
	folder := t.TempDir()
	write := func(name, data string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(data), 0o600))
	}
	require.NoError(t, log.Place(folder))
	require.NoError(t, log.same(folder))
	write("b", "whatever")
	require.NoError(t, log.same(folder))
	write("a", "\x00\x00xz")
	require.Error(t, log.same(folder))
	write("a", "\x00\x00xy")
	require.NoError(t, log.same(folder))
	write("c", "")
	require.Error(t, log.same(folder))
}

// TestEarly: a step comes before the syncs since the last one, and syncs are as sure as
// they were of what came before them.
func TestEarly(t *testing.T) {
	log := Log{{Kind: Write}, {Kind: Sync, Began: 1}, {Kind: Write}, {Kind: Sync, Began: 3}, {Kind: Truncate}, {Kind: Step, At: 1},
		{Kind: Step, At: 2}, {Kind: Sync, Began: 2}, {Kind: Loose, At: 3}, {Kind: Step, At: 4}, {Kind: SyncFolder, Began: 6}}
	early, steps := log.Early()
	require.Equal(t, 1, steps)
	require.Equal(t, Log{{Kind: Write}, {Kind: Step, At: 1}, {Kind: Sync, Began: 1}, {Kind: Write}, {Kind: Sync, Began: 4}, {Kind: Truncate},
		{Kind: Step, At: 2}, {Kind: Sync, Began: 3}, {Kind: Loose, At: 3}, {Kind: Step, At: 4}, {Kind: SyncFolder, Began: 6}}, early)
	require.Equal(t, 5, log.First(Step))
	require.Equal(t, 9, log.Last(Step))
	require.Equal(t, -1, log.Last(Map))
	require.Equal(t, -1, log.First(Map))
}
