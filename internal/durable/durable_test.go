package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var errPlanted = errors.New("planted")

// recorder notes the steps of a Disk, without the folder and the random part of a name.
type recorder struct {
	steps []string
	fail  int // the number of the step that fails, from 1
}

func (r *recorder) disk() Disk {
	return Observed(func(s Step) error {
		name := filepath.Base(s.Name)
		if s.Op == SyncFolder {
			name = ""
		}
		if draft, _, random := strings.Cut(name, ".new-"); random {
			name = draft + ".new-"
		}
		r.steps = append(r.steps, strings.TrimSpace(string(s.Op)+" "+name))
		if len(r.steps) == r.fail {
			return errPlanted
		}
		return nil
	})
}

var (
	replaces = []string{"remove f.new", "create f.new", "write f.new", "sync f.new", "close f.new", "rename f", "sync folder"}
	creates  = []string{"create f.new-", "write f.new-", "sync f.new-", "close f.new-", "link f", "remove f.new-", "sync folder"}
)

// TestReplace: the new value is durable before it has the name, and the name before
// Replace returns.
func TestReplace(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "f")
	for _, value := range []string{"old", "new"} {
		r := new(recorder)
		require.NoError(t, r.disk().Replace(name, []byte(value), 0o600))
		require.Equal(t, replaces, r.steps)
		requireOnly(t, folder, "f", value)
	}
}

// TestReplaceFails: whatever fails, the error says what, the file has the old value or
// the new one, and no draft is left.
func TestReplaceFails(t *testing.T) {
	for i, step := range replaces {
		folder := t.TempDir()
		name := filepath.Join(folder, "f")
		require.NoError(t, Disk{}.Replace(name, []byte("old"), 0o600))
		r := &recorder{fail: i + 1}
		err := r.disk().Replace(name, []byte("new"), 0o600)
		require.ErrorIs(t, err, errPlanted, step)
		op, _, _ := strings.Cut(step, " f")
		require.ErrorContains(t, err, op)
		want := "old"
		if step == "sync folder" {
			want = "new"
		}
		requireOnly(t, folder, "f", want)
	}
}

// TestCreate: the bytes are durable before the file has its name, and nothing is
// replaced.
func TestCreate(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "f")
	r := new(recorder)
	require.NoError(t, r.disk().Create(name, []byte("first"), 0o600))
	require.Equal(t, creates, r.steps)
	requireOnly(t, folder, "f", "first")
	require.ErrorIs(t, Disk{}.Create(name, []byte("second"), 0o600), fs.ErrExist)
	requireOnly(t, folder, "f", "first")
}

// TestCreateLosesRace: somebody takes the name after Create has looked.
func TestCreateLosesRace(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "f")
	disk := Observed(func(s Step) error {
		if s.Op == Link {
			require.NoError(t, os.WriteFile(name, []byte("faster"), 0o600))
		}
		return nil
	})
	require.ErrorIs(t, disk.Create(name, []byte("slower"), 0o600), fs.ErrExist)
	requireOnly(t, folder, "f", "faster")
}

// TestCreateFails leaves nothing, unless the name was there already when the folder could
// not be synced. Without links it renames.
func TestCreateFails(t *testing.T) {
	for i, step := range creates {
		folder := t.TempDir()
		name := filepath.Join(folder, "f")
		r := &recorder{fail: i + 1}
		err := r.disk().Create(name, []byte("x"), 0o600)
		switch step {
		case "link f":
			require.NoError(t, err)
			require.Equal(t, []string{"link f", "rename f", "sync folder"}, r.steps[i:])
			requireOnly(t, folder, "f", "x")
		case "remove f.new-", "sync folder":
			require.ErrorIs(t, err, errPlanted, step)
			require.FileExists(t, name)
		default:
			require.ErrorIs(t, err, errPlanted, step)
			requireOnly(t, folder, "", "")
		}
	}
}

// TestSyncIsReal: the sync fails for a file that was closed, so it is the file that is
// synced.
func TestSyncIsReal(t *testing.T) {
	disk := Observed(func(s Step) error {
		if s.Op == Sync {
			require.NoError(t, s.File.Close())
		}
		return nil
	})
	var failed *fs.PathError
	require.ErrorAs(t, disk.Replace(filepath.Join(t.TempDir(), "f"), nil, 0o600), &failed)
	require.Equal(t, "sync", failed.Op)
}

// TestLogSyncIsReal: a line is durable by a sync of the log's own file.
func TestLogSyncIsReal(t *testing.T) {
	var opened bool
	disk := Observed(func(s Step) error {
		if opened && s.Op == Sync {
			require.NoError(t, s.File.Close())
		}
		return nil
	})
	l, err := disk.OpenLog(filepath.Join(t.TempDir(), "log"), 0o600)
	require.NoError(t, err)
	opened = true
	_, err = l.Write([]byte("line\n"))
	var failed *fs.PathError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "sync", failed.Op)
}

// TestReplaceFollowsNoLeftover: what lies in the draft's place, a link or a file that
// others may read, is replaced.
func TestReplaceFollowsNoLeftover(t *testing.T) {
	folder, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	name := filepath.Join(folder, "f")
	require.NoError(t, os.WriteFile(elsewhere, []byte("precious"), 0o600))
	// Windows needs a privilege for a link.
	if err := os.Symlink(elsewhere, name+".new"); err == nil {
		require.NoError(t, Disk{}.Replace(name, []byte("x"), 0o600))
	}
	data, err := os.ReadFile(elsewhere)
	require.NoError(t, err)
	require.Equal(t, "precious", string(data))
	require.NoError(t, os.WriteFile(name+".new", nil, 0o666))
	require.NoError(t, Disk{}.Replace(name, []byte("y"), 0o600))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
}

// TestDraftIsNew: a file put in the draft's place after it was cleared is not written to.
func TestDraftIsNew(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	disk := Observed(func(s Step) error {
		if s.Op == Create {
			require.NoError(t, os.WriteFile(s.Name, []byte("somebody else's"), 0o666))
		}
		return nil
	})
	require.ErrorIs(t, disk.Replace(name, []byte("x"), 0o600), fs.ErrExist)
	require.NoFileExists(t, name)
}

// TestRemoveLeftover: what a crash left is removed durably; where nothing is left nothing
// is written.
func TestRemoveLeftover(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	r := new(recorder)
	require.NoError(t, r.disk().RemoveLeftover(name))
	require.Empty(t, r.steps)
	require.NoError(t, os.WriteFile(name+".new", nil, 0o600))
	require.NoError(t, r.disk().RemoveLeftover(name))
	require.Equal(t, []string{"remove f.new", "sync folder"}, r.steps)
	require.NoFileExists(t, name+".new")
	require.NoError(t, r.disk().Remove(name), "there is none")
}

// TestRename: the name is durable when Rename returns.
func TestRename(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "f")
	require.NoError(t, os.Mkdir(name+".new", 0o700))
	r := &recorder{fail: 1}
	require.ErrorIs(t, r.disk().Rename(name+".new", name), errPlanted)
	require.DirExists(t, name+".new")
	r = &recorder{fail: 2}
	require.ErrorIs(t, r.disk().Rename(name+".new", name), errPlanted)
	require.Equal(t, []string{"rename f", "sync folder"}, r.steps)
	require.DirExists(t, name)
	require.NoError(t, Disk{}.Rename(name, name+"2"))
	require.NoDirExists(t, name)
}

// TestMakeFolder: each folder's name is durable before the next one is made in it, also
// where it exists.
func TestMakeFolder(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "a", "b")
	var steps []string
	disk := Observed(func(s Step) error {
		name, err := filepath.Rel(root, s.Name)
		require.NoError(t, err)
		steps = append(steps, fmt.Sprintf("%s %s", s.Op, filepath.ToSlash(name)))
		return nil
	})
	require.NoError(t, disk.MakeFolder(folder, 0o700))
	require.Equal(t, []string{"mkdir a/b", "mkdir a", "sync folder .", "mkdir a/b", "sync folder a"}, steps)
	if runtime.GOOS != "windows" { // which has no such modes
		for _, made := range []string{folder, filepath.Dir(folder)} {
			info, err := os.Stat(made)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
		}
	}
	steps = nil
	require.NoError(t, disk.MakeFolder(folder, 0o700))
	require.Equal(t, []string{"mkdir a/b", "sync folder a"}, steps)

	file := filepath.Join(root, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, disk.MakeFolder(file, 0o700))
	require.Error(t, disk.MakeFolder(filepath.Join(file, "below"), 0o700))
	for op, want := range map[Op]error{Mkdir: errPlanted, SyncFolder: errPlanted} {
		disk := Observed(func(s Step) error {
			if s.Op == op {
				return errPlanted
			}
			return nil
		})
		require.ErrorIs(t, disk.MakeFolder(filepath.Join(t.TempDir(), "x"), 0o700), want)
		require.ErrorIs(t, disk.MakeFolder(t.TempDir(), 0o700), want)
	}
	// The folder above one that exists need not be one that can be synced.
	disk = Observed(func(s Step) error {
		if s.Op == SyncFolder {
			return fs.ErrPermission
		}
		return nil
	})
	require.NoError(t, disk.MakeFolder(t.TempDir(), 0o700))
	require.ErrorIs(t, disk.MakeFolder(filepath.Join(t.TempDir(), "x"), 0o700), fs.ErrPermission)
}

// TestTryLock: one at a time, and again once it was given back.
func TestTryLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	for range 2 {
		unlock, err := TryLock(name)
		require.NoError(t, err)
		if _, err := TryLock(name); runtime.GOOS != "js" {
			require.ErrorIs(t, err, ErrLocked)
		}
		require.NoError(t, unlock())
	}
	_, err := TryLock(filepath.Join(name, "below"))
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrLocked)
}

// requireOnly requires that the folder has that one file, or none.
func requireOnly(t *testing.T, folder, name, value string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	if name == "" {
		require.Empty(t, entries)
		return
	}
	require.Len(t, entries, 1)
	require.Equal(t, name, entries[0].Name())
	data, err := os.ReadFile(filepath.Join(folder, name))
	require.NoError(t, err)
	require.Equal(t, value, string(data))
}

// TestCreateFromFails: a file that could not be filled never gets its name, and leaves no
// draft.
func TestCreateFromFails(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "f")
	err := Disk{}.CreateFrom(name, func(f *os.File) error {
		_, err := f.WriteString("half")
		return errors.Join(err, errPlanted)
	}, 0o600)
	require.ErrorIs(t, err, errPlanted)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, entries)
	require.NoError(t, Disk{}.CreateFrom(name, func(f *os.File) error {
		_, err := f.WriteString("whole")
		return err
	}, 0o600))
	requireOnly(t, folder, "f", "whole")
}
