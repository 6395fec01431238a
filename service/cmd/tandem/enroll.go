package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/splitkey"
)

var enrollCommand = &command{
	name: "enroll", args: "-server DIR -device DIR [-key auth|sign] [-sharing additive]",
	about: "makes a device's keys, each in two halves",
	help: `
Enroll makes the two keys of a device: auth, for logging in with PIN1, and sign, for signing with PIN2. They
have nothing in common. With -key it makes one of them. A key is confirmed with its PIN before it can be used. An enrolment
that was interrupted is taken up where it stopped by the same command; keys that exist are left alone.

PINs have 4 to 12 digits and come from a prompt, from -pin-file or from TANDEM_PIN. File and variable hold
one PIN, for whichever key is used, or two, PIN1 and PIN2, separated by space or line.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		e := new(enrollment)
		e.declareDevice(flags)
		e.declareServer(flags)
		e.hsm.declare(flags)
		flags.StringVar(&e.only, "key", "", "make this `key` only, auth or sign")
		flags.StringVar(&e.sharing, "sharing", "multiplicative", "`kind` of split, multiplicative or additive")
		flags.StringVar(&e.argon2, "argon2", formatParams(pinlock.DefaultParams()), "cost of a PIN guess, `t,m,p`: passes, memory, lanes")
		flags.BoolVar(&e.again, "new", false, "make a new key in place of one that is destroyed or not confirmed")
		flags.StringVar(&e.pinFile, "pin-file", "", "`file` with the PIN, or PIN1 and PIN2")
		return e.run
	},
}

// enrollment is one run of the command.
type enrollment struct {
	folders
	hsm                            hsmPIN
	only, sharing, argon2, pinFile string
	again                          bool
}

// newKey is one key on its way.
type newKey struct {
	*device
	fresh      bool // no enrolment was begun, or it is thrown away
	phase      protocol.Phase
	pin, again []byte // to lock the share with, and to confirm
}

func (k *newKey) wipe() {
	clear(k.pin)
	clear(k.again)
}

func (e *enrollment) run(ctx context.Context, c *call) (_ result, err error) {
	e.fill(c)
	if err := errors.Join(c.noFiles(), e.needBoth()); err != nil {
		return nil, err
	}
	names := keyNames
	if e.only != "" {
		if err := checkKeyName(e.only); err != nil {
			return nil, err
		}
		names = []string{e.only}
	}
	sharing, err := parseSharing(e.sharing)
	if err != nil {
		return nil, err
	}
	params, err := parseParams(e.argon2)
	if err != nil {
		return nil, err
	}
	source, err := c.pins(e.pinFile)
	if err != nil {
		return nil, err
	}
	defer source.wipe()
	if len(source.given) == 1 && len(names) == 2 {
		return nil, usagef("two keys have two PINs: give both, PIN1 first, or one key with -key")
	}
	s, err := openServer(ctx, c, e.server, e.hsm)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	keys, err := e.prepare(ctx, c, s, names, params)
	if err != nil {
		return nil, err
	}
	// All PINs are asked for before the work begins.
	for _, k := range keys {
		defer k.wipe()
		if err := k.choose(ctx, source); err != nil {
			return nil, err
		}
	}
	r := &enrollResult{Device: e.device, Server: e.server, Sharing: e.sharing}
	for _, k := range keys {
		if err := k.enroll(ctx, c, s, sharing); err != nil {
			return nil, err
		}
		status, err := k.Status()
		if err != nil {
			return nil, err
		}
		key, err := newKeyResult(k.key, status)
		if err != nil {
			return nil, err
		}
		r.Keys = append(r.Keys, key)
	}
	return r, nil
}

func parseSharing(s string) (splitkey.Sharing, error) {
	switch s {
	case "multiplicative":
		return splitkey.Multiplicative, nil
	case "additive":
		return splitkey.Additive, nil
	}
	return 0, usagef("-sharing is multiplicative or additive, not %q", s)
}

// prepare finds out what there is to do. It returns the keys that are not ready.
func (e *enrollment) prepare(ctx context.Context, c *call, s *server, names []string, params pinlock.Params) ([]*newKey, error) {
	known, err := readServerKey(e.device)
	var missing *failure
	switch {
	case errors.As(err, &missing) && missing.Kind == "not_enrolled":
		if err := writeServerKey(e.device, s.ServerKey()); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case !bytes.Equal(known, s.ServerKey()):
		return nil, failf("other_server", "give another folder with -device", "%s was enrolled with another server", e.device)
	}
	var keys []*newKey
	for _, name := range names {
		d, err := openDevice(e.device, name, s.ServerKey(), wire(c, s), params, c.clock)
		if err != nil {
			return nil, err
		}
		k := &newKey{device: d}
		if err := k.takeUp(ctx, c, e.again); err != nil {
			return nil, err
		}
		if k.phase != protocol.Ready {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, failf("exists", "keys in use are never replaced: give another folder with -device", "%s has its keys already", e.device)
	}
	return keys, nil
}

// takeUp resumes what an earlier run left behind.
func (k *newKey) takeUp(ctx context.Context, c *call, again bool) error {
	status, err := k.Status()
	if err != nil {
		return err
	}
	if p := status.Pending; p != nil && (p.Operation == protocol.OpEnroll || p.Operation == protocol.OpConfirm) && !again {
		c.step("taking up the %v of the key %q", p.Operation, k.key)
		_, err := k.Resume(ctx)
		c.done()
		if err != nil && !stale(err) {
			return err
		}
		if status, err = k.Status(); err != nil {
			return err
		}
	}
	k.phase = status.Phase
	switch status.Phase {
	case protocol.NoKey, protocol.Enrolling:
		k.fresh = true
	case protocol.Unconfirmed:
		k.fresh = again
	case protocol.Dead:
		if k.fresh = again; !again {
			return &protocol.DestroyedError{Reason: status.Reason}
		}
	}
	return nil
}

// stale reports that a request will never be answered, and another one may take its place.
func stale(err error) bool {
	return errors.Is(err, protocol.ErrExpired) || errors.Is(err, protocol.ErrGivenUp)
}

func (k *newKey) choose(ctx context.Context, source *pins) (err error) {
	if k.fresh {
		k.pin, k.again, err = source.choose(ctx, k.key)
	} else {
		k.again, err = source.get(ctx, k.key)
	}
	return err
}

func (k *newKey) enroll(ctx context.Context, c *call, s *server, sharing splitkey.Sharing) error {
	defer c.done()
	if k.fresh {
		_, challenge, err := s.ChallengeEnroll(ctx)
		if err != nil {
			return err
		}
		c.step("device: making and splitting the key %q", k.key)
		err = k.Enroll(ctx, protocol.EnrollOptions{Challenge: challenge, PIN: k.pin, Bits: s.config.DeviceBits, Sharing: sharing})
		if err != nil {
			return err
		}
	}
	status, err := k.Status()
	if err != nil {
		return err
	}
	challenge, err := s.Challenge(ctx, status.KeyID)
	if err != nil {
		return err
	}
	c.step("device: confirming the key %q with its PIN", k.key)
	err = k.Confirm(ctx, challenge, k.again)
	var wrong *pinlock.WrongPINError
	if errors.As(err, &wrong) && !errors.Is(err, pinlock.ErrDestroyed) {
		f := explain(err, c.clock())
		f.Next = "run this again; or, if the PIN was mistyped when the key was made, with -new: nothing was signed with it yet"
		return f
	}
	return err
}

type enrollResult struct {
	Device  string      `json:"device"`
	Server  string      `json:"server"`
	Sharing string      `json:"-"`
	Keys    []keyResult `json:"keys"`
}

// keyResult is a key that is ready to use.
type keyResult struct {
	Key         string `json:"key"`
	ID          string `json:"id"`
	Bits        int    `json:"bits"`
	Fingerprint string `json:"public_key_sha256"`
}

func newKeyResult(key string, status protocol.DeviceStatus) (keyResult, error) {
	_, fingerprint, err := publicPEM(status.PublicKey)
	return keyResult{key, status.KeyID.String(), status.PublicKey.N.BitLen(), fingerprint}, err
}

func (r *enrollResult) text(w io.Writer) {
	for _, k := range r.Keys {
		fmt.Fprintf(w, "%s  %s  RSA-%d, key id %s\n", k.Key, pinName(k.Key), k.Bits, k.ID)
	}
	fmt.Fprintf(w, "next: tandem sign -server %s -device %s FILE\n", quote(r.Server), quote(r.Device))
}
