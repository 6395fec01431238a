//go:build aix || darwin || dragonfly || freebsd || linux || netbsd || openbsd || solaris

package main

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readHidden reads a line from a terminal that does not show it. The error is io.EOF
// where Ctrl-D ended it, or the terminal went away: term.ReadPassword waits for ever
// then.
func readHidden(terminal *os.File) (line []byte, err error) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, setTermios, &hidden); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unix.IoctlSetTermios(fd, setTermios, before)) }()
	// The terminal gives a line at a time, and what comes before a Ctrl-D without a
	// line's end.
	var text [4096]byte // MAX_CANON
	defer clear(text[:])
	n, err := terminal.Read(text[:])
	if err != nil {
		return nil, err
	}
	typed, whole := bytes.CutSuffix(text[:n], []byte("\n"))
	if !whole {
		return nil, io.EOF
	}
	return bytes.Clone(bytes.TrimSuffix(typed, []byte("\r"))), nil
}
