package device

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/durable"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

var errKilled = errors.New("killed")

// killedAt is the disk of a process that ends ahead of a step: the n-th of this kind.
func killedAt(n int, op durable.Op) durable.Disk {
	return durable.Observed(func(s durable.Step) error {
		if s.Op == op {
			n--
		}
		if n <= 0 {
			return errKilled
		}
		return nil
	})
}

// TestChangePINKilled: a crash between the writing of the new lockbox and its renaming
// leaves two lockboxes of one share; the next operation removes the new one, and the old
// PIN stays.
func TestChangePINKilled(t *testing.T) {
	s := newService(t)
	folder := t.TempDir()
	open := func(state *FileStorage) *phone {
		d, err := New(Config{Storage: state, Transport: s.Handle, HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest})
		require.NoError(t, err)
		return &phone{Device: d, service: s}
	}
	files, err := NewFileStorage(folder)
	require.NoError(t, err)
	p := open(files)
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	files.disk = killedAt(2, durable.Rename) // the second value has the new lockbox
	require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN), errKilled)
	leftover := filepath.Join(folder, "state.new")
	data, err := os.ReadFile(leftover)
	require.NoError(t, err)
	written, err := parseState(data, nil)
	require.NoError(t, err)

	files, err = NewFileStorage(folder)
	require.NoError(t, err)
	restarted := open(files)
	restarted.id = p.id
	_, err = restarted.Status()
	require.NoError(t, err)
	_, err = os.Stat(leftover)
	require.ErrorIs(t, err, fs.ErrNotExist)
	stays, err := restarted.load()
	require.NoError(t, err)
	require.NotEqual(t, written.key.lockbox, stays.key.lockbox)
	_, err = restarted.Resume(t.Context())
	require.ErrorIs(t, err, ErrPINUnchanged)
	_, err = restarted.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
}

// TestFailedSaveLeavesNothing: a value that could not be renamed is removed.
func TestFailedSaveLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	state, err := NewFileStorage(folder)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "state", "in the way"), 0o700))
	require.Error(t, state.Save([]byte("x")))
	_, err = os.Stat(filepath.Join(folder, "state.new"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// undecidedState saves, and then says that it did not.
type undecidedState struct {
	*protocoltest.MemoryStorage
	saves int // the one that does so
}

func (u *undecidedState) Save(data []byte) error {
	err := u.MemoryStorage.Save(data)
	if u.saves--; u.saves == 0 {
		return errKilled
	}
	return err
}

// TestChangePINUndecided: the last save took effect, or did not, and reported an error.
// Resume tells which PIN holds.
func TestChangePINUndecided(t *testing.T) {
	for _, took := range []bool{true, false} {
		s := newService(t)
		p := newReadyPhone(t, s)
		var state Storage = &undecidedState{p.state, 2}
		if !took {
			state = &failsAt{p.state, 2}
		}
		d, err := New(Config{Storage: state, Transport: s.Handle, HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest})
		require.NoError(t, err)
		require.ErrorIs(t, d.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN), errKilled)
		_, err = d.Resume(t.Context())
		pin := protocoltest.RightPIN
		if took {
			require.ErrorIs(t, err, ErrNothingPending)
			pin = protocoltest.NewPIN
		} else {
			require.ErrorIs(t, err, ErrPINUnchanged)
		}
		_, err = p.sign(t, "x", pin)
		require.NoError(t, err)
	}
}

// failsAt does not save at one time.
type failsAt struct {
	*protocoltest.MemoryStorage
	saves int
}

func (f *failsAt) Save(data []byte) error {
	if f.saves--; f.saves == 0 {
		return errKilled
	}
	return f.MemoryStorage.Save(data)
}

// TestSaveIsDurable: Save returns nil when the bytes and the name are on the disk, in
// this order, and not if either is not. A leftover of a crash goes, durably, before
// anything is loaded.
func TestSaveIsDurable(t *testing.T) {
	folder := t.TempDir()
	state, err := NewFileStorage(folder)
	require.NoError(t, err)
	require.NoError(t, state.Save([]byte("old")))
	var steps []durable.Step
	var fails durable.Op
	state.disk = durable.Observed(func(s durable.Step) error {
		s.File = nil
		if steps = append(steps, s); s.Op == fails {
			return errKilled
		}
		return nil
	})
	name := filepath.Join(folder, "state")
	want := []durable.Step{
		{Op: durable.Remove, Name: name + ".new"}, {Op: durable.Create, Name: name + ".new"}, {Op: durable.Write, Name: name + ".new"},
		{Op: durable.Sync, Name: name + ".new"}, {Op: durable.Close, Name: name + ".new"}, {Op: durable.Rename, Name: name},
		{Op: durable.SyncFolder, Name: folder},
	}
	require.NoError(t, state.Save([]byte("new")))
	require.Equal(t, want, steps)
	for _, step := range want {
		fails = step.Op
		require.ErrorIs(t, state.Save([]byte("newer")), errKilled, step.Op)
	}
	fails, steps = "", nil
	require.NoError(t, os.WriteFile(name+".new", []byte("left"), 0o600))
	unlock, err := state.Lock()
	require.NoError(t, err)
	unlock()
	require.Equal(t, []durable.Step{{Op: durable.Remove, Name: name + ".new"}, {Op: durable.SyncFolder, Name: folder}}, steps)
	require.NoError(t, os.WriteFile(name+".new", []byte("left"), 0o600))
	fails = durable.Remove
	_, err = state.Lock()
	require.ErrorIs(t, err, errKilled)
	fails = ""
	unlock, err = state.Lock()
	require.NoError(t, err, "a Lock that failed has let go")
	unlock()
	info, err := os.Stat(name)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
}

// TestRelativeFolder is meant from the working directory of NewFileStorage.
func TestRelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	relative, err := NewFileStorage("here")
	require.NoError(t, err)
	require.NoError(t, relative.Save([]byte("z")))
	t.Chdir(t.TempDir())
	data, err := relative.Load()
	require.NoError(t, err)
	require.Equal(t, "z", string(data))
}

// TestNewFileStorage makes the folder and those above it, and refuses a file in its
// place.
func TestNewFileStorage(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		state, err := NewFileStorage(folder)
		require.NoError(t, err)
		data, err := state.Load()
		require.NoError(t, err)
		require.Nil(t, data)
	}
	info, err := os.Stat(folder)
	require.NoError(t, err)
	if runtime.GOOS != "windows" { // which has no such modes
		require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	}
	state, err := NewFileStorage(folder)
	require.NoError(t, err)
	require.NoError(t, state.Save([]byte("x")))
	again, err := NewFileStorage(folder)
	require.NoError(t, err)
	data, err := again.Load()
	require.NoError(t, err)
	require.Equal(t, []byte("x"), data)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, bad := range []string{file, filepath.Join(file, "below")} {
		_, err = NewFileStorage(bad)
		require.Error(t, err)
	}
}
