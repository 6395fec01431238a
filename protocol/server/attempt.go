package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// trial is one request on its way through the checks of docs/protocol.md, section 5.
type trial struct {
	server  *Server
	id      protocol.KeyID
	request *wire.Request
	hash    wire.Hash // of the request, sealed
	now     int64     // what all checks go by

	// What the checks have learnt. It stays when the record is loaded again after a lost
	// race: an outcome is found out once and weighed anew.
	authenticated bool
	secrets       deviceSecrets // once it is authenticated
	completer     *splitkey.Completer
	share         *splitkey.ServerShare
	checked       []*splitkey.Checked // one for each document that is right
	outcome       limiter.Outcome     // 0 until the partial signatures were looked at
}

// answerKeyed answers every request but an enrolment: checks 2 to 18.
func (s *Server) answerKeyed(ctx context.Context, o *wire.Opened, now int64) (*wire.Answer, error) {
	r, err := wire.ParseRequest(o.Plaintext.Get()) // 2
	if err != nil {
		return nil, err
	}
	defer r.Wipe()
	if r.Op != o.Op { // 2
		return nil, fmt.Errorf("%w: two operations", protocol.ErrMalformed)
	}
	if err := s.checkChallenge(r.Challenge, o.Envelope); err != nil { // 3
		return nil, err
	}
	t := &trial{request: r, server: s, id: o.KeyID, hash: o.ResponseKey.Request, now: now}
	defer t.wipe()
	d, err := s.update(ctx, t.id, t.decide) // 4 to 18
	switch {
	case err == nil && d.sign:
		return t.finish(ctx, d.answer), nil // 18
	case err == nil:
		return d.answer, nil
	case t.authenticated:
		// Whether the attempt was counted is not known: nothing may be told of it. This
		// comes before the cases below: to the device, a record that the store has lost
		// or damaged since is a failure of the server's, and no unknown key.
		return s.later(ctx, t.id, err), nil
	case errors.Is(err, limiter.ErrNotFound): // 4
		t.pretend(ctx)
		return nil, ErrUnknownKey
	case errors.Is(err, ErrRecord): // 4
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	return nil, err
}

// wipe clears the share and its keys, and what it made of the partial signatures: also
// where one of them was wrong, or the signatures could not be finished.
func (t *trial) wipe() {
	for _, c := range t.checked {
		c.Wipe()
	}
	if t.share != nil {
		t.share.Wipe()
	}
	t.secrets.wipe()
}
