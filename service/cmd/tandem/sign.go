package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
)

var signCommand = &command{
	name: "sign", args: "-server DIR -device DIR [-key auth] [-pss] [-hash H] [-o SIG] FILE...",
	about: "signs files with both halves",
	help: `
Sign makes a signature of each FILE, up to 64, and writes it to FILE.sig, or where -o says, as raw
bytes: what "openssl dgst -verify" and "tandem verify" read. It shows the verification codes, which
a service would show as well, and asks for the PIN once: all files are signed, or none.

If a request was sent and not answered, the same command resumes it without the PIN; it counts
once. -resume finishes it without its FILE, if it is one. -cancel ends it, unless it was carried
out before. Until then nothing else is signed.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		s := new(signing)
		s.declareDevice(flags)
		s.declareServer(flags)
		s.hsm.declare(flags)
		s.scheme.declare(flags)
		flags.StringVar(&s.key, "key", pin2Key, "`key` to sign with, auth or sign")
		flags.StringVar(&s.pinFile, "pin-file", "", "`file` with the PIN, or PIN1 and PIN2; else TANDEM_PIN or a prompt")
		flags.StringVar(&s.out, "o", "", "`file` to write, which must not exist, or - for standard output; FILE.sig if empty")
		flags.BoolVar(&s.resume, "resume", false, "finish the request that was not answered, whatever it signs; needs -o")
		flags.BoolVar(&s.cancel, "cancel", false, "end the request that was not answered, unless it was carried out before")
		return s.run
	},
}

// signing is one run of the command.
type signing struct {
	folders
	scheme
	hsm               hsmPIN
	key, pinFile, out string
	resume, cancel    bool

	files   []string
	digests [][]byte
}

func (s *signing) check(c *call) error {
	s.fill(c)
	if s.resume && s.cancel {
		return usagef("-resume and -cancel are opposites")
	}
	if err := s.needBoth(); err != nil {
		return err
	}
	if err := checkKeyName(s.key); err != nil {
		return err
	}
	if s.resume || s.cancel {
		if s.resume && s.out == "" {
			return usagef("-resume needs -o, the file to write")
		}
		return errors.Join(c.noFiles(), s.checkOutput(c))
	}
	switch s.files = c.files; {
	case len(s.files) < 1 || len(s.files) > protocol.MaxDocuments:
		return usagef("want 1 to %d files to sign, not %d", protocol.MaxDocuments, len(s.files))
	case len(s.files) > 1 && s.out != "":
		return usagef("-o is for one file, not for %d", len(s.files))
	case s.out == "" && slices.Contains(s.files, standard):
		return errNoName("-o", "to write the signature, - for standard output")
	}
	return errors.Join(s.scheme.check(), oneStandardInput(append(s.files, s.pinFile, s.hsm.file)...), s.checkOutput(c))
}

// outputs are where the signatures go.
func (s *signing) outputs() []string {
	if s.out != "" {
		return []string{s.out}
	}
	var names []string
	for _, file := range s.files {
		names = append(names, file+".sig")
	}
	return names
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
	for _, file := range s.files {
		c.step("reading %s", display(file))
		digest, err := s.digestOf(ctx, c, file)
		if err != nil {
			return nil, err
		}
		s.digests = append(s.digests, digest)
		c.done()
	}
	// All that the device and the output can refuse, before the server is asked for.
	hpkeKey, err := readHPKEKey(s.device)
	if err != nil {
		return nil, err
	}
	if err := checkDevice(s.device, s.key); err != nil {
		return nil, err
	}
	status, err := look(s.device, s.key, hpkeKey)
	if err != nil {
		return nil, err
	}
	p := status.Pending
	if s.cancel {
		return s.end(ctx, c, status)
	}
	if err := s.mine(p); err != nil {
		return nil, err
	}
	// One that is there may be what the server made for a request whose answer was not
	// heard.
	if p == nil || p.Operation != protocol.OpSign {
		if err := checkAllNew(s.outputs()); err != nil {
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
	out := &output{names: s.outputs(), w: c.out, public: status.PublicKey}
	b.signed = out.signed
	var done *device.Request
	if p != nil {
		if done, status, err = s.takeUp(ctx, c, b, out); err != nil {
			return nil, err
		}
	}
	if err := s.ready(status); err != nil {
		return nil, err
	}
	r := &signResult{Key: s.key, ID: status.KeyID.String(), Resumed: done != nil}
	if done == nil {
		if err := checkAllNew(s.outputs()); err != nil {
			return nil, err
		}
		if done, err = s.sign(ctx, c, b, out, status); err != nil {
			return nil, err
		}
	}
	r.describe(done, s.files, s.outputs())
	return r, nil
}

// mine refuses to forget a request for another signature. Nobody knows whether it was
// settled.
func (s *signing) mine(p *device.Request) error {
	if p == nil || p.Operation != protocol.OpSign {
		if s.resume {
			return failf("nothing_pending", "tandem sign FILE", "every request was answered")
		}
		return nil
	}
	if s.resume && len(p.Digests) == 1 || slices.EqualFunc(p.Digests, s.digests, bytes.Equal) && samePadding(p.Options, s.options()) {
		return nil
	}
	var which []string
	for _, digest := range p.Digests {
		which = append(which, fmt.Sprintf("%x, code %s", digest, protocol.VerificationCode(digest)))
	}
	return failf("pending", "tandem sign with the same files again, or -resume -o SIG if it is one, or -cancel",
		"an earlier request was not answered yet: %s %s", hashName(p.Options.HashFunc()), strings.Join(which, "; "))
}

// takeUp resumes what was not answered, without a PIN. The result is nil if no signature
// came of it, and one is to be made: the request will never be answered, or was a
// confirmation.
func (s *signing) takeUp(ctx context.Context, c *call, b *backend, out *output) (done *device.Request, status device.KeyStatus, err error) {
	err = b.with(ctx, c, func(srv *server.Server) error {
		d, err := openDevice(s.device, s.key, b.hpkeKey(), wire(c, srv), maxParams)
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
func (s *signing) ready(status device.KeyStatus) error {
	finish := fmt.Sprintf("tandem enroll -server %s -device %s -key %s", quote(s.server), quote(s.device), s.key)
	switch status.Phase {
	case device.NoKey:
		return failf("not_enrolled", finish, "the device in %s has no key %q", s.device, s.key)
	case device.Enrolling, device.Unconfirmed:
		return failf("unconfirmed", finish, "the enrolment of the key %q is not finished", s.key)
	case device.Dead:
		return &protocol.DestroyedError{Reason: status.Reason}
	}
	return nil
}

// sign asks for the PIN, and only then starts the server: others can use it meanwhile.
func (s *signing) sign(ctx context.Context, c *call, b *backend, out *output, status device.KeyStatus) (*device.Request, error) {
	source, err := c.pins(ctx, s.pinFile)
	if err != nil {
		return nil, err
	}
	defer source.wipe()
	for i, digest := range s.digests {
		if len(s.files) == 1 {
			fmt.Fprintf(c.errOut, "Verification code: %s\n", protocol.VerificationCode(digest))
		} else {
			fmt.Fprintf(c.errOut, "Verification code: %s  %s\n", protocol.VerificationCode(digest), display(s.files[i]))
		}
	}
	pin, err := source.get(ctx, s.key)
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	var signatures [][]byte
	err = b.with(ctx, c, func(srv *server.Server) error {
		d, err := openDevice(s.device, s.key, b.hpkeKey(), wire(c, srv), maxParams)
		if err != nil {
			return err
		}
		challenge, err := srv.ChallengeSignAll(ctx, status.KeyID, s.digests, s.options())
		if err != nil {
			return err
		}
		c.step("device: opening its half with the PIN")
		defer c.done()
		signatures, err = d.SignAll(ctx, challenge, s.digests, s.options(), pin)
		return out.explain(err)
	})
	if err != nil {
		return nil, err
	}
	return &device.Request{Digests: s.digests, Options: s.options(), Signatures: signatures}, nil
}

// end cancels the request that was not answered.
func (s *signing) end(ctx context.Context, c *call, status device.KeyStatus) (_ result, err error) {
	if status.Pending == nil {
		return nil, failf("nothing_pending", "", "every request was answered")
	}
	b, err := openBackend(ctx, c, s.server, s.hsm)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := checkServer(s.device, b); err != nil {
		return nil, err
	}
	err = b.with(ctx, c, func(srv *server.Server) error {
		d, err := openDevice(s.device, s.key, b.hpkeKey(), wire(c, srv), maxParams)
		if err != nil {
			return err
		}
		challenge, err := srv.Challenge(ctx, status.KeyID)
		if err != nil {
			return err
		}
		return d.Cancel(ctx, challenge)
	})
	if err != nil {
		return nil, err
	}
	return cancelResult{s.key, true}, nil
}
