package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/term"

	"github.com/tandem-rsa/tandem/pinlock"
)

// The two keys of a device, and the PINs that people know them by.
const (
	pin1Key = "auth" // PIN1
	pin2Key = "sign" // PIN2
)

var keyNames = []string{pin1Key, pin2Key}

func pinName(key string) string {
	if key == pin1Key {
		return "PIN1"
	}
	return "PIN2"
}

func checkKeyName(key string) error {
	if key != pin1Key && key != pin2Key {
		return usagef("-key is %s (the key of PIN1) or %s (the key of PIN2), not %q", pin1Key, pin2Key, key)
	}
	return nil
}

// pins is where PINs come from: a file, the environment, or a prompt. File and
// environment have one PIN, for whichever key is used, or two: PIN1 and PIN2.
type pins struct {
	c     *call
	given [][]byte // nil: ask
}

func (c *call) pins(ctx context.Context, file string) (*pins, error) {
	p := &pins{c: c}
	text, source := []byte(c.env("TANDEM_PIN")), "TANDEM_PIN"
	if file != "" {
		var err error
		if text, err = readPINFile(ctx, c, file); err != nil {
			return nil, err
		}
		source = display(file)
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

func readPINFile(ctx context.Context, c *call, name string) ([]byte, error) {
	return readSmall(ctx, c, name, 1024, usagef("%s is too long to be a file with a PIN", display(name)))
}

func (p *pins) wipe() {
	for _, pin := range p.given {
		clear(pin)
	}
}

// get returns the PIN of a key that exists. The caller clears it.
func (p *pins) get(ctx context.Context, key string) ([]byte, error) {
	if p.given == nil {
		return p.c.askPIN(ctx, fmt.Sprintf("%s (of the key %q): ", pinName(key), key), checkFormat)
	}
	if len(p.given) == 2 && key == pin2Key {
		return bytes.Clone(p.given[1]), nil
	}
	return bytes.Clone(p.given[0]), nil
}

// checkFormat refuses what is no PIN. A weak one may be that of a key which exists.
func checkFormat(pin []byte) error {
	if err := pinlock.CheckPIN(pin); errors.Is(err, pinlock.ErrPINFormat) {
		return err
	}
	return nil
}

// choose returns the PIN of a new key, and what was typed to repeat it. It is none of the
// PINs that are taken.
func (p *pins) choose(ctx context.Context, key string, taken [][]byte) (pin, again []byte, err error) {
	if len(p.given) == 2 { // of which the other may be that of a key which exists
		taken = append(taken[:len(taken):len(taken)], p.given[map[string]int{pin1Key: 1, pin2Key: 0}[key]])
	}
	check := func(pin []byte) error {
		for _, other := range taken {
			if subtle.ConstantTimeCompare(pin, other) == 1 {
				return &failure{Kind: "bad_pin", exit: exitUsage, Message: "PIN1 and PIN2 are the same: who sees one typed has both",
					Next: "choose two different ones"}
			}
		}
		return pinlock.CheckPIN(pin)
	}
	if p.given != nil {
		if pin, err = p.get(ctx, key); err != nil {
			return nil, nil, err
		}
		return pin, bytes.Clone(pin), check(pin)
	}
	for {
		if pin, err = p.c.askPIN(ctx, fmt.Sprintf("New %s for the key %q, 4 to 12 digits: ", pinName(key), key), check); err != nil {
			return nil, nil, err
		}
		if again, err = p.c.ask(ctx, "The same again: "); err != nil {
			clear(pin)
			return nil, nil, err
		}
		if subtle.ConstantTimeCompare(pin, again) == 1 {
			return pin, again, nil
		}
		clear(pin)
		clear(again)
		fmt.Fprintln(p.c.errOut, "These are two different PINs.")
	}
}

// askPIN asks until a PIN passes the check.
func (c *call) askPIN(ctx context.Context, prompt string, check func([]byte) error) ([]byte, error) {
	for {
		pin, err := c.ask(ctx, prompt)
		if err != nil {
			return nil, err
		}
		if err = check(pin); err == nil {
			return pin, nil
		}
		clear(pin)
		f := explain(err, time.Time{})
		fmt.Fprintf(c.errOut, "%s\n  -> %s\n", f.Message, f.Next)
	}
}

// ask reads one line from the terminal without echo. Ctrl-D gives up, also after some
// digits: what is not ended by Enter is never used.
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
	text, err := interruptible(ctx, func() ([]byte, error) { return readHidden(c.stdin) })
	fmt.Fprintln(c.errOut)
	switch {
	case errors.Is(err, context.Canceled):
		return nil, errors.Join(failf("interrupted", "", "interrupted; nothing was sent"), term.Restore(fd, before))
	case errors.Is(err, io.EOF):
		return nil, failf("interrupted", "", "no PIN was typed; nothing was sent")
	}
	return text, err
}
