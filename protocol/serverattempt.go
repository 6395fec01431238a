package protocol

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// trial is one request on its way through the checks. What it learns is kept while the
// record is loaded again after a lost race: an outcome is found out once and weighed anew.
type trial struct {
	*attempt
	server  *Server
	id      KeyID
	request [sha256.Size]byte
	now     int64

	authenticated bool
	completer     *splitkey.Completer
	share         *splitkey.ServerShare
	checked       *splitkey.Checked
	outcome       pinlock.Outcome // 0 until y was looked at

	// Of the last decision only.
	answer *answer
	events []*event
}

// attempt answers every request but an enrolment. The order of its checks is that of
// docs/protocol.md, "What the server checks".
func (s *Server) attempt(ctx context.Context, e *envelope, plaintext []byte, request [sha256.Size]byte) (*answer, error) {
	a, err := parseAttempt(plaintext)
	if err != nil {
		return nil, err
	}
	defer a.wipe()
	if a.op != e.op {
		return nil, fmt.Errorf("%w: two operations", ErrMalformed)
	}
	now, err := s.now()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	if err := s.checkChallenge(a.challenge, e.keyID, a.binding(), now); err != nil {
		return nil, err
	}
	t := &trial{attempt: a, server: s, id: e.keyID, request: request, now: now}
	defer t.wipe()
	_, err = pinlock.Update(ctx, s.config.Store, e.keyID.recordID(), func(value []byte) ([]byte, error, error) {
		next, err := t.decide(ctx, value)
		return next, nil, err
	})
	switch {
	case err == nil:
		if err := s.audit(ctx, e.keyID, t.events...); err != nil {
			s.failed(ctx, e.keyID, err)
			return &answer{code: codeLater}, nil
		}
		return t.finish(ctx), nil
	case t.authenticated:
		// Whether the attempt was counted is not known: nothing may be told of it.
		s.failed(ctx, e.keyID, err)
		if err := s.auditUnknown(ctx, e.keyID, t.events...); err != nil {
			s.failed(ctx, e.keyID, err)
		}
		return &answer{code: codeLater}, nil
	case errors.Is(err, pinlock.ErrNotFound):
		t.pretend(ctx)
		return nil, ErrUnknownKey
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

var nobodyAAD = []byte("tandem v1 nobody's device key")

func (t *trial) wipe() {
	if t.share != nil {
		t.share.Wipe()
	}
}

// decide weighs the request against the record: it sets the answer and the events, and
// returns the new record, or nil if there is nothing to write.
func (t *trial) decide(ctx context.Context, value []byte) ([]byte, error) {
	rec, err := parseRecord(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	t.answer, t.events = nil, nil
	if err := t.authenticate(ctx, rec); err != nil {
		return nil, err
	}
	if err := t.server.audited(ctx); err != nil {
		return nil, err
	}
	if before := rec.ring.find(t.request); before != nil {
		return nil, t.again(ctx, rec, before)
	}
	at, err := t.time(rec)
	if err != nil {
		return nil, err
	}
	if t.answer = t.refusal(rec, at); t.answer != nil {
		return nil, nil
	}
	write, err := t.settle(ctx, rec, at)
	if err != nil || !write {
		return nil, err
	}
	rec.latest, rec.challenges = at, t.server.challenges.id
	return rec.encode()
}

// authenticate checks that the device sent the request. Before it succeeds nothing may be answered.
func (t *trial) authenticate(ctx context.Context, rec *record) error {
	if t.authenticated {
		return nil // K_dev never changes
	}
	key, err := t.server.config.Sealer.Open(ctx, deviceKeyAAD(t.id), rec.sealedKey)
	if err != nil {
		return fmt.Errorf("%w: %w", errInternal, err)
	}
	defer clear(key)
	if len(key) != secretSize {
		return fmt.Errorf("%w: %w: device key", errInternal, ErrRecord)
	}
	k := newSecret(key)
	defer k.wipe()
	if t.authenticated = t.authentic(k, t.id); !t.authenticated {
		return fmt.Errorf("%w: not the device's", ErrMalformed)
	}
	return nil
}

// time is the record's time. A clock far behind it cannot tell a fresh challenge from an old one that was recorded, so nothing
// is decided by it; unless the challenge key is a new one, which makes every old challenge void. Only then does it go back.
func (t *trial) time(rec *record) (int64, error) {
	if t.now+clockSkew.Milliseconds() < rec.latest {
		if rec.challenges != t.server.challenges.id {
			return t.now, nil
		}
		return 0, errors.New("protocol: the clock is behind the record's last change: correct the clock, or, " +
			"if it ran ahead before, replace the challenge key")
	}
	return max(t.now, rec.latest), nil
}

// again answers a request that was settled before. Nothing is counted or changed.
func (t *trial) again(ctx context.Context, rec *record, before *settled) error {
	switch {
	case before.fate == fateGivenUp:
		t.answer = &answer{code: codeGivenUp}
	case before.fate == fateWrong:
		t.answer = &answer{code: codeWrong, current: rec.current, verdict: before.verdict}
	case rec.condition == Destroyed && t.op != OpRefresh:
		t.answer = &answer{code: codeDestroyed, reason: rec.reason}
	case t.op != OpRefresh && t.now >= before.expires+answerLife.Milliseconds():
		t.answer = &answer{code: codeExpired}
	default:
		t.answer = &answer{code: codeRight, current: rec.current}
		if t.op == OpRefresh {
			return nil
		}
		outcome, err := t.try(ctx, rec)
		if err != nil {
			return err
		}
		if outcome != pinlock.Right {
			return errors.New("protocol: a right partial signature is wrong now")
		}
	}
	return nil
}

// refusal returns the answer to a request that is not looked at, or nil.
func (t *trial) refusal(rec *record, at int64) *answer {
	switch {
	case rec.condition == Destroyed:
		return &answer{code: codeDestroyed, reason: rec.reason}
	case t.challenge.expires <= at:
		return &answer{code: codeExpired}
	case rec.condition == Pending && t.op != OpConfirm && at < rec.until:
		return &answer{code: codeUnconfirmed}
	}
	return nil
}

// settle decides about a fresh request, and reports whether the record changed.
func (t *trial) settle(ctx context.Context, rec *record, at int64) (bool, error) {
	if rec.condition == Pending && at >= rec.until {
		return t.destroy(rec, ReasonExpired, newEvent(slog.LevelInfo, eventExpired)), nil
	}
	if !t.holdsToken(rec.current) {
		return t.destroy(rec, ReasonClone, newEvent(slog.LevelError, eventClone)), nil
	}
	ring := rec.ring.without(at).giveUp(t.givenUp, at)
	if len(ring) >= maxRing {
		t.answer = &answer{code: codeLater}
		return false, nil
	}
	if t.op == OpRefresh {
		rec.ring = append(ring, settled{request: t.request, expires: t.challenge.expires, fate: fateRight})
		rec.current = t.next
		t.answer = &answer{code: codeRight, current: rec.current}
		t.events = []*event{newEvent(slog.LevelInfo, eventRefreshed)}
		return true, nil
	}
	return t.count(ctx, rec, ring, at)
}

// destroy makes the key dead for ever, and says so after the events that led to it.
func (t *trial) destroy(rec *record, why Reason, events ...*event) bool {
	rec.destroy(why)
	t.answer = &answer{code: codeDestroyed, reason: why}
	t.events = append(events, destroyedEvent(why))
	return true
}

// holdsToken compares every token: which of them matches is nobody's secret, but need not show.
func (t *trial) holdsToken(current [sha256.Size]byte) bool {
	found := 0
	for _, token := range t.tokens {
		c := token.commitment()
		found |= subtle.ConstantTimeCompare(c[:], current[:])
	}
	return found == 1
}

// count tries the PIN unless the key is locked, and counts the outcome. In the same write the token
// changes and the request enters the ring.
func (t *trial) count(ctx context.Context, rec *record, ring ring, at int64) (bool, error) {
	policy, now := t.server.config.Policy, time.UnixMilli(at)
	if t.outcome == 0 {
		state, refusal := policy.Admit(rec.counter, now)
		if refusal != nil {
			return t.refuse(rec, state, refusal)
		}
		outcome, err := t.try(ctx, rec)
		if errors.Is(err, splitkey.ErrMalformedPartial) || errors.Is(err, splitkey.ErrMessage) {
			t.answer = &answer{code: codeRejected}
			return false, nil
		}
		if err != nil {
			return false, err
		}
		t.outcome = outcome
	}
	state, refusal := policy.Next(rec.counter, t.outcome, now)
	entry := settled{request: t.request, expires: t.challenge.expires}
	var wrong *pinlock.WrongPINError
	switch {
	case refusal == nil:
		entry.fate = fateRight
		rec.current = t.next
		if t.holdsToken(t.next) {
			// A thief who drops the answers makes the device use its third token again and again. If a right PIN
			// without a new token gave tries back, his copy would guess between any two logins for ever.
			state = rec.counter
		}
		t.answer = &answer{code: codeRight, current: rec.current}
		t.events = []*event{t.rightEvent(rec)}
		rec.condition = Active
	case errors.As(refusal, &wrong):
		entry.fate = fateWrong
		entry.verdict = verdict{remaining: uint8(wrong.Remaining), total: uint8(wrong.RemainingTotal)}
		if !wrong.LockedUntil.IsZero() {
			entry.verdict.until = wrong.LockedUntil.UnixMilli()
		}
		t.answer = &answer{code: codeWrong, current: rec.current, verdict: entry.verdict}
		t.events = wrongEvents(entry.verdict)
	default:
		return t.refuse(rec, state, refusal)
	}
	rec.ring, rec.counter = append(ring, entry), state
	if state.Destroyed() {
		rec.destroy(ReasonPIN)
	}
	return true, nil
}

func (t *trial) rightEvent(rec *record) *event {
	switch {
	case rec.condition == Pending:
		return newEvent(slog.LevelInfo, eventConfirmed)
	case t.op == OpSign:
		return newEvent(slog.LevelInfo, eventSigned)
	}
	return newEvent(slog.LevelInfo, eventProved)
}

// refuse answers for a key that is locked, or dead by a stricter policy.
func (t *trial) refuse(rec *record, state pinlock.State, refusal error) (bool, error) {
	var locked *pinlock.LockedError
	switch {
	case errors.As(refusal, &locked):
		t.answer = &answer{code: codeLocked, verdict: verdict{until: locked.Until.UnixMilli()}}
		changed := state != rec.counter
		rec.counter = state
		return changed, nil
	case errors.Is(refusal, pinlock.ErrDestroyed):
		return t.destroy(rec, ReasonPIN), nil
	}
	return false, refusal
}

// try looks at y. It has no effect that anybody can see.
func (t *trial) try(ctx context.Context, rec *record) (pinlock.Outcome, error) {
	if err := t.restore(ctx, rec); err != nil {
		return 0, err
	}
	text := t.signed()
	m, err := splitkey.EncodeWithSalt(t.completer.FinalKey(), text.digest, text.options(), t.salt)
	if err != nil {
		return 0, err
	}
	t.checked, err = t.completer.Check(m, t.partial)
	if errors.Is(err, splitkey.ErrPartial) {
		return pinlock.Wrong, nil
	}
	if err != nil {
		return 0, err
	}
	return pinlock.Right, nil
}

// restore opens the share and finds the server key, once.
func (t *trial) restore(ctx context.Context, rec *record) error {
	if t.completer != nil {
		return nil
	}
	plaintext, err := t.server.config.Sealer.Open(ctx, shareAAD(t.id), rec.sealedShare)
	if err != nil {
		return err
	}
	defer clear(plaintext)
	sec, err := parseSecrets(plaintext)
	if err != nil {
		return err
	}
	share, err := splitkey.ParseServerShare(sec.share)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	t.share = share
	var own splitkey.RSAKey
	if len(sec.serverKey) > 0 {
		if t.server.config.Keys == nil {
			return errors.New("protocol: the key needs a KeySource")
		}
		if own, err = t.server.config.Keys.LoadKey(ctx, sec.serverKey); err != nil {
			return err
		}
	}
	c, err := splitkey.RestoreCompleter(share, own, sec.precomputed)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if !c.PublicKey().Equal(&rec.public) {
		return fmt.Errorf("%w: another final key", ErrRecord)
	}
	t.completer = c
	return nil
}

// finish makes the signature of a right request, new or repeated, after it was counted. Whatever fails
// now costs no attempt: the device sends the same bytes again.
func (t *trial) finish(ctx context.Context) *answer {
	if t.answer.code != codeRight || t.op == OpRefresh {
		return t.answer
	}
	signature, err := t.completer.Finish(ctx, t.checked)
	if err != nil {
		t.server.failed(ctx, t.id, err)
		return &answer{code: codeLater}
	}
	if t.op == OpSign && t.server.config.Signed != nil {
		if err := t.server.config.Signed(ctx, t.result(signature)); err != nil {
			t.server.failed(ctx, t.id, fmt.Errorf("protocol: the service did not take the signature: %w", err))
			return &answer{code: codeLater}
		}
	}
	t.answer.signature = signature
	return t.answer
}

func (t *trial) result(signature []byte) Signed {
	return Signed{
		KeyID: t.id, Challenge: append([]byte(nil), t.challenge.raw[:]...), Expires: time.UnixMilli(t.challenge.expires).UTC(),
		Digest: append([]byte(nil), t.text.digest...), Options: t.text.optionsWith(len(t.salt)),
		Signature: append([]byte(nil), signature...), PublicKey: t.completer.PublicKey(),
	}
}
