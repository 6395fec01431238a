package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tandem-rsa/tandem/internal/durable"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// FileStorage is a [Storage] in a folder of its own.
//
//	state      the value, mode 0600
//	state.new  the next value while it is written
//	lock       locked while an operation runs
//
// Save writes state.new, syncs it, renames it to state and syncs the folder: a rename
// within a folder is atomic, and durable once the folder is. (On Windows a folder cannot
// be synced; the rename is journalled.) Lock removes a state.new that a crash has left.
//
// While [Device.ChangePIN] saves, and after a crash there until the next Lock, the folder
// has two lockboxes of one share, which together are an offline test for both PINs; and
// what is renamed over or removed stays readable on many disks until it is overwritten.
// Only [Config.StorageKey] closes that window: then both are sealed under a key that is
// not in the folder.
type FileStorage struct {
	folder string
	disk   durable.Disk
}

var _ Storage = (*FileStorage)(nil)

// NewFileStorage returns the storage in a folder, which it makes, with mode 0700, if
// there is none. A folder that exists keeps its mode: nobody else should be able to write
// to it. A relative path is meant from the working directory of now.
func NewFileStorage(folder string) (*FileStorage, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("device: folder: %w", err)
	}
	f := &FileStorage{folder: folder}
	if _, err := os.Stat(f.name()); err == nil {
		return f, nil
	}
	if err := f.disk.MakeFolder(folder, 0o700); err != nil {
		return nil, fmt.Errorf("device: folder: %w", err)
	}
	return f, nil
}

func (f *FileStorage) name() string { return filepath.Join(f.folder, "state") }

// Load implements [Storage].
func (f *FileStorage) Load() ([]byte, error) {
	if f == nil || f.folder == "" {
		return nil, wire.ErrNothing
	}
	data, err := os.ReadFile(f.name())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save implements [Storage].
func (f *FileStorage) Save(data []byte) error {
	if f == nil || f.folder == "" {
		return wire.ErrNothing
	}
	return f.disk.Replace(f.name(), data, 0o600)
}

// Lock implements [Storage]. It does not wait. Where the platform has no locks that end
// with the process (js, wasip1, plan9) there is nothing to share a folder with, and Lock
// only checks the folder.
func (f *FileStorage) Lock() (func(), error) {
	if f == nil || f.folder == "" {
		return nil, wire.ErrNothing
	}
	unlock, err := durable.TryLock(filepath.Join(f.folder, "lock"))
	if errors.Is(err, durable.ErrLocked) {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, fmt.Errorf("device: lock: %w", err)
	}
	// The value that was never renamed may hold a second lockbox.
	if err := f.disk.RemoveLeftover(f.name()); err != nil {
		return nil, errors.Join(fmt.Errorf("device: lock: %w", err), unlock())
	}
	return func() { _ = unlock() }, nil // the end of the process unlocks, if nothing else does
}
