package protocol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Result is what became of a request.
type Result struct {
	Operation Operation
	Challenge []byte
	Digest    []byte            // to sign; nil else
	Options   crypto.SignerOpts // likewise
	Signature []byte            // likewise; verified
}

// Resume sends the request again that was not answered, byte for byte, without a PIN, and returns what became of it. The
// server counts nothing twice. Its errors are those of the method that made the request; [ErrNothingPending] if there is none. A
// [Device.ChangePIN] that is resumed has proved the old PIN, which stays.
//
// A request whose challenge the server does not know any more (it has a new challenge key) is never answered, and only
// [Device.GiveUp] ends it.
func (d *Device) Resume(ctx context.Context) (*Result, error) {
	if err := d.made(ctx); err != nil {
		return nil, err
	}
	var result *Result
	err := d.exclusively(func(s *deviceState) error {
		if s.pending == nil {
			if s.phase == Dead {
				return &DestroyedError{s.reason}
			}
			return ErrNothingPending
		}
		var err error
		result, err = d.finish(ctx, s)
		return err
	})
	return result, err
}

// GiveUp stops waiting for the answer to the request that is pending: the user does not want the signature any more.
// Whether it was made stays unknown. If the server has not seen the request by the time it
// settles the next one, it never will. An enrolment that is given up leaves no key. [ErrNothingPending] if
// there is nothing to give up.
func (d *Device) GiveUp() error {
	if err := d.made(context.Background()); err != nil {
		return err
	}
	return d.exclusively(func(s *deviceState) error {
		switch {
		case s.pending == nil:
			return ErrNothingPending
		case s.phase == Enrolling:
			s.phase, s.key, s.pending = NoKey, nil, nil
		default:
			s.giveUp()
		}
		return d.save(s)
	})
}

// finish is finishWith without a new PIN.
func (d *Device) finish(ctx context.Context, s *deviceState) (*Result, error) {
	return d.finishWith(ctx, s, nil, nil)
}

// finishWith sends the pending request, which is saved, and acts on the answer.
func (d *Device) finishWith(ctx context.Context, s *deviceState, share *splitkey.ClientShare, newPIN []byte) (*Result, error) {
	p := s.pending
	a, err := d.send(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	// The server reads this request, so its challenge is the server's, and so was the choice of the announced key.
	if e, err := parseEnvelope(p.request); err == nil && s.next.key != nil && e.serverKey == idOf(s.next.key) {
		s.serverKey = s.next.key.Bytes()
	}
	s.next = announcement{} // what is announced no more is not to be used: a plan may be changed
	if a.next.key != nil && idOf(a.next.key) != serverKeyIDOf(s.serverKey) {
		s.next = a.next
	}
	result, err := d.act(s, p, a)
	if err != nil {
		return nil, err
	}
	if err := a.err(); err != nil {
		if a.code == codeLater {
			return nil, err
		}
		return nil, errors.Join(err, d.save(s))
	}
	if newPIN != nil {
		if err := d.relock(s, share, newPIN); err != nil {
			return nil, err
		}
	}
	if err := d.save(s); err != nil {
		return nil, err // the request is still pending in the state: Resume gets the same answer
	}
	return result, nil
}

// send exchanges the request for an answer that only the server can have made.
func (d *Device) send(ctx context.Context, p *pending) (*answer, error) {
	response, err := d.config.Transport(ctx, p.request)
	if err != nil {
		return nil, err
	}
	plaintext, err := p.reply().open(response)
	if err != nil {
		return nil, err
	}
	a, err := parseAnswer(plaintext)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	enrolls := p.op == OpEnroll
	switch a.code {
	case codeEnrolled, codeKeyRefused:
		if !enrolls {
			return nil, ErrAnswer
		}
	case codeRight, codeWrong, codeLocked, codeGivenUp, codeUnconfirmed:
		if enrolls {
			return nil, ErrAnswer
		}
	}
	return a, nil
}

// act changes the state as the answer says. An error means that the answer is not acceptable, and that
// nothing changed.
func (d *Device) act(s *deviceState, p *pending, a *answer) (*Result, error) {
	result := &Result{Operation: p.op, Challenge: p.challenge.raw[:]}
	switch {
	case a.code == codeLater:
		return result, nil
	case a.code == codeDestroyed:
		s.phase, s.reason, s.key, s.pending = Dead, a.reason, nil, nil
		return result, nil
	case p.op == OpEnroll:
		return result, d.enrolled(s, a)
	case !a.code.settled():
		if a.code == codeExpired && bytes.Equal(s.key.confirm, p.challenge.raw[:]) {
			s.key.confirm = nil
		}
		s.giveUp()
		return result, nil
	}
	if a.code == codeRight && p.op != OpRefresh {
		signed := p.signed()
		final, err := s.key.finalKey()
		if err != nil {
			return nil, err
		}
		m, err := splitkey.EncodeWithSalt(final, signed.digest, signed.options(), p.salt)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrState, err)
		}
		if err := m.Verify(a.signature); err != nil {
			return nil, fmt.Errorf("%w: %w: %w", ErrUnanswered, ErrAnswer, err)
		}
		if p.op == OpSign {
			result.Digest, result.Options, result.Signature = signed.digest, signed.optionsWith(len(p.salt)), a.signature
		}
	}
	if a.code == codeRight { // whatever it was for: of a key that is not confirmed the server settles nothing else
		s.phase, s.key.confirm = Ready, nil
	}
	s.settled(a.current)
	return result, nil
}

// enrolled takes up the answer to an enrolment.
func (d *Device) enrolled(s *deviceState, a *answer) error {
	if a.code != codeEnrolled { // refused, expired or rejected
		s.phase, s.key, s.pending = NoKey, nil, nil
		return nil
	}
	device, err := lockboxKey(s.key.lockbox)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	c, err := parseChallenge(a.enrolled.challenge)
	if err != nil || c.keyID != s.key.id || !divides(device, &a.enrolled.public) {
		return fmt.Errorf("%w: %w: enrolment", ErrUnanswered, ErrAnswer)
	}
	s.phase, s.pending = Unconfirmed, nil
	s.key.public, s.key.confirm = a.enrolled.public, a.enrolled.challenge
	return nil
}

// settled is for an answer that tells which token the server has. All other requests are dead by
// now: the server has marked those that this one named, and the rest were too old.
func (s *deviceState) settled(current [sha256.Size]byte) {
	s.pending = nil
	for _, t := range s.key.tokens {
		if t.commitment() == current {
			s.key.tokens, s.key.givenUp = []secret{t}, nil
			return
		}
	}
	// Somebody else has changed the token: this device's next request will tell the server.
}

// giveUp moves the pending request to those that the next one will name. There is room: toName saw to it
// before the request was made.
func (s *deviceState) giveUp() {
	s.key.givenUp = append(s.key.givenUp, givenUp{sha256.Sum256(s.pending.request), s.pending.challenge.expires})
	s.pending = nil
}

// toName returns the requests that a new one must name as given up, and makes room for the new one. A request is forgotten
// only if both the challenge and the device's own clock say that no server can settle it: a challenge
// alone may be forged, and what it makes the device forget would make the device look like a clone.
func (k *enrolledKey) toName(c *challenge, now int64) ([]givenUp, error) {
	var named, kept []givenUp
	for _, g := range k.givenUp {
		must := c.mustName(g.expires)
		if must {
			named = append(named, g)
		}
		if must || mayLive(g.expires, now) {
			kept = append(kept, g)
		}
	}
	if len(named) > maxGivenUp || len(kept) >= maxRemembered {
		return nil, fmt.Errorf("%w: %d of them, given up within a short time; wait until their challenges have expired", ErrPending, len(kept))
	}
	k.givenUp = kept
	return named, nil
}

// deviceSkew is how far the device's clock may differ from the servers' and still be of use.
const deviceSkew = maxChallengeLife

// mayLive reports whether a server can settle a request whose challenge expires then, as far as the device's own
// clock can tell: it has not expired, and is not so far in the future that its challenge is not the server's.
func mayLive(expires, now int64) bool {
	margin := (deviceSkew + clockSkew).Milliseconds()
	return now-margin < expires && expires <= now+maxChallengeLife.Milliseconds()+margin
}

// mustName reports whether a request whose challenge expires then could be settled after one with challenge c: it is
// not surely dead, nor so far in the future that its challenge or c is not the server's.
func (c *challenge) mustName(expires int64) bool {
	return !c.surelyDead(expires) && expires <= c.expires+(maxChallengeLife+clockSkew).Milliseconds()
}

func lockboxKey(lockbox []byte) (*rsa.PublicKey, error) {
	box, err := pinlock.ParseLockbox(lockbox)
	if err != nil {
		return nil, err
	}
	return box.PublicKey()
}
