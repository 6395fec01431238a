package protocol

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"strconv"
	"strings"
)

// hashes are what package splitkey signs with.
var hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512}

const (
	pkcs1v15 = "pkcs1v15"
	pss      = "pss"
	maxSalt  = 1024 // bytes, as docs/protocol.md has it
)

// FormatOptions writes how digests are signed as a text, with which a service says to
// an app what a challenge is for: beside the challenge and the digests, in JSON or a
// header.
//
//	pkcs1v15/SHA-256    PKCS #1 v1.5
//	pss/SHA-256         PSS, with a salt as long as the hash
//	pss/SHA-256/20      PSS, with a salt of 20 bytes
//
// The hash is SHA-256, SHA-384, SHA-512, SHA3-256, SHA3-384 or SHA3-512. Options that
// mean the same have the same text. The error is [ErrMalformed] for what no key signs
// with: nil, another hash, a salt longer than 1024 bytes or of a negative length.
func FormatOptions(opts crypto.SignerOpts) (string, error) {
	p, isPSS := opts.(*rsa.PSSOptions)
	if opts == nil || isPSS && p == nil {
		return "", fmt.Errorf("%w: no options", ErrMalformed)
	}
	for _, h := range hashes {
		switch {
		case h != opts.HashFunc():
		case !isPSS:
			return pkcs1v15 + "/" + h.String(), nil
		case p.SaltLength == rsa.PSSSaltLengthAuto, p.SaltLength == rsa.PSSSaltLengthEqualsHash, p.SaltLength == h.Size():
			return pss + "/" + h.String(), nil
		case p.SaltLength > 0 && p.SaltLength <= maxSalt:
			return pss + "/" + h.String() + "/" + strconv.Itoa(p.SaltLength), nil
		}
	}
	return "", fmt.Errorf("%w: options that no key signs with", ErrMalformed)
}

// ParseOptions reads what [FormatOptions] writes, and nothing else: the error is
// [ErrMalformed]. The options are a [crypto.Hash] or an *[rsa.PSSOptions].
func ParseOptions(text string) (crypto.SignerOpts, error) {
	padding, rest, _ := strings.Cut(text, "/")
	name, salt, _ := strings.Cut(rest, "/")
	var opts crypto.SignerOpts
	for _, h := range hashes {
		switch {
		case h.String() != name:
		case padding == pss && salt == "":
			opts = &rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthEqualsHash}
		case padding == pss:
			length, _ := strconv.Atoi(salt)
			opts = &rsa.PSSOptions{Hash: h, SaltLength: length}
		default:
			opts = h
		}
	}
	if again, err := FormatOptions(opts); err != nil || again != text {
		return nil, fmt.Errorf("%w: %q is not how a digest is signed", ErrMalformed, shortened(text))
	}
	return opts, nil
}

// shortened bounds what a stranger's text makes of an error.
func shortened(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
