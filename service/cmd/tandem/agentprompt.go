package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/term"
)

// purpose is the key under which a signature's context has what it is for.
type purpose struct{}

// purposeOf says what is signed, as far as the data tells: a login (RFC 4252, section 7)
// or what "ssh-keygen -Y sign" and git sign (PROTOCOL.sshsig). Whoever can use the socket
// can make up both.
func purposeOf(data []byte) string {
	s := cryptobyte.String(data)
	if s.Skip(len(sshsigMagic)) && bytes.HasPrefix(data, []byte(sshsigMagic)) {
		var namespace cryptobyte.String
		if readString(&s, &namespace) {
			return "a signature for " + strconv.QuoteToASCII(shorten(namespace))
		}
	}
	const userauthRequest = 50
	var session, user, service, method cryptobyte.String
	var kind uint8
	s = cryptobyte.String(data)
	if readString(&s, &session) && s.ReadUint8(&kind) && kind == userauthRequest && readString(&s, &user) &&
		readString(&s, &service) && readString(&s, &method) && string(service) == "ssh-connection" {
		return "a login as " + strconv.QuoteToASCII(shorten(user))
	}
	return "something unknown"
}

const sshsigMagic = "SSHSIG"

func readString(s, out *cryptobyte.String) bool {
	var n uint32
	return s.ReadUint32(&n) && n <= uint32(len(*s)) && s.ReadBytes((*[]byte)(out), int(n))
}

// shorten bounds what a client puts on the screen.
func shorten(text []byte) string { return string(text[:min(len(text), 64)]) }

// asksBy reports whether SSH_ASKPASS is asked, as ssh(1) has it, and not the terminal.
func (a *sshAgent) asksBy(c *call) bool {
	require := c.env("SSH_ASKPASS_REQUIRE")
	return c.env("SSH_ASKPASS") != "" && require != "never" &&
		(require == "force" || require == "prefer" || !term.IsTerminal(int(c.stdin.Fd())))
}

// askPIN asks for the PIN of a key. One prompt is open at a time: the keys of a device
// are used one beside the other.
func (a *sshAgent) askPIN(ctx context.Context, k *agentKey, code string) ([]byte, error) {
	select {
	case <-a.prompt:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { a.prompt <- struct{}{} }()
	text := fmt.Sprintf("%v: verification code %s. %s (of the key %q): ", ctx.Value(purpose{}), code, pinName(k.name), k.name)
	if a.asksBy(a.c) {
		return askpass(ctx, a.c.env("SSH_ASKPASS"), text)
	}
	// A prompt that is open stays until Enter, though its client has left: a second
	// reader would take what is typed from the first. The signer drops the PIN then.
	return a.c.ask(a.ctx, text)
}

// askpass runs a program that shows the prompt, and writes what was typed to its standard
// output.
func askpass(ctx context.Context, program, prompt string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, prompt)
	cmd.WaitDelay = time.Second // for what it has started and not ended
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("SSH_ASKPASS: %w", err)
	}
	text := make([]byte, 1024)
	defer clear(text)
	n, readErr := io.ReadFull(stdout, text)
	stdout.Close() // one that goes on writing ends by that
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case readErr == nil:
		return nil, errors.New("SSH_ASKPASS wrote more than a PIN; nothing was sent")
	case err != nil:
		return nil, failf("interrupted", "", "no PIN was typed (SSH_ASKPASS: %w); nothing was sent", err)
	}
	line, _, _ := bytes.Cut(text[:n], []byte("\n"))
	return bytes.Clone(bytes.TrimSuffix(line, []byte("\r"))), nil
}
