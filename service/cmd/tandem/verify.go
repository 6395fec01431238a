package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

var verifyCommand = &command{
	name: "verify", args: "-pubkey PEM [-sig SIG] [-pss] [-hash H] FILE",
	about: "verifies a signature",
	help: `
Verify checks the signature in FILE.sig, or where -sig says, of FILE under a public key in PEM. It uses nothing
but crypto/rsa, and takes signatures and keys from anywhere. Hash and padding must be those of the signature.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		var (
			s         scheme
			key, from string
		)
		s.declare(flags)
		flags.StringVar(&key, "pubkey", "", "`file` with the public key, from tandem pubkey")
		flags.StringVar(&from, "sig", "", "`file` with the signature; FILE.sig if empty")
		return func(ctx context.Context, c *call) (result, error) {
			file, err := c.oneFile("to verify")
			if err != nil {
				return nil, err
			}
			if key == "" {
				return nil, usagef("under which key? Give it with -pubkey")
			}
			if err := s.check(); err != nil {
				return nil, err
			}
			if from == "" {
				from = file + ".sig"
			}
			pub, err := readPublicKey(key)
			if err != nil {
				return nil, err
			}
			signature, err := os.ReadFile(from)
			if err != nil {
				return nil, err
			}
			c.step("reading %s", file)
			digest, err := s.digestOf(file)
			if err != nil {
				return nil, err
			}
			if err := s.verify(pub, digest, signature); err != nil {
				return nil, failf("bad_signature", "the file was changed, or key, -hash or -pss are not those of the signature",
					"%s is not a signature of %s: %w", from, file, err)
			}
			_, fingerprint, err := publicPEM(pub)
			return verifyResult{true, file, from, pub.N.BitLen(), s.hash, paddingName(s.options()), fingerprint}, err
		}
	},
}

func readPublicKey(name string) (*rsa.PublicKey, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, failf("bad_key", "tandem pubkey writes one", "%s has no PEM block", name)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if block.Type == "RSA PUBLIC KEY" {
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	}
	if err != nil {
		return nil, failf("bad_key", "tandem pubkey writes one", "%s: %w", name, err)
	}
	pub, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, failf("bad_key", "tandem pubkey writes one", "%s: %w", name, errors.New("not an RSA key"))
	}
	return pub, nil
}

type verifyResult struct {
	Valid         bool   `json:"valid"`
	File          string `json:"file"`
	SignatureFile string `json:"signature_file"`
	Bits          int    `json:"bits"`
	Hash          string `json:"hash"`
	Padding       string `json:"padding"`
	Fingerprint   string `json:"public_key_sha256"`
}

func (r verifyResult) text(w io.Writer) {
	fmt.Fprintf(w, "valid: %s is an RSA-%d signature of %s (%s, %s)\n", r.SignatureFile, r.Bits, r.File, r.Padding, r.Hash)
}
