package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/tandem-rsa/tandem/internal/durable"
)

// laterLog appends lines to the log of a server's events, without making that file: a
// recovery must see that it is missing. Lines wait until the server's own log is there,
// and are lost if it does not come. Where the file cannot be written, as by somebody who
// only looks at the folder, they are lost, too.
type laterLog struct {
	name string

	mu   sync.Mutex
	held [][]byte
	log  *durable.Log
}

// maxHeld is more than a command has to say of its token.
const maxHeld = 100

func (l *laterLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) < maxHeld {
		l.held = append(l.held, bytes.Clone(line))
	}
	return len(line), l.flush()
}

// flush writes what is held, if the file is there.
func (l *laterLog) flush() (err error) {
	if l.log == nil {
		if _, err := os.Stat(l.name); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if l.log, err = disk.OpenLog(l.name, secretMode); err != nil {
			return err
		}
	}
	for len(l.held) > 0 {
		if _, err := l.log.Write(l.held[0]); err != nil {
			return err
		}
		l.held = l.held[1:]
	}
	return nil
}

// Close writes what is left, and closes the file. That a line is lost is no error of the
// command.
func (l *laterLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held) > 0 {
		_ = l.flush()
	}
	if l.log == nil {
		return nil
	}
	return l.log.Close()
}
