package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
)

var pubkeyCommand = &command{
	name: "pubkey", args: "-device DIR [-key auth] [-o FILE]",
	about: "prints a public key as PEM",
	help: `
Pubkey prints the public key that signatures verify under, as a SubjectPublicKeyInfo in PEM. It
looks at the device's folder only.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		var (
			f        folders
			key, out string
		)
		f.declareDevice(flags)
		flags.StringVar(&key, "key", pin2Key, "which `key`, auth or sign")
		flags.StringVar(&out, "o", "", "`file` to write, which must not exist; standard output if empty or -")
		return func(ctx context.Context, c *call) (result, error) {
			f.fill(c)
			if err := errors.Join(c.noFiles(), f.needDevice(), checkKeyName(key)); err != nil {
				return nil, err
			}
			hpkeKey, err := readHPKEKey(f.device)
			if err != nil {
				return nil, err
			}
			status, err := look(f.device, key, hpkeKey)
			if err != nil {
				return nil, err
			}
			if status.Phase == device.Dead {
				return nil, &protocol.DestroyedError{Reason: status.Reason}
			}
			if status.PublicKey == nil {
				return nil, failf("not_enrolled", "tandem enroll -device "+quote(f.device)+" -key "+key, "the device in %s has no key %q", f.device, key)
			}
			k, err := newKeyResult(key, status)
			if err != nil {
				return nil, err
			}
			text, _, err := publicPEM(status.PublicKey)
			if err != nil {
				return nil, err
			}
			if out == standard {
				out = ""
			}
			if out != "" {
				if err := checkNew(out); err != nil {
					return nil, err
				}
				if err := writeNew(out, text, publicMode); err != nil {
					return nil, cannotWrite(out, err)
				}
			}
			return pubkeyResult{k, string(text), out}, nil
		}
	},
}

type pubkeyResult struct {
	keyResult
	PEM string `json:"pem"`
	out string
}

func (r pubkeyResult) text(w io.Writer) {
	if r.out != "" {
		fmt.Fprintf(w, "%s: RSA-%d public key\n", r.out, r.Bits)
		return
	}
	fmt.Fprint(w, r.PEM)
}
