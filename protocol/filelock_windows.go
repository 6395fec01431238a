package protocol

import (
	"errors"
	"fmt"
	"syscall"
)

// errorSharingViolation is ERROR_SHARING_VIOLATION of winerror.h.
const errorSharingViolation syscall.Errno = 32

// lockFile opens the file without sharing it, which ends with the process.
func lockFile(name string) (func(), error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("protocol: lock state: %w", err)
	}
	handle, err := syscall.CreateFile(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, fmt.Errorf("protocol: lock state: %w", err)
	}
	return func() { syscall.CloseHandle(handle) }, nil
}

// syncFolder does nothing: Windows has no such call, and NTFS journals renames.
func syncFolder(string) error { return nil }
