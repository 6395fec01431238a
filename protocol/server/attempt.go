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
	*wire.Request
	server *Server
	id     protocol.KeyID
	hash   wire.Hash
	now    int64

	// What the checks have learnt. It stays when the record is loaded again after a lost
	// race: an outcome is found out once and weighed anew.
	authenticated bool
	completer     *splitkey.Completer
	share         *splitkey.ServerShare
	checked       []*splitkey.Checked // one for each document that is right
	outcome       limiter.Outcome     // 0 until the partial signatures were looked at
}

// Causes of refusals.
var (
	errChallenge = errors.New("challenge")
	errMAC       = errors.New("MAC")
	// errHardware is for the right MAC without the hardware's signature.
	errHardware = errors.New("server: not signed by the phone's hardware")
)

// attempt answers every request but an enrolment: checks 2 to 6, then decide.
func (s *Server) attempt(ctx context.Context, o *wire.Opened) (*wire.Answer, error) {
	r, err := wire.ParseRequest(o.Plaintext.Get())
	if err != nil {
		return nil, err
	}
	defer r.Wipe()
	if r.Op != o.Op {
		return nil, fmt.Errorf("%w: two operations", protocol.ErrMalformed)
	}
	now, err := s.checkChallenge(r.Challenge, o.KeyID)
	if err != nil {
		return nil, err
	}
	t := &trial{Request: r, server: s, id: o.KeyID, hash: o.Reply.Request, now: now}
	defer t.wipe()
	d, err := s.update(ctx, t.id, func(rec *record) (decision, error) {
		if err := t.authenticate(ctx, rec); err != nil {
			return decision{}, err
		}
		return t.decide(ctx, rec)
	})
	switch {
	case err == nil && d.sign:
		return t.finish(ctx, d.answer), nil
	case err == nil:
		return d.answer, nil
	case t.authenticated:
		// Whether the attempt was counted is not known: nothing may be told of it. This
		// comes before the cases below: to the device, a record that the store has lost
		// or damaged since is a failure of the server's, and no unknown key.
		return s.later(ctx, t.id, err), nil
	case errors.Is(err, limiter.ErrNotFound):
		t.pretend(ctx)
		return nil, ErrUnknownKey
	case errors.Is(err, ErrRecord):
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	return nil, err
}

// checkChallenge is check 3: it refuses a challenge that is not for this key, not from this
// server, or of the future (the parser checked its purpose). It returns the time that all
// later checks go by, whether the challenge has expired among them.
func (s *Server) checkChallenge(c *wire.Challenge, id protocol.KeyID) (now int64, err error) {
	if now, err = s.now(); err != nil {
		return 0, fmt.Errorf("%w: %w", errInternal, err)
	}
	if c.KeyID != id || !s.challenges.Authentic(c) {
		return 0, fmt.Errorf("%w: %w: not the server's for this key", protocol.ErrMalformed, errChallenge)
	}
	if c.Issued > now+clockSkew.Milliseconds() {
		return 0, fmt.Errorf("%w: %w: of the future", protocol.ErrMalformed, errChallenge)
	}
	return now, nil
}

// authenticate checks that the device sent the request. Until it succeeds nothing may be
// answered.
func (t *trial) authenticate(ctx context.Context, rec *record) error {
	if t.authenticated {
		return nil // neither K_dev nor the hardware key ever changes
	}
	key, err := t.server.config.Sealer.Open(ctx, authKeyAAD(t.id), rec.sealedKey)
	if err != nil {
		return fmt.Errorf("%w: %w", errInternal, err)
	}
	defer clear(key)
	if len(key) != wire.SecretSize {
		return fmt.Errorf("%w: %w: authentication key", errInternal, ErrRecord)
	}
	k := wire.NewSecret(key)
	defer k.Wipe()
	if !t.Authentic(k, t.id) {
		return fmt.Errorf("%w: %w: not the device's", protocol.ErrMalformed, errMAC)
	}
	if !wire.HardwareSigned(rec.hardware, t.id, t.Body.Get(), t.Request.Hardware) {
		return fmt.Errorf("%w: key %v", errHardware, t.id)
	}
	t.authenticated = true
	return nil
}

// pretend does for an unknown key what authenticate does for a known one, with a key of
// nobody's: with a Sealer in an HSM the time for it could be told from its absence over
// the network.
func (t *trial) pretend(ctx context.Context) {
	s := t.server
	sealed := s.nobody.Load()
	if sealed == nil {
		key := wire.DrawSecret()
		defer key.Wipe()
		b, err := s.config.Sealer.Seal(ctx, nobodyAAD, key.Get())
		if err != nil {
			return // known keys cannot be opened either
		}
		sealed = &b
		s.nobody.Store(sealed)
	}
	key, err := s.config.Sealer.Open(ctx, nobodyAAD, *sealed)
	if err != nil {
		s.nobody.CompareAndSwap(sealed, nil) // the sealing key was retired
		return
	}
	defer clear(key)
	k := wire.NewSecret(key)
	defer k.Wipe()
	_ = t.Authentic(k, t.id)
}

var nobodyAAD = []byte("tandem v2 nobody's authentication key")

// wipe clears the share, and what it made of the partial signatures: also where one of
// them was wrong, or the signatures could not be finished.
func (t *trial) wipe() {
	for _, c := range t.checked {
		c.Wipe()
	}
	if t.share != nil {
		t.share.Wipe()
	}
}
