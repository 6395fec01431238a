package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/subtle"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Sign is [Device.SignAll] for one digest, with a challenge from server.Server.ChallengeSign.
func (d *Device) Sign(ctx context.Context, challenge, digest []byte, opts crypto.SignerOpts, pin []byte) ([]byte, error) {
	signatures, err := d.SignAll(ctx, challenge, [][]byte{digest}, opts, pin)
	if err != nil {
		return nil, err
	}
	return signatures[0], nil
}

// SignAll makes signatures of 1 to [protocol.MaxDocuments] digests, together with the server, for one PIN: all
// or none. challenge, digests and opts are what the service handed out, from server.Server.ChallengeSignAll.
// The user has been shown the [protocol.VerificationCode] of each digest before. The signatures are verified
// before they are returned.
//
// Answers of the server: a [*limiter.WrongPINError], a [*limiter.LockedError], a [*protocol.DestroyedError],
// [ErrExpired], [ErrUnconfirmed], [ErrRejected], [ErrSuperseded]. [ErrRejected] is also what the device
// says by itself of digests, a hash function or a padding that the challenge is not for.
//
// If there is no answer the error wraps [ErrUnanswered], and the request, which is saved, is sent
// again by [Device.Resume] or by SignAll with the same challenge, digests and options: neither looks
// at the PIN again. With anything else SignAll returns [ErrPending] then, until [Device.Cancel] was
// called, or the challenge of the request that is waiting had expired when the new one was issued: then
// the device cancels that request first.
//
// If ctx is done before anything was sent, nothing is pending.
//
// Errors of this call alone: [ErrNotEnrolled], [ErrBusy], [ErrStorage], [ErrHardware],
// [pinlock.ErrPINFormat], [protocol.ErrMalformed] for the challenge, splitkey.ErrMessage for the digests, and
// those of the state.
func (d *Device) SignAll(ctx context.Context, challenge []byte, digests [][]byte, opts crypto.SignerOpts, pin []byte) ([][]byte, error) {
	m, err := wire.NewMessages(digests, opts)
	if err != nil {
		return nil, err
	}
	r, err := d.operate(ctx, operation{op: protocol.OpSign, challenge: challenge, messages: m, pin: pin})
	if err != nil {
		return nil, err
	}
	return r.Signatures, nil
}

// Confirm proves that the key and the PIN work, by a signature that is good for nothing else. The PIN is
// asked for again, so that one which was mistyped twice the same way is the only mistake that goes
// unnoticed. Until then the server signs nothing, and after a while it forgets the key.
//
// challenge comes from server.Server.Challenge. nil means the one that came with the answer to the
// enrolment, which lives as long as others do. Errors are as for [Device.SignAll].
func (d *Device) Confirm(ctx context.Context, challenge, pin []byte) error {
	_, err := d.operate(ctx, operation{op: protocol.OpConfirm, challenge: challenge, pin: pin})
	return err
}

// Refresh changes the token that makes copies of the device detectable, without a PIN. An app calls it
// in the background now and then. challenge comes from server.Server.Challenge. Errors are as for
// [Device.SignAll].
func (d *Device) Refresh(ctx context.Context, challenge []byte) error {
	_, err := d.operate(ctx, operation{op: protocol.OpRefresh, challenge: challenge})
	return err
}

// ChangePIN proves the old PIN by a signature that is good for nothing else, and then locks the share
// under the new one. challenge comes from server.Server.Challenge. A wrong old PIN counts, and changes nothing.
//
// If there is no answer (ErrUnanswered) the old PIN stays, and the caller starts over after
// [Device.Resume] or [Device.Cancel]: no lockbox under the new PIN is stored before the old one is
// proved, since two lockboxes of one share give both PINs away.
//
// Where the process ends meanwhile, or the state cannot be saved at the end, Resume tells which of the
// two holds: with [ErrPINUnchanged] it is the old one, and with [ErrNothingPending] the new one, unless
// the server was never asked.
//
// Errors are as for [Device.SignAll], those of [pinlock.CheckPIN] for the new PIN, and [ErrSamePIN].
func (d *Device) ChangePIN(ctx context.Context, challenge, oldPIN, newPIN []byte) error {
	if err := pinlock.CheckPIN(newPIN); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(oldPIN, newPIN) == 1 {
		return ErrSamePIN
	}
	_, err := d.operate(ctx, operation{op: protocol.OpChangePIN, challenge: challenge, pin: oldPIN, newPIN: newPIN})
	return err
}

// operation is what a caller asks of the device.
type operation struct {
	op        protocol.Operation
	challenge []byte
	messages  wire.Messages
	pin       []byte
	newPIN    []byte
}

// repeats reports whether the pending request is this operation, so that it is to be sent again.
func (o *operation) repeats(p *pending, c *wire.Challenge) bool {
	return p.op == o.op && p.challenge.Raw == c.Raw && o.messages.AskFor(p.messages) && o.op != protocol.OpChangePIN
}

// operate makes a request, saves it, sends it and acts on the answer.
func (d *Device) operate(ctx context.Context, o operation) (result *Result, err error) {
	if err := d.made(ctx); err != nil {
		return nil, err
	}
	err = d.exclusively(func(s *state) error {
		if s.phase == Superseded {
			return d.report(ctx, s, o.challenge)
		}
		if err := s.usable(); err != nil {
			return err
		}
		c, err := o.parse(s.key)
		if err != nil {
			return err
		}
		if p := s.pending; p != nil {
			if o.repeats(p, c) {
				result, err = d.finish(ctx, s, nil)
				return err
			}
			if err := d.makeRoom(ctx, s, c); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		before := *s
		share, err := d.make(s, o, c)
		if share != nil {
			defer share.Wipe()
		}
		if err != nil {
			return err
		}
		if err := d.saveUnsent(ctx, s, &before); err != nil {
			return err
		}
		var right func() error
		if o.newPIN != nil {
			right = func() error { return d.relock(s, share, o.newPIN) }
		}
		result, err = d.finish(ctx, s, right)
		return err
	})
	return result, err
}

// parse reads the operation's challenge, and refuses one that is for something else.
func (o *operation) parse(k *enrolledKey) (*wire.Challenge, error) {
	if o.challenge == nil && o.op == protocol.OpConfirm {
		if o.challenge = k.challenge; len(o.challenge) == 0 {
			return nil, fmt.Errorf("%w: no challenge, and none came with the answer to the enrolment or it was used", protocol.ErrMalformed)
		}
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

// makeRoom resolves the pending request in favour of a new one: it is cancelled if that was
// asked for already, or if its challenge had expired when the new one was issued.
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

// saveUnsent saves a request that was not sent. If the caller wants it no more, nothing is pending.
func (d *Device) saveUnsent(ctx context.Context, s, before *state) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.save(s); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		if saveErr := d.save(before); saveErr != nil {
			return fmt.Errorf("%w: %w", err, saveErr)
		}
		return err
	}
	return nil
}

// usable returns why there is nothing to operate with, or nil.
func (s *state) usable() error {
	switch s.phase {
	case NoKey:
		return ErrNotEnrolled
	case Enrolling:
		return fmt.Errorf("%w: the enrolment", ErrPending)
	case Dead:
		return &protocol.DestroyedError{Reason: s.reason}
	case Superseded:
		return ErrSuperseded
	}
	return nil
}

// make makes the request and puts it into the state. It returns the share that the PIN opened.
func (d *Device) make(s *state, o operation, c *wire.Challenge) (*splitkey.ClientShare, error) {
	k := s.key
	signer, err := d.signer(k)
	if err != nil {
		return nil, err
	}
	next := wire.DrawSecret()
	r := &wire.Request{Op: o.op, Challenge: c, Number: k.number + 1, Token: k.token, Chain: k.chain, Target: next.Commitment(), Messages: o.messages}
	var share *splitkey.ClientShare
	if o.op != protocol.OpRefresh {
		if share, err = d.sign(k, r, o); err != nil {
			return share, err
		}
	}
	defer wire.ClearAll(r.Partials)
	plaintext, err := r.Encode(k.authKey, k.id, signer)
	if err != nil {
		return share, err
	}
	defer clear(plaintext)
	sealed, reply, err := d.seal(s, o.op, k.id, plaintext)
	if err != nil {
		return share, err
	}
	s.pending = &pending{op: o.op, challenge: c, messages: r.Messages, salts: r.Salts, next: next, request: sealed, secret: reply.Secret}
	if o.op != protocol.OpSign {
		s.pending.salts = nil
	}
	return share, nil
}

// sign makes the partial signatures.
func (d *Device) sign(k *enrolledKey, r *wire.Request, o operation) (*splitkey.ClientShare, error) {
	box, err := pinlock.ParseLockbox(k.lockbox)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	signed := r.Signed()
	final, err := k.finalKey()
	if err != nil {
		return nil, err
	}
	encoded := make([]*splitkey.Message, len(signed.Digests))
	for i, digest := range signed.Digests {
		if encoded[i], err = final.Encode(digest, signed.Options()); err != nil {
			return nil, err
		}
		salt := encoded[i].Salt()
		if len(salt) > wire.MaxSalt {
			return nil, fmt.Errorf("%w: a salt of %d bytes", splitkey.ErrMessage, len(salt))
		}
		r.Salts, r.Messages.SaltLength = append(r.Salts, salt), len(salt)
	}
	share, err := box.Unlock(o.pin, d.config.Limit)
	if err != nil {
		return nil, err
	}
	for _, m := range encoded {
		y, err := share.SignPartial(m)
		if err != nil {
			return share, err
		}
		r.Partials = append(r.Partials, y)
	}
	return share, nil
}

// relock puts the share, which the server has just found right, under a new PIN.
func (d *Device) relock(s *state, share *splitkey.ClientShare, newPIN []byte) error {
	box, err := pinlock.Lock(share, newPIN, d.config.Params)
	if err != nil {
		return err
	}
	lockbox, err := box.MarshalBinary()
	if err != nil {
		return err
	}
	s.key.lockbox = bytes.Clone(lockbox)
	return nil
}
