// Package durable writes files so that they outlast a crash of the machine.
//
// A file's bytes are durable once the file is synced, and its name once the folder is. So
// a new value is written beside the old one, synced, and renamed over it, and the folder
// is synced ([Disk.Replace]): a crash at any time leaves the old value or the new one,
// whole, and the new one once the call has returned nil. After an error either may be
// there.
//
// Windows cannot sync a folder, and journals names by itself (NTFS); js and wasip1
// promise nothing.
package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Disk is where the files are. The zero value is the operating system's.
type Disk struct{ before func(Step) error }

// Step is one operation on one name.
type Step struct {
	Op   Op
	Name string
	File *os.File // of Write, Sync, Close and SyncFolder
}

// Op is what a [Step] does.
type Op string

const (
	Remove     Op = "remove"
	Create     Op = "create" // a new file
	Write      Op = "write"
	Sync       Op = "sync"
	Close      Op = "close"
	Rename     Op = "rename" // Name is the new one
	Link       Op = "link"   // likewise
	Mkdir      Op = "mkdir"
	SyncFolder Op = "sync folder"
)

// Observed returns a Disk for tests. It calls before ahead of each operation; where
// before returns an error, the operation fails with that error and does nothing.
func Observed(before func(Step) error) Disk { return Disk{before} }

func (d Disk) step(op Op, name string, file *os.File, do func() error) error {
	if d.before != nil {
		if err := d.before(Step{op, name, file}); err != nil {
			return &fs.PathError{Op: string(op), Path: name, Err: err}
		}
	}
	return do()
}

// Replace writes a file and replaces what is there. Meanwhile the new value is in the
// file name + ".new", which a crash may leave: see [Disk.RemoveLeftover]. Only one
// process at a time may replace a file: see [TryLock]. The new file has mode perm, before
// umask.
func (d Disk) Replace(name string, data []byte, perm fs.FileMode) error {
	draft := name + ".new"
	// A leftover is never written to: it may have any mode, or be a link to elsewhere.
	err := d.remove(draft)
	if err == nil {
		err = d.write(draft, writing(data), perm)
	}
	if err == nil {
		err = d.rename(draft, name)
	}
	if err != nil {
		return errors.Join(err, d.RemoveLeftover(name))
	}
	return d.SyncFolder(filepath.Dir(name))
}

// RemoveLeftover removes, durably, what a crash during [Disk.Replace] has left of the new
// value.
func (d Disk) RemoveLeftover(name string) error {
	if _, err := os.Lstat(name + ".new"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.Remove(name + ".new")
}

// Create writes a file that must not exist, as one step: the name appears with all its
// bytes or not at all. The error wraps fs.ErrExist if the name is taken. If the file
// system has no hard links, a file that somebody else creates under this name at the same
// moment may be lost.
func (d Disk) Create(name string, data []byte, perm fs.FileMode) error {
	return d.CreateFrom(name, writing(data), perm)
}

// CreateFrom is [Disk.Create] for contents that need not fit in memory: fill writes them.
// The name appears only if fill returns nil, so fill may also check what it wrote.
func (d Disk) CreateFrom(name string, fill func(*os.File) error, perm fs.FileMode) error {
	if _, err := os.Lstat(name); err == nil {
		return &fs.PathError{Op: string(Create), Path: name, Err: fs.ErrExist}
	}
	draft := name + ".new-" + rand.Text()
	if err := d.write(draft, fill, perm); err != nil {
		return errors.Join(err, d.remove(draft))
	}
	// Unlike a rename, a link replaces nothing.
	err := d.step(Link, name, nil, func() error { return os.Link(draft, name) })
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = errors.Join(err, d.remove(draft))
	} else if err = d.rename(draft, name); err != nil {
		err = errors.Join(err, d.remove(draft))
	}
	return errors.Join(err, d.SyncFolder(filepath.Dir(name)))
}

func writing(data []byte) func(*os.File) error {
	return func(file *os.File) error { _, err := file.Write(data); return err }
}

func (d Disk) write(name string, fill func(*os.File) error, perm fs.FileMode) error {
	var file *os.File
	err := d.step(Create, name, nil, func() (err error) {
		file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		return err
	})
	if err != nil {
		return err
	}
	err = d.step(Write, name, file, func() error { return fill(file) })
	if err == nil {
		err = d.step(Sync, name, file, file.Sync)
	}
	return errors.Join(err, d.step(Close, name, file, file.Close))
}

// Rename gives a file or a folder another name in the same folder, durably. After an
// error it has one of the two names.
func (d Disk) Rename(from, to string) error {
	if err := d.rename(from, to); err != nil {
		return err
	}
	return d.SyncFolder(filepath.Dir(to))
}

func (d Disk) rename(from, to string) error {
	return d.step(Rename, to, nil, func() error { return os.Rename(from, to) })
}

// Remove removes a file durably. It is no error if there is none.
func (d Disk) Remove(name string) error {
	return errors.Join(d.remove(name), d.SyncFolder(filepath.Dir(name)))
}

func (d Disk) remove(name string) error {
	err := d.step(Remove, name, nil, func() error { return os.Remove(name) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// MakeFolder makes a folder, and those above it, durably: a folder is there after a crash
// once the one above it is synced. A folder that exists may have been made just before a
// crash, so its name is made durable too, unless somebody with more rights made it. Its
// mode stays.
func (d Disk) MakeFolder(folder string, perm fs.FileMode) error {
	above := filepath.Dir(folder)
	mkdir := func() error {
		return d.step(Mkdir, folder, nil, func() error { return os.Mkdir(folder, perm) })
	}
	err := mkdir()
	if errors.Is(err, fs.ErrNotExist) && above != folder {
		if err = d.MakeFolder(above, perm); err == nil {
			err = mkdir()
		}
	}
	if errors.Is(err, fs.ErrExist) {
		if info, statErr := os.Stat(folder); statErr != nil || !info.IsDir() {
			return errors.Join(err, statErr)
		}
		if err := d.SyncFolder(above); !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	return d.SyncFolder(above)
}

// SyncFolder makes the names in a folder durable: new ones, changed ones, and their
// absence.
func (d Disk) SyncFolder(name string) error {
	folder, err := os.Open(name)
	if err == nil {
		err = d.step(SyncFolder, name, folder, func() error { return syncFolder(folder) })
		err = errors.Join(err, folder.Close())
	}
	if err != nil {
		return fmt.Errorf("sync the folder %s: %w", name, err)
	}
	return nil
}
