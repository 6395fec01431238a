package splitkey

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"io"
)

// CompleteFunc asks the server to complete a partial signature: [Completer.Complete],
// or a call over the network.
type CompleteFunc func(ctx context.Context, m *Message, partial []byte) ([]byte, error)

// Signer is a [crypto.Signer] whose key is split: for crypto/x509, crypto/tls and
// whatever else takes one. It is safe for concurrent use if the server's side is.
type Signer struct {
	key    *FinalKey
	share  *ClientShare
	server CompleteFunc
}

var _ crypto.Signer = (*Signer)(nil)

// NewSigner returns a signer for the final key of a share. Whether the two belong together,
// and whether there is a server, each call of Sign says.
func NewSigner(key *FinalKey, share *ClientShare, server CompleteFunc) *Signer {
	return &Signer{key: key, share: share, server: server}
}

// Public returns a copy of the final key, an *[rsa.PublicKey], nil if there is none.
func (s *Signer) Public() crypto.PublicKey {
	if s == nil {
		return (*rsa.PublicKey)(nil)
	}
	return s.key.PublicKey()
}

// Sign signs a digest as [Encode] describes. It ignores rand: the only random bytes are
// the salt's, from crypto/rand. The signature is verified before it is returned.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.SignContext(context.Background(), digest, opts)
}

// SignContext is Sign with a context, which is passed to the server's side. It
// returns the errors of [Encode], of [ClientShare.SignPartial] and of the server's side, and [ErrSignature] where the server's answer does not verify.
func (s *Signer) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s == nil || s.share == nil || s.server == nil {
		return nil, fmt.Errorf("%w: signer without share or server", ErrShare)
	}
	m, err := Encode(s.key, digest, opts)
	if err != nil {
		return nil, err
	}
	partial, err := s.share.SignPartial(m)
	if err != nil {
		return nil, err
	}
	defer clear(partial)
	sig, err := s.server(ctx, m, partial)
	if err != nil {
		return nil, err
	}
	if err := m.Verify(sig); err != nil {
		return nil, err
	}
	return sig, nil
}

// Format prints the size of the key, for every verb.
func (s Signer) Format(f fmt.State, _ rune) {
	if !s.key.valid() {
		fmt.Fprint(f, "splitkey.Signer(invalid)")
		return
	}
	fmt.Fprintf(f, "splitkey.Signer(%d bits, secret hidden)", s.key.pub.N.BitLen())
}
