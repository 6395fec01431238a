package device

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// pending is the one request that may have been sent: of number enrolledKey.number + 1.
type pending struct {
	op        protocol.Operation
	cancel    bool // a Cancel of it may have been sent
	challenge *wire.Challenge
	messages  wire.Messages
	salts     [][]byte
	next      wire.Secret // the next token
	request   []byte      // sealed, as it is sent
	secret    wire.Secret // of the response key
}

func (p *pending) responseKey() wire.ResponseKey {
	return wire.ResponseKey{Secret: p.secret, Request: p.hash()}
}

func (p *pending) hash() wire.Hash { return sha256.Sum256(p.request) }

// exchange sends the pending request, which is saved, and acts on the answer. onRight, if
// not nil, is called once the server has found the PIN right, before that is saved.
func (d *Device) exchange(ctx context.Context, s *state, onRight func() error) (*Request, error) {
	p := s.pending
	a, err := d.send(ctx, s, p.request, p.responseKey())
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
	if a.Code == wire.CodeRight && onRight != nil {
		if err := onRight(); err != nil {
			return nil, err // the request is still pending in what is stored
		}
	}
	// If this fails, the request is still pending in what is stored, and Resume gets the
	// same answer.
	if err := d.save(s); err != nil {
		return nil, errors.Join(outcome(a), err)
	}
	switch {
	case s.phase == Superseded:
		return nil, d.tell(ctx, s, a)
	case a.Code != wire.CodeRight:
		return nil, outcome(a)
	case p.op == protocol.OpChangePIN && onRight == nil:
		return nil, ErrPINUnchanged
	}
	done := p.shown()
	if p.op == protocol.OpSign {
		done.Signatures = a.Signatures
	}
	return done, nil
}

// drop cancels a request that the server has answered and not looked at: what was said of
// it is the error, unless the answer to the Cancel says more. An expired request may have
// been carried out before it expired, which only that answer tells.
func (d *Device) drop(ctx context.Context, s *state, said error) error {
	c := s.pending.challenge
	err := d.cancel(ctx, s, c)
	switch {
	case err == nil, errors.Is(err, ErrUnanswered) && !errors.Is(said, ErrNotCarriedOut):
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

// send exchanges a request for an answer that only the server can have made, or, if the
// response key was stored, a copier of the storage. The error wraps ErrUnanswered.
func (d *Device) send(ctx context.Context, s *state, sealed []byte, key wire.ResponseKey) (*wire.Answer, error) {
	response, err := d.config.Transport(ctx, sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	a, err := key.OpenAnswer(response)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrUnanswered, errAnswer, err)
	}
	if a.Code == wire.CodeLater {
		return nil, outcome(a)
	}
	if len(a.Document) > 0 && d.config.Authority != nil {
		_ = d.use(s, a.Document) // one that is not the authority's changes nothing
	}
	return a, nil
}

// verify checks the signatures in the answer to the request itself. With a wrong one the
// answer is none, and the request stays pending.
func (s *state) verify(p *pending, signatures [][]byte) error {
	toSign := wire.ToSign(p.op, p.challenge, p.messages)
	if len(signatures) != len(toSign.Digests) {
		return fmt.Errorf("%w: %w: %d signatures, want %d", ErrUnanswered, errAnswer, len(signatures), len(toSign.Digests))
	}
	if len(signatures) == 0 {
		return nil
	}
	if err := s.key.parse(); err != nil {
		return err
	}
	for i, digest := range toSign.Digests {
		var salt []byte
		if p.op == protocol.OpSign {
			salt = p.salts[i]
		}
		m, err := s.key.final.EncodeWithSalt(digest, toSign.Options(), salt)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStorage, err)
		}
		if err := m.Verify(signatures[i]); err != nil {
			return fmt.Errorf("%w: %w: %w", ErrUnanswered, errAnswer, err)
		}
	}
	return nil
}

// resolve changes the state as the answer to the pending request says, or the answer to a
// Cancel of it, and reports whether nothing is pending any more. unforgeable says that
// the response key was never stored, as that of a Cancel is not: only the server can have
// made the answer.
func (s *state) resolve(a *wire.Answer, unforgeable bool) (bool, error) {
	k, p := s.key, s.pending
	f := wire.FateWrong
	switch {
	case a.Code == wire.CodeRight:
		f = wire.FateRight
		k.token = p.next
		s.phase, k.challenge = Ready, nil // by the Confirm: before it nothing is found right
	case a.Code == wire.CodeCancelled && p.cancel:
		f = wire.FateCancelled
	case a.Code == wire.CodeWrong && a.Verdict.Total > 0:
	case a.Code == wire.CodeWrong:
		s.end(protocol.ReasonPIN, a.Parsed, unforgeable)
		return true, nil
	case a.Code == wire.CodeDestroyed:
		s.end(a.Reason, a.Parsed, unforgeable)
		return true, nil
	case a.Code == wire.CodeSuperseded:
		s.end(protocol.ReasonClone, a.Parsed, false)
		return true, nil
	case a.Code == wire.CodeCancelled: // no challenge comes with it, and a Report takes the request's own
		s.end(protocol.ReasonClone, p.challenge, false)
		return true, nil
	case unforgeable, a.Code == wire.CodeEnrolled, a.Code == wire.CodeKeyRefused:
		return false, fmt.Errorf("%w: %w: code %d", ErrUnanswered, errAnswer, a.Code)
	default:
		if a.Code == wire.CodeExpired && k.challenge != nil && k.challenge.Raw == p.challenge.Raw {
			k.challenge = nil
		}
		return false, nil
	}
	k.number++
	k.chain = wire.NextChain(k.chain, p.hash(), f)
	s.pending = nil
	return true, nil
}

// outcome is the answer as the device's caller sees it: nil for wire.CodeEnrolled and
// wire.CodeRight.
func outcome(a *wire.Answer) error {
	switch a.Code {
	case wire.CodeEnrolled, wire.CodeRight:
		return nil
	case wire.CodeKeyRefused:
		return fmt.Errorf("%w: the key: %v", ErrRejected, a.Refusal)
	case wire.CodeWrong:
		return a.Verdict.WrongPIN()
	case wire.CodeLocked:
		return a.Verdict.Locked()
	case wire.CodeDestroyed:
		return &protocol.DestroyedError{Reason: a.Reason}
	case wire.CodeExpired:
		return fmt.Errorf("%w: %w", ErrNotCarriedOut, errExpired)
	case wire.CodeCancelled:
		return fmt.Errorf("%w: it was cancelled", ErrNotCarriedOut)
	case wire.CodeUnconfirmed:
		return fmt.Errorf("%w: the enrolment is not confirmed", ErrPhase)
	case wire.CodeRejected:
		return ErrRejected
	case wire.CodeLater:
		return fmt.Errorf("%w: the server asks to try again", ErrUnanswered)
	}
	return ErrSuperseded
}
