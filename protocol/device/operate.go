package device

import (
	"context"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// operation is what a caller asks of the device.
type operation struct {
	op        protocol.Operation
	challenge []byte
	messages  wire.Messages
	pin       []byte
	newPIN    []byte
}

// operate makes a request, saves it, sends it and acts on the answer; or sends again the
// pending one, if that is what is asked for.
func (d *Device) operate(ctx context.Context, o operation) (*Request, error) {
	s, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if s.phase == Superseded {
		return nil, d.report(ctx, s, o.challenge)
	}
	if err := s.usable(); err != nil {
		return nil, err
	}
	c, err := o.parseChallenge(s.key)
	if err != nil {
		return nil, err
	}
	if p := s.pending; p != nil {
		if o.repeats(p, c) {
			return d.exchange(ctx, s, nil)
		}
		if err := d.makeRoom(ctx, s, c); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.begin(ctx, s, &o, c)
}

// usable returns why there is nothing to operate with, or nil.
func (s *state) usable() error {
	switch s.phase {
	case NoKey:
		return fmt.Errorf("%w: no key", ErrPhase)
	case Enrolling:
		return fmt.Errorf("%w: the enrolment", ErrPending)
	case Dead:
		return &protocol.DestroyedError{Reason: s.reason}
	case Superseded:
		return ErrSuperseded
	}
	return nil
}

// parseChallenge reads the operation's challenge, and refuses one that is for something
// else.
func (o *operation) parseChallenge(k *enrolledKey) (*wire.Challenge, error) {
	if o.challenge == nil && o.op == protocol.OpConfirm {
		if k.challenge == nil {
			return nil, fmt.Errorf("%w: no challenge, and none that came with the answer to the enrolment", protocol.ErrMalformed)
		}
		return k.challenge, nil
	}
	c, err := k.challengeFor(o.challenge)
	switch {
	case err != nil:
		return nil, err
	case (c.Purpose == wire.ForTransaction) != (o.op == protocol.OpSign):
		return nil, fmt.Errorf("%w: the challenge is for another purpose", protocol.ErrMalformed)
	case o.op == protocol.OpSign && c.Binding != o.messages.Binding():
		return nil, fmt.Errorf("%w: the challenge is for other digests, another hash function or another padding", ErrRejected)
	}
	return c, nil
}

// challengeFor parses a challenge that requests of this key may carry: one that names the
// key, and is not for an enrolment.
func (k *enrolledKey) challengeFor(raw []byte) (*wire.Challenge, error) {
	c, err := wire.ParseChallenge(raw)
	if err == nil && (c.KeyID != k.id || c.Purpose == wire.ForEnrolment) {
		err = fmt.Errorf("%w: the challenge is for another key or an enrolment", protocol.ErrMalformed)
	}
	return c, err
}

// repeats reports whether the pending request is this operation, so that it is to be sent
// again.
func (o *operation) repeats(p *pending, c *wire.Challenge) bool {
	return p.op == o.op && p.challenge.Raw == c.Raw && o.messages.AskFor(p.messages) && o.op != protocol.OpChangePIN
}

// makeRoom resolves the pending request in favour of a new one: it is cancelled if that
// was asked for already, or if its challenge had expired when the new one was issued.
func (d *Device) makeRoom(ctx context.Context, s *state, c *wire.Challenge) error {
	if !s.pending.cancel && c.Issued < s.pending.challenge.Expires {
		return ErrPending
	}
	err := d.cancel(ctx, s, c)
	if s.pending == nil && s.usable() == nil {
		return nil // whatever became of it: the caller has given it up
	}
	return err
}
