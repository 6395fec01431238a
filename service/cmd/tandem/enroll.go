package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/splitkey"
)

var enrollCommand = &command{
	name: "enroll", args: "-server DIR -device DIR [-key auth|sign] [-sharing additive] [-import KEY]",
	about: "makes a device's keys, each in two halves",
	help: `
Enroll makes the two keys of a device: auth, for logging in with PIN1, and sign, for signing with
PIN2. They have nothing in common. With -key it makes one of them. A key is confirmed with its PIN
before it can be used. The same command takes up an enrolment that was interrupted, and leaves
keys alone that exist.

PINs have 4 to 12 digits and come from a prompt, from -pin-file or from TANDEM_PIN. File and
variable hold one PIN, for whichever key is used, or two, PIN1 and PIN2, separated by space or
line. The two must differ.

With -import it splits a key that you have, in PKCS #1, PKCS #8 or JWK: the key "sign" unless -key
says otherwise. Destroy that file and every copy of it afterwards: whoever has one signs without
the server. Most keys can only be shared with -sharing additive. A few bits of the server's half
then tell much of the device's: to a thief of the device's folder 4 bytes of it tell the PIN. With
-sharing multiplicative it takes all of it: docs/scheme.md, 10.3.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		e := new(enrollment)
		e.declareDevice(flags)
		e.declareServer(flags)
		e.hsm.declare(flags)
		flags.StringVar(&e.only, "key", "", "make this `key` only, auth or sign")
		flags.StringVar(&e.sharing, "sharing", "multiplicative", "`kind` of split, multiplicative or additive")
		flags.StringVar(&e.argon2, "argon2", formatParams(pinlock.DefaultParams()), "cost of a PIN guess, `t,m,p`: passes, memory, lanes")
		flags.BoolVar(&e.again, "new", false, "make a new key in place of one that is destroyed or not confirmed")
		flags.StringVar(&e.pinFile, "pin-file", "", "`file` with the PIN, or PIN1 and PIN2; - for standard input")
		flags.StringVar(&e.from, "import", "", "split the private key in this `file`, in place of a new one; - for standard input")
		return e.run
	},
}

// enrollment is one run of the command.
type enrollment struct {
	folders
	hsm                                  hsmPIN
	only, sharing, argon2, pinFile, from string
	again                                bool

	names  []string
	kind   splitkey.Sharing
	params pinlock.Params
}

func (e *enrollment) check(c *call) (err error) {
	e.fill(c)
	if err := errors.Join(c.noFiles(), e.needBoth(), oneStandardInput(e.pinFile, e.hsm.file, e.from)); err != nil {
		return err
	}
	if e.names = keyNames; e.from != "" && e.only == "" {
		e.only = pin2Key
	}
	if e.only != "" {
		if err := checkKeyName(e.only); err != nil {
			return err
		}
		e.names = []string{e.only}
	}
	if e.kind, err = parseSharing(e.sharing); err != nil {
		return err
	}
	e.params, err = parseParams(e.argon2)
	return err
}

func (e *enrollment) run(ctx context.Context, c *call) (_ result, err error) {
	if err := e.check(c); err != nil {
		return nil, err
	}
	source, err := c.pins(ctx, e.pinFile)
	if err != nil {
		return nil, err
	}
	defer source.wipe()
	if len(source.given) == 1 && len(e.names) == 2 {
		return nil, usagef("two keys have two PINs: give both, PIN1 first, or one key with -key")
	}
	b, err := openBackend(ctx, c, e.server, e.hsm)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	keys, err := e.plan(ctx, c, b)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		defer k.wipe()
	}
	if e.from != "" && keys[0].fresh {
		if keys[0].halves, err = e.split(ctx, c, b.config); err != nil {
			return nil, err
		}
	}
	// All PINs are asked for before anything is written or begun.
	if err := choosePINs(ctx, source, keys); err != nil {
		return nil, err
	}
	if err := e.bind(b); err != nil {
		return nil, err
	}
	r := &enrollResult{Device: e.device, Server: e.server, imported: e.from, shape: b.config.Shape, additive: e.kind == splitkey.Additive}
	for _, k := range keys {
		if err := k.make(ctx, c, b.config); err != nil {
			return nil, err
		}
		if err := b.with(ctx, c, func(srv *server.Server) error { return e.enroll(ctx, c, srv, k) }); err != nil {
			return nil, err
		}
		status, err := k.device.Status()
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

// newKey is one key on its way.
type newKey struct {
	key     string
	device  *device.Device
	fresh   bool // no enrolment was begun, or it is thrown away
	sharing splitkey.Sharing
	halves         // of a fresh key
	pin     []byte // to lock the share with; of a fresh key
	again   []byte // to confirm
}

func (k *newKey) wipe() {
	clear(k.pin)
	clear(k.again)
	k.halves.wipe()
}

// halves are the two shares of a key that no server has seen yet.
type halves struct {
	client *splitkey.ClientShare
	server *splitkey.ServerShare
}

func (h halves) wipe() {
	if h.client != nil {
		h.client.Wipe()
		h.server.Wipe()
	}
}

// plan returns the keys that are not ready. It makes nothing of a device that is not
// there yet.
func (e *enrollment) plan(ctx context.Context, c *call, b *backend) ([]*newKey, error) {
	err := checkServer(e.device, b)
	if isNew(err) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	var keys []*newKey
	for _, name := range e.names {
		if err := checkDevice(e.device, name); err != nil {
			return nil, err
		}
		status, err := look(e.device, name, b.hpkeKey())
		if err != nil {
			return nil, err
		}
		if p := status.Pending; p != nil && (p.Operation == protocol.OpEnroll || p.Operation == protocol.OpConfirm) && !e.again {
			if status, err = e.takeUp(ctx, c, b, name); err != nil {
				return nil, err
			}
		}
		k := &newKey{key: name, sharing: e.kind}
		switch status.Phase {
		case device.Ready:
			continue
		case device.NoKey, device.Enrolling:
			k.fresh = true
		case device.Unconfirmed:
			k.fresh = e.again
		case device.Dead:
			if k.fresh = e.again; !e.again {
				return nil, &protocol.DestroyedError{Reason: status.Reason}
			}
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, failf("exists", "keys in use are never replaced: give another folder with -device", "%s has its keys already", e.device)
	}
	return keys, nil
}

// isNew reports that a device's folder is not bound to a server yet.
func isNew(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.Kind == "not_enrolled"
}

// takeUp resumes what an earlier run left behind.
func (e *enrollment) takeUp(ctx context.Context, c *call, b *backend, key string) (status device.KeyStatus, err error) {
	err = b.with(ctx, c, func(srv *server.Server) error {
		d, err := openDevice(e.device, key, b.hpkeKey(), wire(c, srv), e.params)
		if err != nil {
			return err
		}
		c.step("taking up the enrolment of the key %q", key)
		_, err = d.Resume(ctx)
		c.done()
		if err != nil && !stale(err) && !errors.Is(err, device.ErrNothingPending) {
			return err
		}
		status, err = d.Status()
		return err
	})
	return status, err
}

// bind ties a device that is new to the server.
func (e *enrollment) bind(b *backend) error {
	err := checkServer(e.device, b)
	if isNew(err) {
		return bind(e.device, b.hpkeKey())
	}
	return err
}

// stale reports that a request will never be answered, and another one may take its
// place.
func stale(err error) bool {
	return errors.Is(err, device.ErrNotCarriedOut)
}

// choosePINs asks for the PINs of all keys. No new PIN is that of another key.
func choosePINs(ctx context.Context, source *pins, keys []*newKey) (err error) {
	var known [][]byte
	for _, k := range keys {
		if !k.fresh {
			if k.again, err = source.get(ctx, k.key); err != nil {
				return err
			}
			known = append(known, k.again)
		}
	}
	for _, k := range keys {
		if k.fresh {
			if k.pin, k.again, err = source.choose(ctx, k.key, known); err != nil {
				return err
			}
			known = append(known, k.again)
		}
	}
	return nil
}

// make makes a fresh key and splits it. Ctrl-C ends it at once: nobody has seen the key
// yet.
func (k *newKey) make(ctx context.Context, c *call, config serverConfig) error {
	if !k.fresh || k.client != nil {
		return nil
	}
	c.step("device: making and splitting the key %q", k.key)
	defer c.done()
	h, err := interruptible(ctx, func() (h halves, err error) {
		h.client, h.server, err = splitkey.GenerateKey(config.ClientBits, k.sharing)
		return h, err
	})
	k.halves = h
	return err
}

func (e *enrollment) enroll(ctx context.Context, c *call, srv *server.Server, k *newKey) (err error) {
	if k.device, err = openDevice(e.device, k.key, srv.HPKEKey(), wire(c, srv), e.params); err != nil {
		return err
	}
	return k.enroll(ctx, c, srv)
}

func (k *newKey) enroll(ctx context.Context, c *call, srv *server.Server) error {
	defer c.done()
	if k.fresh {
		_, challenge, err := srv.ChallengeEnroll(ctx)
		if err != nil {
			return err
		}
		c.step("device: locking its half of the key %q with the PIN", k.key)
		err = k.device.Enroll(ctx, device.EnrollOptions{Challenge: challenge, PIN: k.pin, Client: k.client, Server: k.server})
		if err != nil {
			return err
		}
	}
	status, err := k.device.Status()
	if err != nil {
		return err
	}
	challenge, err := srv.Challenge(ctx, status.KeyID)
	if err != nil {
		return err
	}
	c.step("device: confirming the key %q with its PIN", k.key)
	err = k.device.Confirm(ctx, challenge, k.again)
	var wrong *limiter.WrongPINError
	if errors.As(err, &wrong) && !errors.Is(err, limiter.ErrDestroyed) {
		f := explain(err, c.clock())
		f.Next = "run this again; or, if the PIN was mistyped when the key was made, with -new: nothing was signed with it yet"
		return f
	}
	return err
}

type enrollResult struct {
	Device string      `json:"device"`
	Server string      `json:"server"`
	Keys   []keyResult `json:"keys"`

	imported, shape string
	additive        bool
}

// keyResult is a key that is ready to use.
type keyResult struct {
	Key         string `json:"key"`
	ID          string `json:"id"`
	Bits        int    `json:"bits"`
	Fingerprint string `json:"public_key_sha256"`
}

func newKeyResult(key string, status device.KeyStatus) (keyResult, error) {
	_, fingerprint, err := publicPEM(status.PublicKey)
	return keyResult{key, status.KeyID.String(), status.PublicKey.N.BitLen(), fingerprint}, err
}

func (r *enrollResult) text(w io.Writer) {
	for _, k := range r.Keys {
		fmt.Fprintf(w, "%s  %s  RSA-%d, key id %s\n", k.Key, pinName(k.Key), k.Bits, k.ID)
	}
	if r.imported != "" {
		if r.shape == composite {
			fmt.Fprintln(w, "The public key is a new one, the product with a server key: signatures do not verify under the old one.")
		}
		fmt.Fprintf(w, "Now destroy %s and every copy of it: whoever has one signs without the server.\n", display(r.imported))
	}
	if r.additive {
		fmt.Fprintln(w, "Shared additively: to a thief of the device's folder 4 bytes of the server's half tell the PIN (docs/scheme.md, 10.3).")
	}
	fmt.Fprintf(w, "next: tandem sign -server %s -device %s FILE\n", quote(r.Server), quote(r.Device))
}
