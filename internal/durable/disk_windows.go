package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// errorSharingViolation is ERROR_SHARING_VIOLATION of winerror.h.
const errorSharingViolation syscall.Errno = 32

// tryLock opens the file without sharing it, until unlock or the end of the process.
func tryLock(name string) (func() error, error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	handle, err := syscall.CreateFile(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return func() error { return syscall.CloseHandle(handle) }, nil
}

// syncFolder does nothing: Windows has no such call, and NTFS journals names.
func syncFolder(*os.File) error { return nil }
