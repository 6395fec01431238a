package protocol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/subtle"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Sign makes a signature of digest, together with the server. challenge, digest and opts are what the service
// handed out, from [Server.ChallengeSign]. The user has been shown the [VerificationCode] of the digest before.
// The signature is verified before it is returned.
//
// Answers of the server: a [*pinlock.WrongPINError], a [*pinlock.LockedError], a [*DestroyedError], [ErrExpired],
// [ErrUnconfirmed], [ErrRejected].
//
// If there is no answer the error wraps [ErrUnanswered], and the request, which is saved, is sent again by
// [Device.Resume] or by Sign with the same challenge, digest and options: neither looks at
// the PIN again. Sign of anything else returns [ErrPending] then, until the challenge
// of the request that is waiting has expired or [Device.GiveUp] was called.
//
// Errors of this call alone: [ErrNotEnrolled], [ErrBusy], [ErrState], [pinlock.ErrPINFormat],
// [ErrMalformed] for the challenge, splitkey.ErrMessage for the digest, and those of the state.
func (d *Device) Sign(ctx context.Context, challenge, digest []byte, opts crypto.SignerOpts, pin []byte) ([]byte, error) {
	if err := d.made(ctx); err != nil {
		return nil, err
	}
	t, err := newText(digest, opts)
	if err != nil {
		return nil, err
	}
	r, err := d.operate(ctx, OpSign, challenge, t, opts, pin, nil)
	if err != nil {
		return nil, err
	}
	return r.Signature, nil
}

// Confirm proves that the key and the PIN work, by a signature that is good for nothing else. The PIN is asked for again, so
// that one which was mistyped twice the same way is the only mistake that goes unnoticed. Until then the server signs nothing, and after a while
// it forgets the key.
//
// challenge comes from [Server.Challenge]. nil means the one that came with the answer to the
// enrolment, which lives as long as others do. Errors are as for [Device.Sign].
func (d *Device) Confirm(ctx context.Context, challenge, pin []byte) error {
	if err := d.made(ctx); err != nil {
		return err
	}
	_, err := d.operate(ctx, OpConfirm, challenge, text{}, nil, pin, nil)
	return err
}

// Refresh changes the token that makes copies of the device detectable, without a PIN. An app calls it
// in the background now and then. challenge comes from [Server.Challenge]. Errors are as for [Device.Sign].
func (d *Device) Refresh(ctx context.Context, challenge []byte) error {
	if err := d.made(ctx); err != nil {
		return err
	}
	_, err := d.operate(ctx, OpRefresh, challenge, text{}, nil, nil, nil)
	return err
}

// ChangePIN proves the old PIN by a signature that is good for nothing else, and then locks the share under the
// new one. challenge comes from [Server.Challenge]. A wrong old PIN counts, and changes nothing.
//
// If there is no answer (ErrUnanswered) the old PIN stays, and the caller starts over
// after [Device.Resume]: no lockbox under the new PIN is stored before the old one is proved, since two
// lockboxes of one share give both PINs away.
//
// Where the process ends meanwhile, or the state cannot be saved at the end, Resume tells which of the two holds: if it finds a
// ChangePIN it is the old one, and with [ErrNothingPending] the new one, unless the server was never asked.
//
// Errors are as for [Device.Sign], those of [pinlock.CheckPIN] for the new PIN, and [ErrSamePIN].
func (d *Device) ChangePIN(ctx context.Context, challenge, oldPIN, newPIN []byte) error {
	if err := d.made(ctx); err != nil {
		return err
	}
	if err := pinlock.CheckPIN(newPIN); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(oldPIN, newPIN) == 1 {
		return ErrSamePIN
	}
	_, err := d.operate(ctx, OpChangePIN, challenge, text{}, nil, oldPIN, newPIN)
	return err
}

// operate makes a request, saves it, sends it and acts on the answer.
func (d *Device) operate(ctx context.Context, op Operation, challenge []byte, t text, opts crypto.SignerOpts, pin, newPIN []byte) (*Result, error) {
	var result *Result
	err := d.exclusively(func(s *deviceState) error {
		if err := s.usable(); err != nil {
			return err
		}
		if challenge == nil && op == OpConfirm {
			if challenge = s.key.confirm; challenge == nil {
				return fmt.Errorf("%w: no challenge, and none came with the answer to the enrolment or it was used", ErrMalformed)
			}
		}
		c, err := parseChallenge(challenge)
		if err != nil {
			return err
		}
		if c.keyID != s.key.id || (c.purpose == forTransaction) != (op == OpSign) || c.purpose == forEnrolment {
			return fmt.Errorf("%w: the challenge is for another key or purpose", ErrMalformed)
		}
		if p := s.pending; p != nil {
			if p.op == op && p.challenge.raw == c.raw && p.text.equal(t) && saltFits(opts, len(p.salt)) && op != OpChangePIN {
				result, err = d.finish(ctx, s)
				return err
			}
			if !c.surelyDead(p.challenge.expires) {
				return ErrPending
			}
			s.giveUp()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		share, err := d.ask(s, op, c, t, opts, pin)
		if share != nil {
			defer share.Wipe()
		}
		if err != nil {
			return err
		}
		if err := d.save(s); err != nil {
			return err
		}
		result, err = d.finishWith(ctx, s, share, newPIN)
		return err
	})
	return result, err
}

// usable returns why there is nothing to operate with, or nil.
func (s *deviceState) usable() error {
	switch s.phase {
	case NoKey:
		return ErrNotEnrolled
	case Enrolling:
		return fmt.Errorf("%w: the enrolment", ErrPending)
	case Dead:
		return &DestroyedError{s.reason}
	}
	return nil
}

// ask makes the request and puts it into the state. It returns the share that the PIN opened.
func (d *Device) ask(s *deviceState, op Operation, c *challenge, t text, opts crypto.SignerOpts, pin []byte) (*splitkey.ClientShare, error) {
	k := s.key
	given, err := k.toName(c, d.config.Clock().UnixMilli())
	if err != nil {
		return nil, err
	}
	a := &attempt{op: op, challenge: c, text: t, givenUp: given}
	var share *splitkey.ClientShare
	if op != OpRefresh {
		if share, err = d.sign(k, a, opts, pin); err != nil {
			return share, err
		}
		defer clear(a.partial)
	}
	// A token is never thrown away before an answer tells which one the server has. The last of three is
	// used again and again: docs/protocol.md, "Tokens".
	a.tokens = k.tokens
	next := k.tokens[len(k.tokens)-1]
	if len(k.tokens) < maxTokens {
		next = drawSecret()
		k.tokens = append(k.tokens[:len(k.tokens):len(k.tokens)], next)
	}
	a.next = next.commitment()
	plaintext, err := a.encode(k.deviceKey, k.id)
	if err != nil {
		return share, err
	}
	defer clear(plaintext)
	p := &pending{op: op, challenge: c, text: t, salt: a.salt}
	if err := d.seal(s, p, k.id, plaintext); err != nil {
		return share, err
	}
	s.pending = p
	return share, nil
}

// sign makes the partial signature.
func (d *Device) sign(k *enrolledKey, a *attempt, opts crypto.SignerOpts, pin []byte) (*splitkey.ClientShare, error) {
	box, err := pinlock.ParseLockbox(k.lockbox)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	signed := a.signed()
	if opts == nil {
		opts = signed.options()
	}
	final, err := k.finalKey()
	if err != nil {
		return nil, err
	}
	m, err := splitkey.Encode(final, signed.digest, opts)
	if err != nil {
		return nil, err
	}
	if a.salt = m.Salt(); len(a.salt) > maxSalt {
		return nil, fmt.Errorf("%w: a salt of %d bytes", splitkey.ErrMessage, len(a.salt))
	}
	share, err := box.Unlock(pin, d.limit())
	if err != nil {
		return nil, err
	}
	a.partial, err = share.SignPartial(m)
	return share, err
}

// limit lets lockboxes in that were made with the default or with this device's own parameters.
func (d *Device) limit() pinlock.Params {
	p, def := d.config.Params, pinlock.DefaultParams()
	return pinlock.Params{Time: max(p.Time, def.Time), MemoryKiB: max(p.MemoryKiB, def.MemoryKiB), Threads: max(p.Threads, def.Threads)}
}

// relock puts the share, which the server has just found right, under a new PIN.
func (d *Device) relock(s *deviceState, share *splitkey.ClientShare, newPIN []byte) error {
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
