package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/tandem-rsa/tandem/pinlock"
)

// The two keys of a device, and the PINs that people know them by.
const (
	authKey = "auth" // PIN1
	signKey = "sign" // PIN2
)

var keyNames = []string{authKey, signKey}

func pinName(key string) string {
	if key == authKey {
		return "PIN1"
	}
	return "PIN2"
}

func checkKeyName(key string) error {
	if key != authKey && key != signKey {
		return usagef("-key is %s (the key of PIN1) or %s (the key of PIN2), not %q", authKey, signKey, key)
	}
	return nil
}

// pins is where PINs come from: a file, the environment, or a prompt. File and environment have one PIN, for
// whichever key is used, or two: PIN1 and PIN2.
type pins struct {
	c     *call
	given [][]byte // nil: ask
}

func (c *call) pins(file string) (*pins, error) {
	p := &pins{c: c}
	text, source := []byte(c.env("TANDEM_PIN")), "TANDEM_PIN"
	if file != "" {
		var err error
		if text, err = readPINFile(file); err != nil {
			return nil, err
		}
		source = file
	}
	defer clear(text)
	if len(text) == 0 && file == "" {
		return p, nil
	}
	for _, field := range bytes.Fields(text) {
		p.given = append(p.given, bytes.Clone(field))
	}
	if len(p.given) != 1 && len(p.given) != 2 {
		n := len(p.given)
		p.wipe()
		return nil, usagef("%s has %d PINs, want one, or PIN1 and PIN2", source, n)
	}
	return p, nil
}

func readPINFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := make([]byte, 1024)
	n, err := io.ReadFull(f, text)
	if err == nil {
		return nil, usagef("%s is too long to be a file with a PIN", name)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return text[:n], nil
}

func (p *pins) wipe() {
	for _, pin := range p.given {
		clear(pin)
	}
}

// get returns the PIN of a key that exists. The caller clears it.
func (p *pins) get(ctx context.Context, key string) ([]byte, error) {
	if p.given == nil {
		return p.c.ask(ctx, fmt.Sprintf("%s (of the key %q): ", pinName(key), key))
	}
	if len(p.given) == 2 && key == signKey {
		return bytes.Clone(p.given[1]), nil
	}
	return bytes.Clone(p.given[0]), nil
}

// choose returns the PIN of a new key and what was typed to repeat it.
func (p *pins) choose(ctx context.Context, key string) (pin, again []byte, err error) {
	if p.given != nil {
		if pin, err = p.get(ctx, key); err != nil {
			return nil, nil, err
		}
		return pin, bytes.Clone(pin), pinlock.CheckPIN(pin)
	}
	for {
		if pin, err = p.c.ask(ctx, fmt.Sprintf("New %s for the key %q, 4 to 12 digits: ", pinName(key), key)); err != nil {
			return nil, nil, err
		}
		if err := pinlock.CheckPIN(pin); err != nil {
			f := explain(err, time.Time{})
			fmt.Fprintf(p.c.errOut, "%s\n  -> %s\n", f.Message, f.Next)
			continue
		}
		if again, err = p.c.ask(ctx, "The same again: "); err != nil {
			return nil, nil, err
		}
		if subtle.ConstantTimeCompare(pin, again) == 1 {
			return pin, again, nil
		}
		fmt.Fprintln(p.c.errOut, "These are two different PINs.")
	}
}

// ask reads one line from the terminal without echo.
func (c *call) ask(ctx context.Context, prompt string) ([]byte, error) {
	c.done()
	fd := int(c.stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil, usagef("no PIN: standard input is not a terminal. Give it with -pin-file or in TANDEM_PIN")
	}
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(c.errOut, prompt)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		fmt.Fprintln(c.errOut)
		if errors.Is(l.err, io.EOF) {
			return nil, usagef("no PIN was typed")
		}
		return l.text, l.err
	case <-ctx.Done():
		fmt.Fprintln(c.errOut)
		return nil, errors.Join(failf("interrupted", "", "interrupted; nothing was sent"), term.Restore(fd, before))
	}
}
