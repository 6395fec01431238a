package watermark

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/tandem-rsa/tandem/internal/durable"
)

// File is a [Keeper] in a file, which belongs on another disk than the store. Close it
// when done.
type File struct {
	disk   durable.Disk
	name   string
	mu     sync.Mutex
	unlock func() error // nil once closed
}

// ErrInUse is returned by [OpenFile] for a mark that another process uses.
var ErrInUse = errors.New("watermark: mark is in use by another process")

// OpenFile locks the mark in a file against other processes, by the file name+".lock".
// There need not be a mark yet; its folder must exist. A new file has mode 0600.
func OpenFile(name string) (*File, error) { return openFile(durable.Disk{}, name) }

func openFile(disk durable.Disk, name string) (*File, error) {
	if name == "" {
		return nil, errors.New("watermark: no file for the mark")
	}
	unlock, err := durable.TryLock(name + ".lock")
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("%w: %s", ErrInUse, name)
	}
	if err != nil {
		return nil, fmt.Errorf("watermark: %w", err)
	}
	if err := disk.RemoveLeftover(name); err != nil {
		return nil, errors.Join(fmt.Errorf("watermark: %w", err), unlock())
	}
	return &File{disk: disk, name: name, unlock: unlock}, nil
}

var errClosed = errors.New("watermark: closed")

// Load implements [Keeper].
func (f *File) Load(ctx context.Context) ([]byte, error) {
	if f == nil || ctx == nil {
		return nil, errClosed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unlock == nil {
		return nil, errClosed
	}
	b, err := os.ReadFile(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoMark, f.name)
	}
	if err != nil {
		return nil, fmt.Errorf("watermark: %w", err)
	}
	return b, nil
}

// Save implements [Keeper].
func (f *File) Save(ctx context.Context, mark []byte) error {
	if f == nil || ctx == nil {
		return errClosed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unlock == nil {
		return errClosed
	}
	if err := f.disk.Replace(f.name, mark, 0o600); err != nil {
		return fmt.Errorf("watermark: %w", err)
	}
	return nil
}

// Close gives the lock back.
func (f *File) Close() error {
	if f == nil {
		return errClosed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unlock == nil {
		return errClosed
	}
	err := f.unlock()
	f.unlock = nil
	return err
}
