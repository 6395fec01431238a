//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package protocol

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile uses flock(2), which ends with the process, unlike a lock that is the file's existence.
func lockFile(name string) (func(), error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("protocol: lock state: %w", err)
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("protocol: lock state: %w", err)
	}
	return func() { file.Close() }, nil
}

func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
