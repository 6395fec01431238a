package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// count tries the PIN unless the key is locked, and counts the outcome: checks 15 to 17.
// In the same write the token changes and the request becomes the last one.
func (t *trial) count(ctx context.Context, rec *record) (decision, error) {
	policy, now := t.server.config.Policy, time.UnixMilli(t.now)
	if t.outcome == 0 {
		if counter, refusal := policy.Admit(rec.counter, now); refusal != nil { // 15
			return t.refuse(rec, counter, refusal)
		}
		if err := t.askService(ctx); err != nil {
			return decision{}, err
		}
	}
	outcome, err := t.try(ctx, rec) // 15
	if errors.Is(err, splitkey.ErrMalformedPartial) || errors.Is(err, splitkey.ErrMessage) {
		return told(wire.CodeRejected), nil
	}
	if err != nil {
		return decision{}, err
	}
	counter, refusal := policy.Next(rec.counter, outcome, now) // 16
	if wrong, ok := errors.AsType[*limiter.WrongPINError](refusal); ok {
		e := event{kind: wrongEvent, verdict: wire.VerdictOf(wrong)}
		if counter.Destroyed() {
			e.reason = protocol.ReasonPIN
		}
		d := t.settle(rec, wire.FateWrong, e)
		rec.counter = counter
		if counter.Destroyed() {
			rec.destroy(protocol.ReasonPIN)
		}
		return d, nil
	}
	if refusal != nil {
		return t.refuse(rec, counter, refusal)
	}
	e := event{kind: provedEvent}
	if t.request.Op == protocol.OpSign {
		e = event{kind: signedEvent, documents: uint8(len(t.request.Partials))}
	} else if rec.condition == Pending {
		e.kind = confirmedEvent
	}
	d := t.settle(rec, wire.FateRight, e) // first: it asks whether the record is unheard
	d.sign = true
	rec.condition, rec.counter, rec.unheard = Active, counter, false
	return d, nil
}

// errPutOff is why a device is told "later" of a server that is well.
var errPutOff = errors.New("server: the service puts the request off")

// askService asks the service whether the PIN may be tried now. It is called once for
// each request: before its outcome is known.
func (t *trial) askService(ctx context.Context) error {
	f := t.server.config.Admit
	if f == nil {
		return nil
	}
	if err := f(ctx, t.id, t.request.Op); err != nil {
		return fmt.Errorf("%w: %w", errPutOff, err)
	}
	return nil
}

// refuse answers for a key that is locked, or dead by a stricter policy.
func (t *trial) refuse(rec *record, counter limiter.Counter, refusal error) (decision, error) {
	if errors.Is(refusal, limiter.ErrDestroyed) {
		return destroyed(rec, protocol.ReasonPIN, t.now), nil
	}
	locked, ok := errors.AsType[*limiter.LockedError](refusal)
	if !ok {
		return decision{}, refusal
	}
	d := decision{write: counter != rec.counter}
	d.answer = &wire.Answer{Code: wire.CodeLocked, Verdict: wire.Verdict{Until: locked.Until.UnixMilli()}}
	rec.counter = counter
	return d, nil
}

// try looks at the partial signatures, once, and at all of them whatever it finds:
// partial signatures under several PINs are one wrong guess, and which of them was right
// shows nowhere. It changes nothing that lasts.
func (t *trial) try(ctx context.Context, rec *record) (limiter.Outcome, error) {
	if t.outcome != 0 {
		return t.outcome, nil
	}
	if err := t.restore(ctx, rec); err != nil {
		return 0, err
	}
	toSign := t.request.ToSign()
	t.checked = make([]*splitkey.Checked, len(t.request.Partials))
	var malformed, failed error
	outcome := limiter.Right
	for i, y := range t.request.Partials {
		m, err := t.completer.FinalKey().EncodeWithSalt(toSign.Digests[i], toSign.Options(), t.request.Salts[i])
		if err == nil {
			t.checked[i], err = t.completer.Check(m, y)
		}
		switch {
		case errors.Is(err, splitkey.ErrPartial):
			outcome = limiter.Wrong
		case errors.Is(err, splitkey.ErrMalformedPartial), errors.Is(err, splitkey.ErrMessage):
			malformed = err
		case err != nil:
			failed = err
		}
	}
	if failed != nil {
		return 0, failed
	}
	if malformed != nil {
		return 0, malformed
	}
	t.outcome = outcome
	return outcome, nil
}

// restore opens the share, finds the server key, and makes the completer of both, once.
func (t *trial) restore(ctx context.Context, rec *record) error {
	if t.completer != nil {
		return nil
	}
	plaintext, err := t.secrets.openShare(rec.sealedShare)
	if err != nil {
		return err
	}
	defer clear(plaintext)
	sec, err := parseSecrets(plaintext)
	if err != nil {
		return err
	}
	if t.share, err = splitkey.ParseServerShare(sec.share); err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	var serverKey splitkey.RSAKey
	if len(sec.serverKey) > 0 {
		if t.server.config.Keys == nil {
			return errors.New("server: the key needs a KeySource")
		}
		if serverKey, err = t.server.config.Keys.LoadKey(ctx, sec.serverKey); err != nil {
			return err
		}
	}
	c, err := splitkey.NewCompleter(t.share, serverKey, sec.precomputed)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if !c.PublicKey().Equal(&rec.public) {
		return fmt.Errorf("%w: another final key", ErrRecord)
	}
	t.completer = c
	return nil
}
