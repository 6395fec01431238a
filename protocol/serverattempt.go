package protocol

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/splitkey"
)

// trial is one request on its way through the checks. What it learns is kept while the record is
// loaded again after a lost race: an outcome is found out once and weighed anew.
type trial struct {
	*request
	server *Server
	id     KeyID
	hash   hash
	now    int64

	authenticated bool
	completer     *splitkey.Completer
	share         *splitkey.ServerShare
	checked       []*splitkey.Checked // one for each document, of a right PIN
	outcome       limiter.Outcome     // 0 until the partial signatures were looked at
}

// errHardware is for a request with the right MAC and without the hardware's signature.
var errHardware = errors.New("protocol: not signed by the phone's hardware")

// attempt answers every request but an enrolment. The order of its checks is that of
// docs/protocol.md, "What the server checks".
func (s *Server) attempt(ctx context.Context, e *envelope, plaintext []byte, sealed hash) (*answer, error) {
	r, err := parseRequest(plaintext)
	if err != nil {
		return nil, err
	}
	defer r.wipe()
	if r.op != e.op {
		return nil, fmt.Errorf("%w: two operations", ErrMalformed)
	}
	now, err := s.now()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	if err := s.checkChallenge(r.challenge, e.keyID, now); err != nil {
		return nil, err
	}
	t := &trial{request: r, server: s, id: e.keyID, hash: sealed, now: now}
	defer t.wipe()
	d, err := s.update(ctx, e.keyID, func(rec *record) (decision, error) {
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
		s.failed(ctx, e.keyID, err)
		return &answer{code: codeLater}, nil
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
		key := drawSecret()
		defer key.wipe()
		b, err := s.config.Sealer.Seal(ctx, nobodyAAD, key.bytes())
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
	k := newSecret(key)
	defer k.wipe()
	_ = t.authentic(k, t.id)
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
	if len(key) != secretSize {
		return fmt.Errorf("%w: %w: authentication key", errInternal, ErrRecord)
	}
	k := newSecret(key)
	defer k.wipe()
	if !t.authentic(k, t.id) {
		return fmt.Errorf("%w: not the device's", ErrMalformed)
	}
	if !hardwareSigned(rec.hardware, t.id, t.body, t.request.hardware) {
		return fmt.Errorf("%w: key %v", errHardware, t.id)
	}
	t.authenticated = true
	return nil
}

// decide weighs a request of the device's against the record, and changes the record.
func (t *trial) decide(ctx context.Context, rec *record) (d decision, err error) {
	subject := t.subject(t.hash)
	live := t.op == OpCancel || t.challenge.expires > t.now
	dead := rec.condition == Destroyed
	switch {
	case t.op == OpReport:
		if dead {
			d.answer = &answer{code: codeDestroyed, reason: rec.reason}
		} else {
			d.destroy(rec, ReasonClone, t.now)
		}
	case t.number == rec.last.number && subject == rec.last.request:
		return t.again(ctx, rec)
	case t.number == rec.last.number && live && !dead:
		d.destroy(rec, ReasonClone, t.now)
	case t.number <= rec.last.number:
		d.answer = &answer{code: codeSuperseded}
	case dead:
		d.answer = &answer{code: codeDestroyed, reason: rec.reason}
	case !live:
		d.answer = &answer{code: codeExpired}
	case rec.condition == Pending && t.now >= rec.until && t.op != OpCancel:
		d.destroy(rec, ReasonExpired, t.now)
	case rec.condition == Pending && t.op != OpConfirm && t.op != OpCancel:
		d.answer = &answer{code: codeUnconfirmed}
	case t.number != rec.last.number+1 || t.chain != rec.chain || !t.holdsToken(rec.current):
		d.destroy(rec, ReasonClone, t.now)
	default:
		return t.settle(ctx, rec)
	}
	return d, nil
}

func (t *trial) holdsToken(current hash) bool {
	c := t.token.commitment()
	return subtle.ConstantTimeCompare(c[:], current[:]) == 1
}

// again answers a request that was settled before, or a Cancel of it. Nothing is counted or changed.
func (t *trial) again(ctx context.Context, rec *record) (d decision, err error) {
	last := rec.last
	switch {
	case last.fate == fateWrong:
		d.answer = &answer{code: codeWrong, verdict: last.verdict}
	case last.fate == fateCancelled:
		d.answer = &answer{code: codeCancelled}
	case t.op == OpRefresh:
		d.answer = &answer{code: codeRight}
	case rec.condition == Destroyed:
		d.answer = &answer{code: codeDestroyed, reason: rec.reason}
	case t.op == OpCancel:
		d.answer = &answer{code: codeRight}
	case t.now >= t.challenge.expires+answerLife.Milliseconds():
		d.answer = &answer{code: codeExpired}
	default:
		outcome, err := t.try(ctx, rec)
		if err != nil {
			return d, err
		}
		if outcome != limiter.Right {
			return d, errors.New("protocol: a right partial signature is wrong now")
		}
		d.answer, d.sign = &answer{code: codeRight}, true
	}
	return d, nil
}

// settle decides about a fresh request of the one device there is.
func (t *trial) settle(ctx context.Context, rec *record) (d decision, err error) {
	switch {
	case t.op == OpCancel:
		t.settled(&d, rec, fateCancelled, codeCancelled, event{kind: cancelledEvent})
	case t.op == OpRefresh:
		t.settled(&d, rec, fateRight, codeRight, event{kind: refreshedEvent})
	case t.op == OpSign && t.challenge.binding != t.messages.binding():
		t.server.config.Log.LogAttrs(ctx, slog.LevelInfo, "request rejected", slog.String("key", t.id.String()), slog.String("cause", "the challenge is for other digests"))
		d.answer = &answer{code: codeRejected}
	default:
		return t.count(ctx, rec)
	}
	return d, nil
}

// settled puts the outcome into the record. A right PIN and a Refresh replace the token.
func (t *trial) settled(d *decision, rec *record, f fate, c code, e event) {
	l := settled{number: t.number, request: t.subject(t.hash), fate: f, verdict: e.verdict}
	rec.settle(l)
	if f == fateRight {
		rec.current = t.target
	}
	e.at = t.now
	d.write, d.event, d.answer = true, e, &answer{code: c, verdict: e.verdict}
}
