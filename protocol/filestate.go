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
// journalled.) Lock removes a state.new that a crash has left.
//
// While [Device.ChangePIN] saves, and after a crash there until the next Lock, the folder has two lockboxes of one share, which together
// are an offline test for both PINs; and what is renamed over or removed stays readable on many disks until it is overwritten.
// Only [DeviceConfig.DeviceKey] closes that window: then both are sealed under a key that is not in the folder.
type FileState struct{ folder string }

var _ StateLocker = (*FileState)(nil)

// NewFileState returns the state in a folder, which it makes, with mode 0700, if there is none. A folder that exists keeps
// its mode: nobody else should be able to write to it. A relative path is meant from the working directory of now.
func NewFileState(folder string) (*FileState, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("protocol: state folder: %w", err)
	}
	f := &FileState{folder}
	if _, err := os.Stat(filepath.Join(folder, "state")); err == nil {
		return f, nil
	}
	if err := makeFolder(folder); err != nil {
		return nil, fmt.Errorf("protocol: state folder: %w", err)
	}
	return f, nil
}

// makeFolder makes a folder, and those above it, durably: a folder is there after a crash once the one above it is synced. One that is there
// already may have been made just before a crash, so it is made durable as well.
func makeFolder(folder string) error {
	above := filepath.Dir(folder)
	err := os.Mkdir(folder, 0o700)
	if errors.Is(err, fs.ErrNotExist) && above != folder {
		if err = makeFolder(above); err == nil {
			err = os.Mkdir(folder, 0o700)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		info, statErr := os.Stat(folder)
		if statErr != nil || !info.IsDir() {
			return errors.Join(err, statErr)
		}
		if err := syncFolder(above); !errors.Is(err, fs.ErrPermission) { // else somebody with more rights made it
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	return syncFolder(above)
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
	err := writeSynced(name+".new", data)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		return errors.Join(err, f.removeLeftover())
	}
	return syncFolder(f.folder)
}

func writeSynced(name string, data []byte) error {
	// A leftover, with whatever mode it has, or a link to elsewhere, is not written to.
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
	unlock, err := lockFile(filepath.Join(f.folder, "lock"))
	if err != nil {
		return nil, err
	}
	if err := f.removeLeftover(); err != nil {
		unlock()
		return nil, fmt.Errorf("protocol: lock state: %w", err)
	}
	return unlock, nil
}

// removeLeftover removes a value that was never renamed: it may hold a second lockbox.
func (f *FileState) removeLeftover() error {
	err := os.Remove(filepath.Join(f.folder, "state.new"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncFolder(f.folder))
}
