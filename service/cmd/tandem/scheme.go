package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // what scheme names
	_ "crypto/sha3"
	_ "crypto/sha512"
	"flag"
	"io"
	"strings"
)

// scheme is a hash function and a padding.
type scheme struct {
	hash string
	pss  bool
}

var hashNames = []struct {
	name string
	hash crypto.Hash
}{
	{"sha256", crypto.SHA256}, {"sha384", crypto.SHA384}, {"sha512", crypto.SHA512},
	{"sha3-256", crypto.SHA3_256}, {"sha3-384", crypto.SHA3_384}, {"sha3-512", crypto.SHA3_512},
}

func (s *scheme) declare(flags *flag.FlagSet) {
	flags.StringVar(&s.hash, "hash", "sha256", "`hash` function: sha256, sha384, sha512, sha3-256, sha3-384, sha3-512")
	flags.BoolVar(&s.pss, "pss", false, "RSASSA-PSS, with a salt as long as the hash, in place of PKCS #1 v1.5")
}

func (s *scheme) check() error {
	if s.hashFunc() == 0 {
		return usagef("-hash is sha256, sha384, sha512, sha3-256, sha3-384 or sha3-512, not %q", s.hash)
	}
	return nil
}

func (s *scheme) hashFunc() crypto.Hash {
	for _, h := range hashNames {
		if h.name == s.hash {
			return h.hash
		}
	}
	return 0
}

func (s *scheme) options() crypto.SignerOpts {
	if s.pss {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hashFunc()}
	}
	return s.hashFunc()
}

// digestOf reads a file of any length, piece by piece.
func (s *scheme) digestOf(ctx context.Context, c *call, file string) ([]byte, error) {
	return read(ctx, c, file, func(r io.Reader) ([]byte, error) {
		h := s.hashFunc().New()
		_, err := io.Copy(h, r)
		return h.Sum(nil), err
	})
}

// verify returns nil if the signature is right. It knows nothing of split keys.
func verify(pub *rsa.PublicKey, opts crypto.SignerOpts, digest, signature []byte) error {
	if _, ok := opts.(*rsa.PSSOptions); ok {
		return rsa.VerifyPSS(pub, opts.HashFunc(), digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
	}
	return rsa.VerifyPKCS1v15(pub, opts.HashFunc(), digest, signature)
}

func hashName(h crypto.Hash) string {
	for _, known := range hashNames {
		if known.hash == h {
			return known.name
		}
	}
	return h.String()
}

func paddingName(opts crypto.SignerOpts) string {
	if _, ok := opts.(*rsa.PSSOptions); ok {
		return "pss"
	}
	return "pkcs1v15"
}

// quote makes a word of a POSIX shell's command line.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:=@%,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// opensslVerify is the command with which somebody who has never heard of tandem
// verifies.
func (s *scheme) opensslVerify(publicKey, signature, file string) string {
	line := "openssl dgst -" + s.hash
	if s.pss {
		line += " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sigopt rsa_mgf1_md:" + s.hash
	}
	// A name with a dash in front is no option.
	if strings.HasPrefix(file, "-") {
		file = "./" + file
	}
	return line + " -verify " + quote(publicKey) + " -signature " + quote(signature) + " " + quote(file)
}
