//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// tryLock uses flock(2): unlike a lock file, its lock ends with the process.
func tryLock(name string) (func() error, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(err, file.Close())
	}
	// The lock belongs to the open file, which a child forked at this moment shares:
	// closing it here alone would leave the lock with the child.
	return func() error { return errors.Join(flock(file, syscall.LOCK_UN), file.Close()) }, nil
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return &fs.PathError{Op: "flock", Path: file.Name(), Err: err}
		}
	}
}

func syncFolder(folder *os.File) error { return folder.Sync() }
