package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// trial is one request on its way through the checks. What it learns is kept while the record is
// loaded again after a lost race: an outcome is found out once and weighed anew.
type trial struct {
	*wire.Request
	server *Server
	id     protocol.KeyID
	hash   wire.Hash
	now    int64

	authenticated bool
	completer     *splitkey.Completer
	share         *splitkey.ServerShare
	checked       []*splitkey.Checked // one for each document, of a right PIN
	outcome       limiter.Outcome     // 0 until the partial signatures were looked at
}

// errHardware is for a request with the right MAC and without the hardware's signature.
var errHardware = errors.New("server: not signed by the phone's hardware")

// attempt answers every request but an enrolment. The order of its checks is that of
// docs/protocol.md, "What the server checks".
func (s *Server) attempt(ctx context.Context, e *wire.Envelope, plaintext []byte, sealed wire.Hash) (*wire.Answer, error) {
	r, err := wire.ParseRequest(plaintext)
	if err != nil {
		return nil, err
	}
	defer r.Wipe()
	if r.Op != e.Op {
		return nil, fmt.Errorf("%w: two operations", protocol.ErrMalformed)
	}
	now, err := s.now()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	if err := s.checkChallenge(r.Challenge, e.KeyID, now); err != nil {
		return nil, err
	}
	t := &trial{Request: r, server: s, id: e.KeyID, hash: sealed, now: now}
	defer t.wipe()
	d, err := s.update(ctx, e.KeyID, func(rec *record) (decision, error) {
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
		// Whether the attempt was counted is not known: nothing may be told of it.
		s.failed(ctx, e.KeyID, err)
		return &wire.Answer{Code: wire.CodeLater}, nil
	case errors.Is(err, limiter.ErrNotFound):
		t.pretend(ctx)
		return nil, ErrUnknownKey
	case errors.Is(err, ErrRecord):
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	return nil, err
}

// pretend does for an unknown key what authenticate does for a known one, with a key of nobody's: with a Sealer in an HSM the
// time for it could be told from its absence over the network.
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

func (t *trial) wipe() {
	if t.share != nil {
		t.share.Wipe()
	}
}

// authenticate checks that the device sent the request. Before it succeeds nothing may be answered.
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
		return fmt.Errorf("%w: not the device's", protocol.ErrMalformed)
	}
	if !wire.HardwareSigned(rec.hardware, t.id, t.Body.Get(), t.Request.Hardware) {
		return fmt.Errorf("%w: key %v", errHardware, t.id)
	}
	t.authenticated = true
	return nil
}

// decide weighs a request of the device's against the record, and changes the record.
func (t *trial) decide(ctx context.Context, rec *record) (d decision, err error) {
	subject := t.Subject(t.hash)
	live := t.Op == protocol.OpCancel || t.Challenge.Expires > t.now
	dead := rec.condition == Destroyed
	switch {
	case t.Op == protocol.OpReport:
		if dead {
			d.answer = &wire.Answer{Code: wire.CodeDestroyed, Reason: rec.reason}
		} else {
			d.destroy(rec, protocol.ReasonClone, t.now)
		}
	case t.Number == rec.last.number && subject == rec.last.request:
		return t.again(ctx, rec)
	case t.Number == rec.last.number && live && !dead:
		d.destroy(rec, protocol.ReasonClone, t.now)
	case t.Number <= rec.last.number:
		d.answer = &wire.Answer{Code: wire.CodeSuperseded}
	case dead:
		d.answer = &wire.Answer{Code: wire.CodeDestroyed, Reason: rec.reason}
	case !live:
		d.answer = &wire.Answer{Code: wire.CodeExpired}
	case rec.condition == Pending && t.now >= rec.until && t.Op != protocol.OpCancel:
		d.destroy(rec, protocol.ReasonExpired, t.now)
	case rec.condition == Pending && t.Op != protocol.OpConfirm && t.Op != protocol.OpCancel:
		d.answer = &wire.Answer{Code: wire.CodeUnconfirmed}
	case t.Number != rec.last.number+1 || t.Chain != rec.chain || !t.holdsToken(rec.current):
		d.destroy(rec, protocol.ReasonClone, t.now)
	default:
		return t.settle(ctx, rec)
	}
	return d, nil
}

func (t *trial) holdsToken(current wire.Hash) bool {
	c := t.Token.Commitment()
	return subtle.ConstantTimeCompare(c[:], current[:]) == 1
}

// again answers a request that was settled before, or a Cancel of it. Nothing is counted or changed.
func (t *trial) again(ctx context.Context, rec *record) (d decision, err error) {
	last := rec.last
	switch {
	case last.fate == wire.FateWrong:
		d.answer = &wire.Answer{Code: wire.CodeWrong, Verdict: last.verdict}
	case last.fate == wire.FateCancelled:
		d.answer = &wire.Answer{Code: wire.CodeCancelled}
	case t.Op == protocol.OpRefresh:
		d.answer = &wire.Answer{Code: wire.CodeRight}
	case rec.condition == Destroyed:
		d.answer = &wire.Answer{Code: wire.CodeDestroyed, Reason: rec.reason}
	case t.Op == protocol.OpCancel:
		d.answer = &wire.Answer{Code: wire.CodeRight}
	case t.now >= t.Challenge.Expires+answerLife.Milliseconds():
		d.answer = &wire.Answer{Code: wire.CodeExpired}
	default:
		outcome, err := t.try(ctx, rec)
		if err != nil {
			return d, err
		}
		if outcome != limiter.Right {
			return d, errors.New("server: a right partial signature is wrong now")
		}
		d.answer, d.sign = &wire.Answer{Code: wire.CodeRight}, true
	}
	return d, nil
}

// settle decides about a fresh request of the one device there is.
func (t *trial) settle(ctx context.Context, rec *record) (d decision, err error) {
	switch {
	case t.Op == protocol.OpCancel:
		t.settled(&d, rec, wire.FateCancelled, wire.CodeCancelled, event{kind: cancelledEvent})
	case t.Op == protocol.OpRefresh:
		t.settled(&d, rec, wire.FateRight, wire.CodeRight, event{kind: refreshedEvent})
	case t.Op == protocol.OpSign && t.Challenge.Binding != t.Messages.Binding():
		t.server.config.Log.LogAttrs(ctx, slog.LevelInfo, "request rejected", slog.String("key", t.id.String()), slog.String("cause", "the challenge is for other digests"))
		d.answer = &wire.Answer{Code: wire.CodeRejected}
	default:
		return t.count(ctx, rec)
	}
	return d, nil
}

// settled puts the outcome into the record. A right PIN and a Refresh replace the token.
func (t *trial) settled(d *decision, rec *record, f wire.Fate, c wire.Code, e event) {
	l := settled{number: t.Number, request: t.Subject(t.hash), fate: f, verdict: e.verdict}
	rec.settle(l)
	if f == wire.FateRight {
		rec.current = t.Target
	}
	e.at = t.now
	d.write, d.event, d.answer = true, e, &wire.Answer{Code: c, Verdict: e.verdict}
}
