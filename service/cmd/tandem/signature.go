package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// output is where signatures go. They are written on the way from the server to the
// device: as long as that fails, the device goes on waiting for its answer, and can have
// it again.
type output struct {
	names  []string  // one for each signature
	w      io.Writer // standard output
	public *rsa.PublicKey
	done   int    // signatures that are written
	name   string // of the one that failed
	failed error
}

// signed is the server's Signed. It may be called more than once for the same signatures.
func (o *output) signed(_ context.Context, s server.Signed) error {
	o.failed = nil
	for o.failed == nil && o.done < len(s.Signatures) {
		o.name = o.names[o.done]
		if o.failed = o.write(s.Options, s.Digests[o.done], s.Signatures[o.done]); o.failed == nil {
			o.done++
		}
	}
	return o.failed
}

func (o *output) write(opts crypto.SignerOpts, digest, signature []byte) error {
	// The server has verified it, under its own record of the key. This one is the
	// device's.
	if err := verify(o.public, opts, digest, signature); err != nil {
		return fmt.Errorf("the server's signature is not one under this public key: %w", err)
	}
	if o.name == standard {
		_, err := o.w.Write(signature)
		return err
	}
	err := writeNew(o.name, signature, publicMode)
	if errors.Is(err, fs.ErrExist) {
		// Written by a run that was killed before the device had its answer.
		if same(o.name, signature) {
			return nil
		}
	}
	return err
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
	if err == nil || o.failed == nil || !errors.Is(err, device.ErrUnanswered) {
		return err
	}
	const next = "make room, or give another name with -o, and run the same command again: it needs no PIN, and counts once"
	if errors.Is(o.failed, fs.ErrExist) {
		return failf("exists", next, "the signature is made, but %s exists already", o.name)
	}
	return failf("output", next, "the signature is made, but could not be written to %s: %w", o.name, plain(o.failed))
}

func checkAllNew(names []string) error {
	for _, name := range names {
		if err := checkNew(name); err != nil {
			return err
		}
	}
	return nil
}

func samePadding(a, b crypto.SignerOpts) bool {
	_, pssA := a.(*rsa.PSSOptions)
	_, pssB := b.(*rsa.PSSOptions)
	return pssA == pssB && a.HashFunc() == b.HashFunc()
}

// signResult has the one signature in itself, or several in a list.
type signResult struct {
	Key     string `json:"key"`
	ID      string `json:"id"`
	Hash    string `json:"hash"`
	Padding string `json:"padding"`
	*signedFile
	Signatures []signedFile `json:"signatures,omitempty"`
	Resumed    bool         `json:"resumed"`
}

type signedFile struct {
	File          string `json:"file,omitempty"`
	Digest        string `json:"digest"`
	Code          string `json:"verification_code"`
	Signature     string `json:"signature"`
	SignatureFile string `json:"signature_file"`

	bits int
}

func (r *signResult) describe(done *device.Request, files, outputs []string) {
	r.Hash, r.Padding = hashName(done.Options.HashFunc()), paddingName(done.Options)
	var all []signedFile
	for i, signature := range done.Signatures {
		f := signedFile{
			Digest: hex.EncodeToString(done.Digests[i]), Code: protocol.VerificationCode(done.Digests[i]),
			Signature: base64.StdEncoding.EncodeToString(signature), SignatureFile: outputs[i], bits: 8 * len(signature),
		}
		if len(files) > 0 {
			f.File = files[i]
		}
		all = append(all, f)
	}
	if len(all) == 1 {
		r.signedFile = &all[0]
	} else {
		r.Signatures = all
	}
}

func (r *signResult) text(w io.Writer) {
	all := r.Signatures
	if r.signedFile != nil {
		all = []signedFile{*r.signedFile}
	}
	for _, f := range all {
		if f.SignatureFile != standard { // else it is on w
			fmt.Fprintf(w, "%s: RSA-%d signature, %s, %s\n", f.SignatureFile, f.bits, r.Padding, r.Hash)
		}
	}
}

type cancelResult struct {
	Key       string `json:"key"`
	Cancelled bool   `json:"cancelled"`
}

func (r cancelResult) text(w io.Writer) {
	fmt.Fprintf(w, "The request with the key %q is cancelled: it was not carried out, and never will be.\n", r.Key)
}
