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
