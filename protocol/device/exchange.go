package device

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Result is what became of a request.
type Result struct {
	Operation  protocol.Operation
	Challenge  []byte
	Digests    [][]byte          // to sign; nil else
	Options    crypto.SignerOpts // likewise
	Signatures [][]byte          // likewise; verified
}

// Resume sends the request again that was not answered, byte for byte, without a PIN, and returns
// what became of it. The server counts nothing twice. Its errors are those of the method that made
// the request, [ErrCancelled], and [ErrNothingPending] if there is none. A [Device.ChangePIN] that is
// resumed is [ErrPINUnchanged], though the server may have found the old PIN right.
//
// A request whose challenge or HPKE key the server does not know any more is never answered: only
// [Device.Cancel] ends it.
func (d *Device) Resume(ctx context.Context) (*Result, error) {
	if err := d.made(ctx); err != nil {
		return nil, err
	}
	var result *Result
	err := d.exclusively(func(s *state) (err error) {
		switch {
		case s.phase == Superseded:
			return d.report(ctx, s, nil)
		case s.phase == Dead:
			return &protocol.DestroyedError{Reason: s.reason}
		case s.pending == nil:
			return ErrNothingPending
		case s.phase == Enrolling:
			result = s.pending.result(nil)
			err = d.finishEnrollment(ctx, s)
		default:
			result, err = d.finish(ctx, s, nil)
		}
		if err != nil {
			result = nil
		}
		return err
	})
	return result, err
}

func (p *pending) result(signatures [][]byte) *Result {
	r := &Result{Operation: p.op, Challenge: p.challenge.Raw[:]}
	if p.op == protocol.OpSign {
		r.Digests, r.Options, r.Signatures = p.messages.Digests, p.messages.Options(), signatures
	}
	return r
}

// finish sends the pending request, which is saved, and acts on the answer. right, if not nil, is
// called once the server has found the PIN right, before that is saved.
func (d *Device) finish(ctx context.Context, s *state, right func() error) (*Result, error) {
	p := s.pending
	a, err := d.send(ctx, s, p.request, p.reply())
	if err != nil {
		return nil, err
	}
	if a.Code == wire.CodeRight {
		if err := s.verify(p, a.Signatures); err != nil {
			return nil, err
		}
	}
	resolved, err := s.resolve(a, false)
	if err != nil {
		return nil, err
	}
	if !resolved {
		return nil, d.drop(ctx, s, outcome(a))
	}
	if a.Code == wire.CodeRight && right != nil {
		if err := right(); err != nil {
			return nil, err // the request is still pending in what is stored
		}
	}
	if err := d.save(s); err != nil {
		return nil, errors.Join(outcome(a), err) // likewise: Resume gets the same answer
	}
	switch {
	case s.phase == Superseded:
		return nil, d.tell(ctx, s, a)
	case a.Code != wire.CodeRight:
		return nil, outcome(a)
	case p.op == protocol.OpChangePIN && right == nil:
		return nil, ErrPINUnchanged
	}
	return p.result(a.Signatures), nil
}

// drop cancels a request that the server has answered and not looked at: what was said of it is
// the error, unless it was carried out all the same.
func (d *Device) drop(ctx context.Context, s *state, said error) error {
	c := s.pending.challenge
	err := d.cancel(ctx, s, c)
	switch {
	case err == nil, errors.Is(err, ErrUnanswered):
		return said
	}
	return err
}

// tell reports what made the key superseded, and returns what the caller hears of it.
func (d *Device) tell(ctx context.Context, s *state, a *wire.Answer) error {
	err := d.report(ctx, s, nil)
	if a.Code == wire.CodeDestroyed || a.Code == wire.CodeWrong {
		return outcome(a)
	}
	return err
}

// send exchanges a request for an answer that only the server can have made, or, if the reply key
// was stored, a copier of the state. The error wraps ErrUnanswered.
func (d *Device) send(ctx context.Context, s *state, sealed []byte, r wire.Reply) (*wire.Answer, error) {
	response, err := d.config.Transport(ctx, sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	a, err := r.OpenAnswer(response)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrUnanswered, ErrAnswer, err)
	}
	if a.Code == wire.CodeLater {
		return nil, outcome(a)
	}
	if len(a.Document) > 0 && d.config.Authority != nil {
		_ = d.use(s, a.Document) // one that is not the authority's changes nothing
	}
	return a, nil
}

// verify checks the signatures in the answer to the request itself.
func (s *state) verify(p *pending, signatures [][]byte) error {
	signed := p.signed()
	if len(signatures) != len(signed.Digests) {
		return fmt.Errorf("%w: %w: %d signatures, want %d", ErrUnanswered, ErrAnswer, len(signatures), len(signed.Digests))
	}
	if len(signatures) == 0 {
		return nil
	}
	final, err := s.key.finalKey()
	if err != nil {
		return err
	}
	for i, digest := range signed.Digests {
		var salt []byte
		if p.op == protocol.OpSign {
			salt = p.salts[i]
		}
		m, err := final.EncodeWithSalt(digest, signed.Options(), salt)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStorage, err)
		}
		if err := m.Verify(signatures[i]); err != nil {
			return fmt.Errorf("%w: %w: %w", ErrUnanswered, ErrAnswer, err)
		}
	}
	return nil
}

// resolve changes the state as the answer to the pending request says, or the answer to a Cancel of
// it, and reports whether nothing is pending any more. The reply key of a Cancel was never stored, so
// that nobody can have forged its answer.
func (s *state) resolve(a *wire.Answer, fresh bool) (bool, error) {
	k, p := s.key, s.pending
	f := wire.FateWrong
	switch {
	case a.Code == wire.CodeRight:
		f, k.token = wire.FateRight, p.next
		s.phase, k.challenge = Ready, nil // before it was confirmed the server finds nothing right
	case a.Code == wire.CodeCancelled && p.cancel:
		f = wire.FateCancelled
	case a.Code == wire.CodeWrong && a.Verdict.Total > 0:
	case a.Code == wire.CodeWrong:
		return true, s.end(protocol.ReasonPIN, a.Challenge, fresh)
	case a.Code == wire.CodeDestroyed:
		return true, s.end(a.Reason, a.Challenge, fresh)
	case a.Code == wire.CodeSuperseded:
		return true, s.end(protocol.ReasonClone, a.Challenge, false)
	case a.Code == wire.CodeCancelled: // no challenge comes with it, and a Report takes the request's own
		return true, s.end(protocol.ReasonClone, p.challenge.Raw[:], false)
	case fresh, a.Code == wire.CodeEnrolled, a.Code == wire.CodeKeyRefused:
		return false, fmt.Errorf("%w: %w: code %d", ErrUnanswered, ErrAnswer, a.Code)
	default:
		if a.Code == wire.CodeExpired && string(k.challenge) == string(p.challenge.Raw[:]) {
			k.challenge = nil
		}
		return false, nil
	}
	k.number++
	k.chain = wire.NextChain(k.chain, p.hash(), f)
	s.pending = nil
	return true, nil
}

// end is for a key that is not to be used any more. It is dead if only the server can have said so,
// and has to be reported else: then K_dev stays until a Report is answered.
func (s *state) end(why protocol.Reason, challenge []byte, dead bool) error {
	s.phase, s.reason, s.pending = Dead, why, nil
	if dead {
		s.key = nil
		return nil
	}
	s.phase = Superseded
	s.key = &enrolledKey{id: s.key.id, authKey: s.key.authKey, hardware: s.key.hardware, challenge: challenge, token: wire.NewSecret(make([]byte, wire.SecretSize))}
	return nil
}
