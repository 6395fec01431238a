package protocol

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// killedState is a FileState whose process ends between the writing of a value and its renaming.
type killedState struct {
	*FileState
	saves int // until then
}

var errKilled = errors.New("killed")

func (k *killedState) Save(data []byte) error {
	if k.saves--; k.saves != 0 {
		return k.FileState.Save(data)
	}
	if err := writeSynced(filepath.Join(k.folder, "state.new"), data); err != nil {
		return err
	}
	return errKilled
}

// TestChangePINKilled: a crash between the writing of the new lockbox and its renaming leaves two lockboxes of one share; the
// next operation removes the new one, and the old PIN stays.
func TestChangePINKilled(t *testing.T) {
	s := newService(t)
	folder := t.TempDir()
	files, err := NewFileState(folder)
	require.NoError(t, err)
	state := &killedState{FileState: files}
	open := func() *phone {
		d, err := NewDevice(DeviceConfig{State: state, Transport: s.Handle, ServerKey: s.ServerKey(), Params: cheapest, Clock: s.clock.Now})
		require.NoError(t, err)
		return &phone{Device: d, service: s}
	}
	p := open()
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
	state.saves = 2 // the second one has the new lockbox
	require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), rightPIN, newPIN), errKilled)
	leftover := filepath.Join(folder, "state.new")
	data, err := os.ReadFile(leftover)
	require.NoError(t, err)
	written, err := parseDeviceState(data, nil)
	require.NoError(t, err)

	restarted := open()
	restarted.id = p.id
	_, err = restarted.Status()
	require.NoError(t, err)
	_, err = os.Stat(leftover)
	require.ErrorIs(t, err, fs.ErrNotExist)
	stays, err := restarted.load()
	require.NoError(t, err)
	require.NotEqual(t, written.key.lockbox, stays.key.lockbox)
	_, err = restarted.Resume(t.Context())
	require.NoError(t, err)
	_, err = restarted.sign(t, "x", rightPIN)
	require.NoError(t, err)
}

// TestFailedSaveLeavesNothing: a value that could not be renamed is removed.
func TestFailedSaveLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	state, err := NewFileState(folder)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "state", "in the way"), 0o700))
	require.Error(t, state.Save([]byte("x")))
	_, err = os.Stat(filepath.Join(folder, "state.new"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// undecidedState saves, and then says that it did not.
type undecidedState struct {
	*memoryState
	saves int // the one that does so
}

func (u *undecidedState) Save(data []byte) error {
	err := u.memoryState.Save(data)
	if u.saves--; u.saves == 0 {
		return errKilled
	}
	return err
}

// TestChangePINUndecided: the last save took effect, or did not, and reported an error. Resume tells which PIN holds.
func TestChangePINUndecided(t *testing.T) {
	for _, took := range []bool{true, false} {
		s := newService(t)
		p := newReadyPhone(t, s)
		var state State = &undecidedState{p.state, 2}
		if !took {
			state = &failsAt{p.state, 2}
		}
		d, err := NewDevice(DeviceConfig{State: state, Transport: s.Handle, ServerKey: s.ServerKey(), Params: cheapest, Clock: s.clock.Now})
		require.NoError(t, err)
		require.ErrorIs(t, d.ChangePIN(t.Context(), p.challenge(t), rightPIN, newPIN), errKilled)
		result, err := d.Resume(t.Context())
		pin := rightPIN
		if took {
			require.ErrorIs(t, err, ErrNothingPending)
			pin = newPIN
		} else {
			require.NoError(t, err)
			require.Equal(t, OpChangePIN, result.Operation)
		}
		_, err = p.sign(t, "x", pin)
		require.NoError(t, err)
	}
}

// failsAt does not save at one time.
type failsAt struct {
	*memoryState
	saves int
}

func (f *failsAt) Save(data []byte) error {
	if f.saves--; f.saves == 0 {
		return errKilled
	}
	return f.memoryState.Save(data)
}

// TestSaveFollowsNoLeftover: what lies in the place of the next value, a link or a file that others may read, is replaced.
func TestSaveFollowsNoLeftover(t *testing.T) {
	folder, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.WriteFile(elsewhere, []byte("precious"), 0o600))
	state, err := NewFileState(folder)
	require.NoError(t, err)
	if err := os.Symlink(elsewhere, filepath.Join(folder, "state.new")); err == nil { // Windows needs a privilege for it
		require.NoError(t, state.Save([]byte("x")))
	}
	data, err := os.ReadFile(elsewhere)
	require.NoError(t, err)
	require.Equal(t, "precious", string(data))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "state.new"), nil, 0o666))
	require.NoError(t, state.Save([]byte("y")))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(filepath.Join(folder, "state"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	t.Chdir(t.TempDir())
	relative, err := NewFileState("here")
	require.NoError(t, err)
	require.NoError(t, relative.Save([]byte("z")))
	t.Chdir(t.TempDir())
	data, err = relative.Load()
	require.NoError(t, err)
	require.Equal(t, "z", string(data))
}

// TestNewFileState makes the folder and those above it, and refuses a file in its place.
func TestNewFileState(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		state, err := NewFileState(folder)
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
	state, err := NewFileState(folder)
	require.NoError(t, err)
	require.NoError(t, state.Save([]byte("x")))
	again, err := NewFileState(folder)
	require.NoError(t, err)
	data, err := again.Load()
	require.NoError(t, err)
	require.Equal(t, []byte("x"), data)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, bad := range []string{file, filepath.Join(file, "below")} {
		_, err = NewFileState(bad)
		require.Error(t, err)
	}
}
