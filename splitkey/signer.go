package splitkey

import (
	"context"
	"crypto"
	"fmt"
	"io"
)

// signer is a crypto.Signer whose key is split.
type signer struct {
	ctx    context.Context
	key    *FinalKey
	share  *ClientShare
	server func(ctx context.Context, m *Message, partial []byte) ([]byte, error)
}

// Signer returns a signer for a final key of the share, for crypto/x509, crypto/tls and
// the like. It is safe for concurrent use if the server's side is.
//
// The server's side completes a partial signature, over the network or with a
// [Completer]; it gets ctx each time. Only Sign reports a key of another share, or a
// server that is missing. It returns the errors of [FinalKey.Encode], of
// [ClientShare.SignPartial] and of the server's side, and [ErrSignature] where the
// returned signature does not verify.
func (c *ClientShare) Signer(ctx context.Context, key *FinalKey,
	server func(ctx context.Context, m *Message, partial []byte) ([]byte, error)) crypto.Signer {
	return &signer{ctx, key, c, server}
}

// Public returns a copy of the final key, an *[rsa.PublicKey], nil if there is none.
func (s *signer) Public() crypto.PublicKey { return s.key.PublicKey() }

// Sign signs a digest as FinalKey.Encode describes. It ignores the reader: the only
// random bytes are the salt's, from crypto/rand.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.share == nil || s.server == nil || s.ctx == nil {
		return nil, fmt.Errorf("%w: signer without share, server or context", ErrShare)
	}
	m, err := s.key.Encode(digest, opts)
	if err != nil {
		return nil, err
	}
	partial, err := s.share.SignPartial(m)
	if err != nil {
		return nil, err
	}
	defer clear(partial)
	sig, err := s.server(s.ctx, m, partial)
	if err != nil {
		return nil, err
	}
	if err := m.Verify(sig); err != nil {
		return nil, err
	}
	return sig, nil
}

// Format prints the size of the key, for every verb.
func (s signer) Format(f fmt.State, _ rune) { format(f, "Signer", s.key.bits(), "") }
