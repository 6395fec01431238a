package device

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Resume sends the request again that was not answered, byte for byte, without a PIN, and
// returns what became of it. The server counts nothing twice. Its errors are those of the
// method that made the request, [ErrNotCarriedOut], and [ErrNothingPending] if there is
// none. A [Device.ChangePIN] that is resumed is [ErrPINUnchanged], though the server may
// have found the old PIN right.
//
// A request whose challenge or HPKE key the server does not know any more is never
// answered: only [Device.Cancel] ends it.
func (d *Device) Resume(ctx context.Context) (*Request, error) {
	s, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	switch {
	case s.phase == Superseded:
		return nil, d.report(ctx, s, nil)
	case s.phase == Dead:
		return nil, &protocol.DestroyedError{Reason: s.reason}
	case s.pending == nil:
		return nil, ErrNothingPending
	case s.phase == Enrolling:
		return d.finishEnrollment(ctx, s)
	}
	return d.exchange(ctx, s, nil)
}

// Cancel ends the request that is pending: nil means that it was not carried out and
// never will be. If it was carried out before, the error is [ErrCarriedOut]: the service
// has the signatures then, and a device that wants them calls [Device.Resume] in place of
// Cancel. A [*limiter.WrongPINError] says that the PIN had been looked at. A
// [Device.ChangePIN] that is cancelled leaves the old PIN, whatever else is said of it,
// and the error wraps [ErrPINUnchanged] where it was carried out.
//
// challenge comes from server.Server.Challenge; a locked key and one that is not
// confirmed take it as well. An enrolment that is cancelled leaves no key, and needs no
// challenge and no server.
//
// If there is no answer (ErrUnanswered) the request stays pending: Cancel may be called
// again with another challenge, and Resume as well. [ErrNothingPending] if there is
// nothing to cancel.
func (d *Device) Cancel(ctx context.Context, challenge []byte) error {
	s, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	switch {
	case s.phase == Superseded:
		return d.report(ctx, s, challenge)
	case s.phase == Dead:
		return &protocol.DestroyedError{Reason: s.reason}
	case s.pending == nil:
		return ErrNothingPending
	case s.phase == Enrolling:
		s.forget()
		return d.save(s)
	}
	c, err := s.key.challengeFor(challenge)
	if err != nil {
		return err
	}
	return d.cancel(ctx, s, c)
}

// cancel asks what became of the pending request, and that nothing becomes of it any
// more. nil means that it was cancelled.
func (d *Device) cancel(ctx context.Context, s *state, c *wire.Challenge) error {
	k, p := s.key, s.pending
	if !p.cancel {
		p.cancel = true
		if err := d.save(s); err != nil {
			return err
		}
	}
	a, err := d.ask(ctx, s, &wire.Request{
		Op: protocol.OpCancel, Challenge: c, Number: k.number + 1, Token: k.token, Chain: k.chain, Target: p.hash(),
	})
	if err != nil {
		return err
	}
	if a.Code == wire.CodeRight && len(a.Signatures) > 0 {
		return fmt.Errorf("%w: %w: signatures for a Cancel", ErrUnanswered, errAnswer)
	}
	if _, err := s.resolve(a, true); err != nil {
		return err
	}
	if err := d.save(s); err != nil {
		return err
	}
	switch {
	case s.phase == Superseded:
		return d.tell(ctx, s, a)
	case a.Code == wire.CodeCancelled:
		return nil
	case a.Code != wire.CodeRight:
		return outcome(a)
	case p.op == protocol.OpChangePIN:
		return fmt.Errorf("%w: %w", ErrCarriedOut, ErrPINUnchanged)
	}
	return ErrCarriedOut
}

// ask sends a request that is not stored, nor its response key.
func (d *Device) ask(ctx context.Context, s *state, r *wire.Request) (*wire.Answer, error) {
	hardware, err := d.hardwareSigner(s.key)
	if err != nil {
		return nil, err
	}
	pub, err := d.hpkeKey(s)
	if err != nil {
		return nil, err
	}
	sealed, key, err := r.Seal(pub, s.key.authKey, s.key.id, hardware)
	if err != nil {
		return nil, err
	}
	defer key.Secret.Wipe()
	return d.send(ctx, s, sealed, key)
}

// Report tells the server that the storage of this device was copied, or went back, so
// that the key is destroyed. A device whose key is superseded does so by itself at each
// call until it is answered, with the challenge of that call if it is for this key, and
// else with the one that came with the answer. challenge comes from
// server.Server.Challenge; nil means the one that came with the answer, which may not be
// the server's any more, or may have been forged with the answer.
//
// The error is a [*protocol.DestroyedError] once the server has destroyed the key, and
// wraps [ErrSuperseded] before. It is [ErrNothingPending] for a key that is not
// superseded.
func (d *Device) Report(ctx context.Context, challenge []byte) error {
	s, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	switch {
	case s.phase == Dead:
		return &protocol.DestroyedError{Reason: s.reason}
	case s.phase != Superseded:
		return ErrNothingPending
	case challenge == nil:
		return d.report(ctx, s, nil)
	}
	if _, err := s.key.challengeFor(challenge); err != nil {
		return err
	}
	return d.report(ctx, s, challenge)
}

// report is Report, with whatever challenge the caller has, or nil.
func (d *Device) report(ctx context.Context, s *state, given []byte) error {
	c, err := s.key.challengeFor(given)
	if err != nil { // the one that is stored may be forged, and the caller has no better one
		if c = s.key.challenge; c == nil || c.KeyID != s.key.id {
			return fmt.Errorf("%w: %w", ErrSuperseded, err)
		}
	}
	a, err := d.ask(ctx, s, &wire.Request{Op: protocol.OpReport, Challenge: c, Token: s.key.token})
	if err == nil && a.Code != wire.CodeDestroyed {
		err = fmt.Errorf("%w: %w: code %d to a report", ErrUnanswered, errAnswer, a.Code)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSuperseded, err)
	}
	s.end(a.Reason, nil, true)
	return errors.Join(&protocol.DestroyedError{Reason: a.Reason}, d.save(s))
}
