// Package hsmsigner signs with an RSA key in a PKCS #11 token as a [crypto.Signer]: as
// the key of a root or of an issuing CA, for package ca.
//
// # Security
//
// The token does the private operation and nothing else. What it returns is checked
// against the public key, so a token that fails gives nothing of the key away. The
// padding is EMSA-PKCS1-v1_5 (RFC 8017, section 9.2): RSASSA-PSS would need randomness
// here, and not every verifier of certificates knows it.
//
// # Timing
//
// Digests and signatures are public. The time of the token's operation is the token's.
package hsmsigner

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// ErrUnsupported is wrapped by the errors of [Signer.Sign] for what this key does not
// sign: a digest of another length than its hash's, RSASSA-PSS, and hashes beside
// SHA-256, SHA-384 and SHA-512.
var ErrUnsupported = errors.New("hsmsigner: not signed by this key")

// Signer is a key in a token. It is safe for concurrent use.
type Signer struct{ key *hsm.Key }

var (
	_ crypto.Signer  = (*Signer)(nil)
	_ observe.Pinger = (*Signer)(nil)
)

// New returns the signer of a key. The error is for no key.
func New(key *hsm.Key) (*Signer, error) {
	if p, ok := key.Public().(*rsa.PublicKey); !ok || p == nil {
		return nil, errors.New("hsmsigner: no key")
	}
	return &Signer{key}, nil
}

// Public returns an *rsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey {
	if s == nil {
		return (*rsa.PublicKey)(nil)
	}
	return s.key.Public()
}

// Sign signs a digest: PKCS #1 v1.5. The first argument is not used. How long it may take
// is the token's configuration.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s == nil || s.key == nil || opts == nil {
		return nil, fmt.Errorf("%w: no key, or no hash", ErrUnsupported)
	}
	hash := opts.HashFunc()
	prefix, ok := prefixes[hash]
	if _, pss := opts.(*rsa.PSSOptions); pss || !ok || len(digest) != hash.Size() {
		return nil, fmt.Errorf("%w: a digest of %d bytes by %v", ErrUnsupported, len(digest), hash)
	}
	size := s.Public().(*rsa.PublicKey).Size()
	// 00 01 FF .. FF 00 DigestInfo. A token has keys of 2048 bits or more, so there is
	// room for it.
	message := bytes.Repeat([]byte{0xff}, size)
	info := append(bytes.Clone(prefix), digest...)
	message[0], message[1], message[size-len(info)-1] = 0, 1, 0
	copy(message[size-len(info):], info)
	return s.key.Exponentiate(context.Background(), message)
}

// Ping asks the token whether it has the key, and uses none.
func (s *Signer) Ping(ctx context.Context) error {
	if s == nil || s.key == nil {
		return fmt.Errorf("%w: no key", ErrUnsupported)
	}
	return s.key.Ping(ctx)
}

// prefixes are the DER of a DigestInfo before its digest: RFC 8017, section 9.2, note 1.
var prefixes = map[crypto.Hash][]byte{
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
	crypto.SHA384: {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30},
	crypto.SHA512: {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
}
