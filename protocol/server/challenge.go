package server

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// ChallengeEnroll draws the id of a new key and a challenge for its enrolment, of
// [protocol.ChallengeSize] bytes. The service calls it for a user whom it has identified:
// whoever has the challenge can enrol one key, under this id.
func (s *Server) ChallengeEnroll(ctx context.Context) (protocol.KeyID, []byte, error) {
	if err := s.made(ctx); err != nil {
		return protocol.KeyID{}, nil, err
	}
	var id protocol.KeyID
	rand.Read(id[:])
	return id, s.issue(wire.ForEnrolment, id, wire.Hash{}), nil
}

// ChallengeSign is [Server.ChallengeSignAll] for one digest.
func (s *Server) ChallengeSign(ctx context.Context, id protocol.KeyID, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.ChallengeSignAll(ctx, id, [][]byte{digest}, opts)
}

// ChallengeSignAll returns a challenge for a transaction: for signatures of these 1 to
// [protocol.MaxDocuments] digests, in this order, by this key, padded as opts says (see
// [splitkey.FinalKey.Encode]; the device chooses the length of a PSS salt). It says for
// which transaction the signatures are, so the service hands out challenge, digests and
// options together. A device that asks twice while the challenge lives, with the PIN,
// gets two signatures of each digest, which differ in their PSS salt only.
//
// ChallengeSignAll does not ask the store, so an unknown id is no error. The error is
// splitkey.ErrMessage for digests or options that cannot be signed.
func (s *Server) ChallengeSignAll(ctx context.Context, id protocol.KeyID, digests [][]byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := s.made(ctx); err != nil {
		return nil, err
	}
	m, err := wire.NewMessages(digests, opts)
	if err != nil {
		return nil, err
	}
	return s.issue(wire.ForTransaction, id, m.Binding()), nil
}

// Challenge returns a challenge for Confirm, Refresh, ChangePIN, Cancel and Report of a
// device.Device, with which nothing can be signed. It is no secret: anybody who asks may
// have one. It does not ask the store, so an unknown id is no error.
func (s *Server) Challenge(ctx context.Context, id protocol.KeyID) ([]byte, error) {
	if err := s.made(ctx); err != nil {
		return nil, err
	}
	return s.issue(wire.ForOwnUse, id, wire.Hash{}), nil
}

func (s *Server) issue(p wire.Purpose, id protocol.KeyID, binding wire.Hash) []byte {
	return s.challenges.Issue(p, id, s.config.Clock(), s.config.ChallengeLife, binding)
}

// errChallenge is the cause of a refusal.
var errChallenge = errors.New("challenge")

// What check 1 refuses of a stranger costs little: these are made once.
var (
	errTicket = fmt.Errorf("%w: %w: its ticket is not the server's", protocol.ErrMalformed, errChallenge)
	errFuture = fmt.Errorf("%w: %w: of the future", protocol.ErrMalformed, errChallenge)
)

// checkTicket is in check 1, before anything is decrypted: it refuses a ticket that is
// not from this server, or of the future. An old one passes: what the request hears then
// depends on the record.
func (s *Server) checkTicket(t *wire.Ticket, now int64) error {
	if !s.challenges.AuthenticTicket(t) {
		return errTicket
	}
	if t.Issued() > now+clockSkew.Milliseconds() {
		return errFuture
	}
	return nil
}

// checkChallenge is check 3: it refuses a challenge that is not from this server, or not
// the one whose ticket stands in the envelope. (The parser checked its purpose.)
func (s *Server) checkChallenge(c *wire.Challenge, e *wire.Envelope) error {
	if *c.Ticket() != e.Ticket || !s.challenges.Authentic(c) {
		return fmt.Errorf("%w: %w: not the server's for this request", protocol.ErrMalformed, errChallenge)
	}
	return nil
}
