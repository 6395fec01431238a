package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/tandem-rsa/tandem/protocol"
)

var signCommand = &command{
	name: "sign", args: "-server DIR -device DIR [-key auth] [-pss] [-hash H] [-o SIG] FILE",
	about: "signs a file with both halves",
	help: `
Sign makes a signature of FILE and writes it to FILE.sig, or where -o says, as raw bytes: what "openssl dgst -verify"
and "tandem verify" read. It shows the verification code, which a service would show as well, and asks for the PIN.

A request that was sent and not answered is resumed by the same command, without the PIN; it counts once.
-resume finishes it without its FILE, -give-up drops it. While there is one, nothing else is signed.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		s := new(signing)
		s.declareDevice(flags)
		s.declareServer(flags)
		s.hsm.declare(flags)
		s.scheme.declare(flags)
		flags.StringVar(&s.key, "key", signKey, "`key` to sign with, auth or sign")
		flags.StringVar(&s.pinFile, "pin-file", "", "`file` with the PIN, or PIN1 and PIN2; else TANDEM_PIN or a prompt")
		flags.StringVar(&s.out, "o", "", "`file` to write, which must not exist, or - for standard output; FILE.sig if empty")
		flags.BoolVar(&s.resume, "resume", false, "finish the request that was not answered, whatever it signs; needs -o")
		flags.BoolVar(&s.giveUp, "give-up", false, "drop the request that was not answered")
		return s.run
	},
}

// signing is one run of the command.
type signing struct {
	folders
	scheme
	hsm               hsmPIN
	key, pinFile, out string
	resume, giveUp    bool

	file   string
	digest []byte
}

// output is where a signature goes. It is written on the way from the server to the device: as long
// as that fails, the device goes on waiting for its answer, and can have it again.
type output struct {
	name   string
	w      io.Writer // standard output
	public *rsa.PublicKey
	done   bool
	failed error
}

// signed is the server's Signed. It may be called more than once for one signature.
func (o *output) signed(_ context.Context, s protocol.Signed) error {
	o.failed = o.write(s)
	return o.failed
}

func (o *output) write(s protocol.Signed) error {
	// The server has verified it, under its own record of the key. This one is the device's.
	if err := verify(o.public, s.Options, s.Digest, s.Signature); err != nil {
		return fmt.Errorf("the server's signature is not one of the device's key: %w", err)
	}
	switch {
	case o.done:
		return nil
	case o.name == standard:
		if _, err := o.w.Write(s.Signature); err != nil {
			return err
		}
	default:
		err := writeNew(o.name, s.Signature, publicMode)
		if errors.Is(err, fs.ErrExist) {
			// Written by a run that was killed before the device had its answer.
			if same(o.name, s.Signature) {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
	o.done = true
	return nil
}

// same reports whether a file, which may be of any length, holds these bytes.
func same(name string, data []byte) bool {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(data)) {
		return false
	}
	there, err := os.ReadFile(name)
	return err == nil && bytes.Equal(there, data)
}

// explain says why a request was not answered, where it is the output that failed.
func (o *output) explain(err error) error {
	if err == nil || o.failed == nil || !errors.Is(err, protocol.ErrUnanswered) {
		return err
	}
	const next = "make room, or give another name with -o, and run the same command again: it needs no PIN, and counts once"
	if errors.Is(o.failed, fs.ErrExist) {
		return failf("exists", next, "the signature is made, but %s exists already", o.name)
	}
	return failf("output", next, "the signature is made, but could not be written to %s: %w", o.name, plain(o.failed))
}

func (s *signing) check(c *call) error {
	s.fill(c)
	if s.resume && s.giveUp {
		return usagef("-resume and -give-up are opposites")
	}
	need := s.needBoth
	if s.giveUp {
		need = s.needDevice // a server is not asked
	}
	if err := need(); err != nil {
		return err
	}
	if err := checkKeyName(s.key); err != nil {
		return err
	}
	if s.resume || s.giveUp {
		if s.resume && s.out == "" {
			return usagef("-resume needs -o, the file to write")
		}
		return errors.Join(c.noFiles(), s.checkOutput(c))
	}
	var err error
	if s.file, err = c.oneFile("to sign"); err != nil {
		return err
	}
	if s.out == "" {
		if s.file == standard {
			return errNoName("-o", "to write the signature, - for standard output")
		}
		s.out = s.file + ".sig"
	}
	return errors.Join(s.scheme.check(), oneStandardInput(s.file, s.pinFile, s.hsm.file), s.checkOutput(c))
}

// checkOutput keeps apart what goes to standard output.
func (s *signing) checkOutput(c *call) error {
	if s.out == standard && c.json {
		return usagef("-json and -o - both write to standard output. The JSON has the signature, too: give -o a file")
	}
	return nil
}

func (s *signing) run(ctx context.Context, c *call) (_ result, err error) {
	if err := s.check(c); err != nil {
		return nil, err
	}
	if s.giveUp {
		return s.drop(c)
	}
	if s.file != "" {
		c.step("reading %s", display(s.file))
		if s.digest, err = s.digestOf(ctx, c, s.file); err != nil {
			return nil, err
		}
		c.done()
	}
	// All that the device and the output can refuse, before the server is asked for.
	serverKey, err := readServerKey(s.device)
	if err != nil {
		return nil, err
	}
	if err := checkDevice(s.device, s.key); err != nil {
		return nil, err
	}
	status, err := look(s.device, s.key, serverKey)
	if err != nil {
		return nil, err
	}
	p := status.Pending
	if err := s.mine(p); err != nil {
		return nil, err
	}
	// One that is there may be what the server made for a request whose answer was not heard.
	if p == nil || p.Operation != protocol.OpSign {
		if err := checkNew(s.out); err != nil {
			return nil, err
		}
	}
	b, err := openBackend(ctx, c, s.server, s.hsm)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := checkServer(s.device, b); err != nil {
		return nil, err
	}
	out := &output{name: s.out, w: c.out, public: status.PublicKey}
	b.signed = out.signed
	var done *protocol.Result
	if p != nil {
		if done, status, err = s.takeUp(ctx, c, b, out); err != nil {
			return nil, err
		}
	}
	if err := s.ready(status); err != nil {
		return nil, err
	}
	r := &signResult{Key: s.key, ID: status.KeyID.String(), File: s.file, SignatureFile: s.out, Resumed: done != nil}
	if done == nil {
		if err := checkNew(s.out); err != nil {
			return nil, err
		}
		if done, err = s.sign(ctx, c, b, out, status); err != nil {
			return nil, err
		}
	}
	r.describe(done)
	return r, nil
}

// mine refuses to forget a request for another signature. Nobody knows whether it was settled.
func (s *signing) mine(p *protocol.PendingRequest) error {
	if p == nil || p.Operation != protocol.OpSign {
		if s.resume {
			return failf("nothing_pending", "tandem sign FILE", "every request was answered")
		}
		return nil
	}
	if s.resume || bytes.Equal(p.Digest, s.digest) && samePadding(p.Options, s.options()) {
		return nil
	}
	return failf("pending", "tandem sign with that file again, or -resume -o SIG, or -give-up",
		"an earlier request was not answered yet: %s %s, code %s", hashName(p.Options.HashFunc()), hex.EncodeToString(p.Digest), protocol.VerificationCode(p.Digest))
}

// takeUp resumes what was not answered, without a PIN. The result is nil if no signature came of it,
// and one is to be made: the request will never be answered, or was a confirmation.
func (s *signing) takeUp(ctx context.Context, c *call, b *backend, out *output) (done *protocol.Result, status protocol.DeviceStatus, err error) {
	err = b.with(c, func(server *server) error {
		d, err := openDevice(s.device, s.key, b.serverKey(), wire(c, server), maxParams, c.clock)
		if err != nil {
			return err
		}
		if status, err = d.Status(); err != nil {
			return err
		}
		p := status.Pending
		if p == nil || p.Operation == protocol.OpEnroll {
			return nil
		}
		if p.Operation == protocol.OpSign {
			fmt.Fprintln(c.errOut, "Resuming the request that was not answered; it needs no PIN.")
		}
		c.step("device: sending the request again (%v)", p.Operation)
		r, err := d.Resume(ctx)
		c.done()
		switch {
		case err != nil && stale(err) && s.resume:
			return failf("expired", "tandem sign with that file again: it needs the PIN", "the request was not answered in time, and is dropped: %w", err)
		case err != nil && stale(err):
		case err != nil:
			return out.explain(err)
		case p.Operation == protocol.OpSign:
			done = r
		}
		status, err = d.Status()
		return err
	})
	return done, status, err
}

// ready refuses a key that cannot sign.
func (s *signing) ready(status protocol.DeviceStatus) error {
	finish := fmt.Sprintf("tandem enroll -server %s -device %s -key %s", quote(s.server), quote(s.device), s.key)
	switch status.Phase {
	case protocol.NoKey:
		return failf("not_enrolled", finish, "the device in %s has no key %q", s.device, s.key)
	case protocol.Enrolling, protocol.Unconfirmed:
		return failf("unconfirmed", finish, "the enrolment of the key %q is not finished", s.key)
	case protocol.Dead:
		return &protocol.DestroyedError{Reason: status.Reason}
	}
	return nil
}

// sign asks for the PIN, and only then starts the server: others can use it meanwhile.
func (s *signing) sign(ctx context.Context, c *call, b *backend, out *output, status protocol.DeviceStatus) (*protocol.Result, error) {
	source, err := c.pins(ctx, s.pinFile)
	if err != nil {
		return nil, err
	}
	defer source.wipe()
	fmt.Fprintf(c.errOut, "Verification code: %s\n", protocol.VerificationCode(s.digest))
	pin, err := source.get(ctx, s.key)
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	var signature []byte
	err = b.with(c, func(server *server) error {
		d, err := openDevice(s.device, s.key, b.serverKey(), wire(c, server), maxParams, c.clock)
		if err != nil {
			return err
		}
		challenge, err := server.ChallengeSign(ctx, status.KeyID, s.digest, s.options())
		if err != nil {
			return err
		}
		c.step("device: opening its half with the PIN")
		defer c.done()
		signature, err = d.Sign(ctx, challenge, s.digest, s.options(), pin)
		return out.explain(err)
	})
	if err != nil {
		return nil, err
	}
	return &protocol.Result{Digest: s.digest, Options: s.options(), Signature: signature}, nil
}

func (s *signing) drop(c *call) (result, error) {
	serverKey, err := readServerKey(s.device)
	if err != nil {
		return nil, err
	}
	if err := checkDevice(s.device, s.key); err != nil {
		return nil, err
	}
	status, err := look(s.device, s.key, serverKey)
	if err != nil {
		return nil, err
	}
	if status.Pending == nil {
		return nil, failf("nothing_pending", "", "every request was answered")
	}
	d, err := openDevice(s.device, s.key, serverKey, offline, maxParams, c.clock)
	if err != nil {
		return nil, err
	}
	return giveUpResult{s.key, true}, d.GiveUp()
}

func samePadding(a, b crypto.SignerOpts) bool {
	_, pssA := a.(*rsa.PSSOptions)
	_, pssB := b.(*rsa.PSSOptions)
	return pssA == pssB && a.HashFunc() == b.HashFunc()
}

type signResult struct {
	Key           string `json:"key"`
	ID            string `json:"id"`
	File          string `json:"file,omitempty"`
	Hash          string `json:"hash"`
	Padding       string `json:"padding"`
	Digest        string `json:"digest"`
	Code          string `json:"verification_code"`
	Signature     string `json:"signature"`
	SignatureFile string `json:"signature_file"`
	Resumed       bool   `json:"resumed"`

	bits int
}

func (r *signResult) describe(done *protocol.Result) {
	r.Hash, r.Padding = hashName(done.Options.HashFunc()), paddingName(done.Options)
	r.Digest, r.Code = hex.EncodeToString(done.Digest), protocol.VerificationCode(done.Digest)
	r.Signature, r.bits = base64.StdEncoding.EncodeToString(done.Signature), 8*len(done.Signature)
}

func (r *signResult) text(w io.Writer) {
	if r.SignatureFile == standard {
		return // it is on w
	}
	fmt.Fprintf(w, "%s: RSA-%d signature, %s, %s\n", r.SignatureFile, r.bits, r.Padding, r.Hash)
}

type giveUpResult struct {
	Key     string `json:"key"`
	GivenUp bool   `json:"given_up"`
}

func (r giveUpResult) text(w io.Writer) {
	fmt.Fprintf(w, "The request with the key %q is dropped. If the server had it already, the signature may exist.\n", r.Key)
}
