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
)

// Causes of refusals.
var (
	errMAC = errors.New("MAC")
	// errHardware is for the right MAC without the hardware's signature.
	errHardware = errors.New("server: not signed by the phone's hardware")
)

// decision is what the server decided about a request, or about a record.
type decision struct {
	record *record
	answer *wire.Answer
	event  event // what happened, if its kind is not 0
	write  bool  // the record changed, and is to be written
	sign   bool  // the signatures are to be made, once all is durable
}

// told is a decision to write nothing.
func told(code wire.Code) decision { return decision{answer: &wire.Answer{Code: code}} }

func toldDestroyed(rec *record) decision {
	return decision{answer: &wire.Answer{Code: wire.CodeDestroyed, Reason: rec.reason}}
}

// destroyed makes the key dead for ever.
func destroyed(rec *record, why protocol.Reason, now int64) decision {
	rec.destroy(why)
	d := toldDestroyed(rec)
	d.write, d.event = true, event{kind: destroyedEvent, at: now, reason: why}
	return d
}

// decide weighs a request of the device's against the record, and changes the record:
// checks 5 to 17 in their order.
func (t *trial) decide(ctx context.Context, rec *record) (decision, error) {
	if err := t.authenticate(ctx, rec); err != nil { // 5, 6
		return decision{}, err
	}
	r := t.request
	subject := r.Subject(t.hash)
	// A Cancel always works, however old the challenge that it carries.
	live := r.Op == protocol.OpCancel || r.Challenge.Expires > t.now
	// One from before a recovery is over until the device proves its PIN, for a Cancel
	// too: anybody may have recorded it.
	if rec.unheard && r.Challenge.Issued <= rec.recovered {
		live = false
	}
	dead := rec.condition == Destroyed
	switch {
	case r.Op == protocol.OpReport && dead: // 7
		return toldDestroyed(rec), nil
	case r.Op == protocol.OpReport: // 7
		return destroyed(rec, protocol.ReasonClone, t.now), nil
	case r.Number == rec.last.number && subject == rec.last.request: // 8
		return t.again(ctx, rec)
	case r.Number == rec.last.number && live && !dead: // 9
		return destroyed(rec, protocol.ReasonClone, t.now), nil
	case r.Number <= rec.last.number: // 10
		return told(wire.CodeSuperseded), nil
	case dead: // 11
		return toldDestroyed(rec), nil
	case !live: // 11
		return told(wire.CodeExpired), nil
	case rec.over(t.now) && r.Op != protocol.OpCancel: // 11
		return destroyed(rec, protocol.ReasonExpired, t.now), nil
	case rec.condition == Pending && r.Op != protocol.OpConfirm && r.Op != protocol.OpCancel: // 11
		return told(wire.CodeUnconfirmed), nil
	case !rec.unheard && (r.Number != rec.last.number+1 || r.Chain != rec.chain || !holds(r.Token, rec.commitment)): // 12
		return destroyed(rec, protocol.ReasonClone, t.now), nil
	case r.Op == protocol.OpCancel: // 13
		return t.settle(rec, wire.FateCancelled, event{kind: cancelledEvent}), nil
	case r.Op == protocol.OpRefresh: // 13
		return t.settle(rec, wire.FateRight, event{kind: refreshedEvent}), nil
	case r.Op == protocol.OpSign && r.Challenge.Binding != r.Messages.Binding(): // 14
		t.server.config.Log.LogAttrs(ctx, slog.LevelInfo, "request rejected",
			named(ctx, slog.String("key", t.id.String()), slog.String("cause", "the challenge is for other digests"))...)
		return told(wire.CodeRejected), nil
	}
	return t.count(ctx, rec) // 15 to 17
}

// settle puts the fate of a request into the record (17). A right PIN and a Refresh
// replace the token.
func (t *trial) settle(rec *record, f wire.Fate, e event) decision {
	r := t.request
	if rec.unheard {
		rec.chain = r.Chain // the device's is ahead of what the store kept
	}
	rec.last = settled{number: r.Number, request: r.Subject(t.hash), fate: f, verdict: e.verdict}
	rec.chain = wire.NextChain(rec.chain, rec.last.request, f)
	if f == wire.FateRight {
		rec.commitment = r.Target
	}
	e.at = t.now
	answer := &wire.Answer{Code: codes[f], Verdict: e.verdict}
	return decision{answer: answer, event: e, write: true}
}

// codes tell the device the fate of its request.
var codes = map[wire.Fate]wire.Code{
	wire.FateRight: wire.CodeRight, wire.FateWrong: wire.CodeWrong, wire.FateCancelled: wire.CodeCancelled,
}

// authenticate checks that the device sent the request: 5 and 6. Until it succeeds
// nothing may be answered.
func (t *trial) authenticate(ctx context.Context, rec *record) error {
	if t.authenticated {
		return nil // neither K_dev, nor the record key, nor the hardware key ever changes
	}
	k, err := openDeviceSecrets(ctx, t.server.config.Sealer, authKeyAAD(t.id), rec.sealedKey) // 5
	if err != nil {
		return fmt.Errorf("%w: %w", errInternal, err)
	}
	defer func() {
		if !t.authenticated {
			k.wipe()
		}
	}()
	if !t.request.Authentic(k.authKey, t.id) { // 6
		return fmt.Errorf("%w: %w: not the device's", protocol.ErrMalformed, errMAC)
	}
	if !wire.HardwareSigned(rec.hardware, t.id, t.request.Body(), t.request.Hardware) { // 6
		return fmt.Errorf("%w: key %v", errHardware, t.id)
	}
	t.authenticated, t.secrets = true, k
	return nil
}

// pretend does for an unknown key what authenticate does for a known one, with a key of
// nobody's (4): with a Sealer in an HSM the time for it could be told from its absence
// over the network.
func (t *trial) pretend(ctx context.Context) {
	s := t.server
	sealed := s.nobody.Load()
	if sealed == nil {
		drawn := newDeviceSecrets(wire.DrawSecret())
		defer drawn.wipe()
		b, err := drawn.seal(ctx, s.config.Sealer, nobodyAAD)
		if err != nil {
			return // known keys cannot be opened either
		}
		sealed = &b
		s.nobody.Store(sealed)
	}
	keys, err := openDeviceSecrets(ctx, s.config.Sealer, nobodyAAD, *sealed)
	if err != nil {
		s.nobody.CompareAndSwap(sealed, nil) // the sealing key was retired
		return
	}
	defer keys.wipe()
	_ = t.request.Authentic(keys.authKey, t.id)
}

var nobodyAAD = []byte("tandem v2 nobody's authentication key")

func holds(token wire.Secret, commitment wire.Hash) bool {
	c := token.Commitment()
	return subtle.ConstantTimeCompare(c[:], commitment[:]) == 1
}

// again answers a request that was settled before, or a Cancel of it. It counts and
// changes nothing.
func (t *trial) again(ctx context.Context, rec *record) (decision, error) {
	switch last := rec.last; {
	case last.fate == wire.FateWrong:
		return decision{answer: &wire.Answer{Code: wire.CodeWrong, Verdict: last.verdict}}, nil
	case last.fate == wire.FateCancelled:
		return told(wire.CodeCancelled), nil
	case t.request.Op == protocol.OpRefresh:
		return told(wire.CodeRight), nil
	case rec.condition == Destroyed:
		return toldDestroyed(rec), nil
	case t.request.Op == protocol.OpCancel:
		return told(wire.CodeRight), nil
	case t.now >= t.request.Challenge.Expires+answerLife.Milliseconds():
		return told(wire.CodeExpired), nil
	}
	outcome, err := t.try(ctx, rec)
	if err != nil {
		return decision{}, err
	}
	if outcome != limiter.Right {
		return decision{}, errors.New("server: a right partial signature is wrong now")
	}
	d := told(wire.CodeRight)
	d.sign = true
	return d, nil
}
