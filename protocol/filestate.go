package protocol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileState is a [State] in a folder of its own. It is a [StateLocker].
//
//	state      the value, mode 0600
//	state.new  the next value while it is written
//	lock       locked while an operation runs
//
// Save writes state.new, syncs it, renames it to state and syncs the folder: a rename within a folder
// is atomic, and durable once the folder is. (On Windows a folder cannot be synced; the rename is
// journalled.)
type FileState struct{ folder string }

var _ StateLocker = (*FileState)(nil)

// NewFileState returns the state in a folder, which it makes, with mode 0700, if there is none.
func NewFileState(folder string) (*FileState, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("protocol: state folder: %w", err)
	}
	return &FileState{folder}, nil
}

// Load implements [State].
func (f *FileState) Load() ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(f.folder, "state"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save implements [State].
func (f *FileState) Save(data []byte) error {
	name := filepath.Join(f.folder, "state")
	if err := writeSynced(name+".new", data); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncFolder(f.folder)
}

func writeSynced(name string, data []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// Lock implements [StateLocker]. It does not wait. Where the platform has no locks that end with the
// process (js, wasip1, plan9) there is nothing to share a folder with, and Lock only checks the folder.
func (f *FileState) Lock() (func(), error) {
	return lockFile(filepath.Join(f.folder, "lock"))
}
