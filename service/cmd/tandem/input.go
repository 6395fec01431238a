package main

import (
	"bytes"
	"context"
	"io"
	"os"
)

// standard is the name of standard input, or output, where a file may be named.
const standard = "-"

// Limits of what is read as a whole.
const (
	maxKeyFile       = 1 << 20 // a certificate with its chain, say
	maxSignatureFile = 2048    // of an RSA key of 16384 bits
)

// interruptible calls f, which may block for ever, and returns when it does or when ctx
// ends. The process ends then, and f with it.
func interruptible[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := f()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// read calls use with an open file, or with standard input. Ctrl-C ends it at any time:
// opening and reading may take for ever where the file is a pipe.
func read[T any](ctx context.Context, c *call, name string, use func(io.Reader) (T, error)) (T, error) {
	return interruptible(ctx, func() (T, error) {
		if name == standard {
			return use(c.stdin)
		}
		f, err := os.Open(name)
		if err != nil {
			var none T
			return none, err
		}
		defer f.Close()
		return use(f)
	})
}

// readSmall returns a file of at most limit bytes. The caller clears it if it is secret.
func readSmall(ctx context.Context, c *call, name string, limit int, tooLong error) ([]byte, error) {
	return read(ctx, c, name, func(r io.Reader) ([]byte, error) {
		// One allocation: no copies of what may be secret stay behind.
		text := make([]byte, limit+1)
		n, err := io.ReadFull(r, text)
		switch {
		case err == nil:
			clear(text)
			return nil, tooLong
		case err != io.ErrUnexpectedEOF && err != io.EOF:
			clear(text)
			return nil, err
		}
		small := bytes.Clone(text[:n])
		clear(text)
		return small, nil
	})
}

// oneStandardInput refuses to read two files from standard input.
func oneStandardInput(names ...string) error {
	n := 0
	for _, name := range names {
		if name == standard {
			n++
		}
	}
	if n > 1 {
		return usagef("standard input (-) is named %d times, and can be read once", n)
	}
	return nil
}

// display names a file in a message.
func display(name string) string {
	if name == standard {
		return "standard input"
	}
	return name
}

func tooLong(name, what string) error {
	return failf("bad_key", "check the path", "%s is too long to be %s", display(name), what)
}

// errNoName is for what is derived from the name of FILE.
func errNoName(flag, what string) error {
	return usagef("standard input has no name: say with %s where %s", flag, what)
}
