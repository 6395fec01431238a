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
		flags.StringVar(&s.out, "o", "", "`file` to write, which must not exist; FILE.sig if empty")
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

func (s *signing) check(c *call) error {
	s.fill(c)
	if err := s.needBoth(); err != nil {
		return err
	}
	if err := checkKeyName(s.key); err != nil {
		return err
	}
	if s.resume && s.giveUp {
		return usagef("-resume and -give-up are opposites")
	}
	if s.resume || s.giveUp {
		if s.resume && s.out == "" {
			return usagef("-resume needs -o, the file to write")
		}
		return c.noFiles()
	}
	var err error
	if s.file, err = c.oneFile("to sign"); err != nil {
		return err
	}
	if s.out == "" {
		s.out = s.file + ".sig"
	}
	return s.scheme.check()
}

func (s *signing) run(ctx context.Context, c *call) (_ result, err error) {
	if err := s.check(c); err != nil {
		return nil, err
	}
	if s.file != "" {
		c.step("reading %s", s.file)
		if s.digest, err = s.digestOf(s.file); err != nil {
			return nil, err
		}
		c.done()
	}
	if !s.giveUp {
		if err := checkNew(s.out); err != nil {
			return nil, err
		}
	}
	server, err := openServer(ctx, c, s.server, s.hsm)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	d, err := enrolledDevice(c, s.device, s.key, server)
	if err != nil {
		return nil, err
	}
	if s.giveUp {
		return s.drop(d)
	}
	status, err := s.usable(ctx, c, d)
	if err != nil {
		return nil, err
	}
	r := &signResult{Key: s.key, ID: status.KeyID.String(), File: s.file, SignatureFile: s.out}
	done, err := s.takeUp(ctx, c, d, status)
	if err != nil {
		return nil, err
	}
	r.Resumed = done != nil
	if done == nil {
		if done, err = s.sign(ctx, c, server, d, status); err != nil {
			return nil, err
		}
	}
	r.describe(done)
	if err := writeNew(s.out, done.Signature, 0o644); err != nil {
		return nil, err
	}
	return r, nil
}

// usable returns the status of a key that can sign. A confirmation that was not answered is taken up.
func (s *signing) usable(ctx context.Context, c *call, d *device) (status protocol.DeviceStatus, err error) {
	finish := fmt.Sprintf("tandem enroll -server %s -device %s -key %s", quote(s.server), quote(s.device), s.key)
	if status, err = d.Status(); err != nil {
		return status, err
	}
	if p := status.Pending; p != nil && p.Operation != protocol.OpSign && p.Operation != protocol.OpEnroll {
		c.step("taking up the %v", p.Operation)
		_, err := d.Resume(ctx)
		c.done()
		if err != nil && !stale(err) {
			return status, err
		}
		if status, err = d.Status(); err != nil {
			return status, err
		}
	}
	switch status.Phase {
	case protocol.NoKey:
		return status, failf("not_enrolled", finish, "the device in %s has no key %q", s.device, s.key)
	case protocol.Enrolling, protocol.Unconfirmed:
		return status, failf("unconfirmed", finish, "the enrolment of the key %q is not finished", s.key)
	case protocol.Dead:
		return status, &protocol.DestroyedError{Reason: status.Reason}
	}
	return status, nil
}

// takeUp resumes a request for this signature, and refuses to forget one for another. It returns
// nil if there is none any more.
func (s *signing) takeUp(ctx context.Context, c *call, d *device, status protocol.DeviceStatus) (*protocol.Result, error) {
	p := status.Pending
	if p == nil {
		if s.resume {
			return nil, failf("nothing_pending", "tandem sign FILE", "every request was answered")
		}
		return nil, nil
	}
	if !s.resume && !(bytes.Equal(p.Digest, s.digest) && samePadding(p.Options, s.options())) {
		return nil, failf("pending", "tandem sign with that file again, or -resume -o SIG, or -give-up",
			"an earlier request was not answered yet: %s %s, code %s", hashName(p.Options.HashFunc()), hex.EncodeToString(p.Digest), protocol.VerificationCode(p.Digest))
	}
	fmt.Fprintln(c.errOut, "Resuming the request that was not answered; it needs no PIN.")
	c.step("device: sending it again")
	defer c.done()
	r, err := d.Resume(ctx)
	if stale(err) && !s.resume {
		return nil, nil
	}
	return r, err
}

func (s *signing) sign(ctx context.Context, c *call, server *server, d *device, status protocol.DeviceStatus) (*protocol.Result, error) {
	source, err := c.pins(s.pinFile)
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
	challenge, err := server.ChallengeSign(ctx, status.KeyID, s.digest, s.options())
	if err != nil {
		return nil, err
	}
	c.step("device: opening its half with the PIN")
	defer c.done()
	signature, err := d.Sign(ctx, challenge, s.digest, s.options(), pin)
	if err != nil {
		return nil, err
	}
	return &protocol.Result{Digest: s.digest, Options: s.options(), Signature: signature}, nil
}

func (s *signing) drop(d *device) (result, error) {
	err := d.GiveUp()
	if errors.Is(err, protocol.ErrNothingPending) {
		return nil, failf("nothing_pending", "", "every request was answered")
	}
	return giveUpResult{s.key, true}, err
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
	fmt.Fprintf(w, "%s: RSA-%d signature, %s, %s\n", r.SignatureFile, r.bits, r.Padding, r.Hash)
}

type giveUpResult struct {
	Key     string `json:"key"`
	GivenUp bool   `json:"given_up"`
}

func (r giveUpResult) text(w io.Writer) {
	fmt.Fprintf(w, "The request with the key %q is dropped. If the server had it already, the signature may exist.\n", r.Key)
}
