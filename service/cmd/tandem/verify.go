package main

import (
	"context"
	"flag"
	"fmt"
	"io"
)

var verifyCommand = &command{
	name: "verify", args: "-pubkey KEY [-sig SIG] [-pss] [-hash H] FILE",
	about: "verifies a signature",
	help: `
Verify checks the signature in FILE.sig, or where -sig says, of FILE under a public key. It uses
nothing but crypto/rsa, and takes signatures and keys from anywhere: a public key or a certificate
in PEM or DER, or a JWK. Of a certificate it uses the key, and does not ask who issued it or until
when it is valid. Hash and padding must be those of the signature. FILE, -sig or -pubkey may be -,
standard input.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		var (
			s         scheme
			key, from string
		)
		s.declare(flags)
		flags.StringVar(&key, "pubkey", "", "`file` with the public key, from tandem pubkey, or a certificate")
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
				if file == standard {
					return nil, errNoName("-sig", "the signature is")
				}
				from = file + ".sig"
			}
			if err := oneStandardInput(file, from, key); err != nil {
				return nil, err
			}
			text, err := readSmall(ctx, c, key, maxKeyFile, tooLong(key, "a public key"))
			if err != nil {
				return nil, err
			}
			pub, use, err := parsePublicKey(key, text)
			if err != nil {
				return nil, err
			}
			if err := use.allows(&s); err != nil {
				return nil, err
			}
			signature, err := readSmall(ctx, c, from, maxSignatureFile, failf("bad_signature", "give the file with the signature alone, raw bytes",
				"%s is too long to be an RSA signature", display(from)))
			if err != nil {
				return nil, err
			}
			if len(signature) != pub.Size() {
				return nil, failf("bad_signature", "give the file with the signature alone, raw bytes, and the key that it was made with",
					"%s has %d bytes, and a signature of this key has %d", display(from), len(signature), pub.Size())
			}
			c.step("reading %s", display(file))
			digest, err := s.digestOf(ctx, c, file)
			if err != nil {
				return nil, err
			}
			if err := verify(pub, s.options(), digest, signature); err != nil {
				return nil, failf("bad_signature", "the file was changed, or key, -hash or -pss are not those of the signature",
					"%s is not a signature of %s: %w", display(from), display(file), err)
			}
			_, fingerprint, err := publicPEM(pub)
			return verifyResult{true, file, from, pub.N.BitLen(), s.hash, paddingName(s.options()), fingerprint}, err
		}
	},
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
	fmt.Fprintf(w, "valid: %s is an RSA-%d signature of %s (%s, %s)\n", display(r.SignatureFile), r.Bits, display(r.File), r.Padding, r.Hash)
}
