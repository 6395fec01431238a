package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Log is a file that only grows, for lines that outlast a crash of the machine.
type Log struct {
	disk Disk
	name string
	mu   sync.Mutex
	file *os.File
	torn bool // the last line may lack its end
}

// OpenLog opens a file to append to, and creates it durably if there is none. It first
// ends a line that a crash has cut off. A new file has mode perm, before umask.
func (d Disk) OpenLog(name string, perm fs.FileMode) (*Log, error) {
	l := &Log{disk: d, name: name}
	err := d.step(Create, name, nil, func() (err error) {
		l.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, perm)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err = d.SyncFolder(filepath.Dir(name)); err == nil {
		l.torn, err = cutOff(l.file)
	}
	if err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	return l, nil
}

// cutOff reports whether a file ends within a line.
func cutOff(file *os.File) (bool, error) {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	last := make([]byte, 1)
	_, err = file.ReadAt(last, info.Size()-1)
	return last[0] != '\n', err
}

// Write appends one line, newline included, and returns nil once it is durable. After an
// error the line, or a part of it, may be in the file.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes := line
	if l.torn {
		bytes = append([]byte{'\n'}, line...)
	}
	n := 0
	err := l.disk.step(Write, l.name, l.file, func() (err error) { n, err = l.file.Write(bytes); return err })
	if err == nil {
		err = l.disk.step(Sync, l.name, l.file, l.file.Sync)
	}
	if n == 0 {
		return 0, err
	}
	begun := l.torn
	l.torn = bytes[n-1] != '\n'
	if begun {
		n--
	}
	return n, err
}

// Close closes the file.
func (l *Log) Close() error { return l.disk.step(Close, l.name, l.file, l.file.Close) }
