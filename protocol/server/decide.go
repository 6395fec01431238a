package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// decision is what the server decided about a request, or about a record.
type decision struct {
	answer *wire.Answer
	event  event // what happened, if its kind is not 0
	write  bool  // the record changed
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
// checks 7 to 14 of docs/protocol.md, section 5, in their order. Each case has the number
// of its check.
func (t *trial) decide(ctx context.Context, rec *record) (decision, error) {
	subject := t.Subject(t.hash)
	// A Cancel always works, however old the challenge that it carries.
	live := t.Op == protocol.OpCancel || t.Challenge.Expires > t.now
	// One from before a recovery is over until the device proves its PIN, for a Cancel too:
	// anybody may have recorded it.
	if rec.unheard && t.Challenge.Issued <= rec.recovered {
		live = false
	}
	dead := rec.condition == Destroyed
	switch {
	case t.Op == protocol.OpReport && dead: // 7
		return toldDestroyed(rec), nil
	case t.Op == protocol.OpReport: // 7
		return destroyed(rec, protocol.ReasonClone, t.now), nil
	case t.Number == rec.last.number && subject == rec.last.request: // 8
		return t.again(ctx, rec)
	case t.Number == rec.last.number && live && !dead: // 9
		return destroyed(rec, protocol.ReasonClone, t.now), nil
	case t.Number <= rec.last.number: // 10
		return told(wire.CodeSuperseded), nil
	case dead: // 11
		return toldDestroyed(rec), nil
	case !live: // 11
		return told(wire.CodeExpired), nil
	case rec.over(t.now) && t.Op != protocol.OpCancel: // 11
		return destroyed(rec, protocol.ReasonExpired, t.now), nil
	case rec.condition == Pending && t.Op != protocol.OpConfirm && t.Op != protocol.OpCancel: // 11
		return told(wire.CodeUnconfirmed), nil
	case !rec.unheard && (t.Number != rec.last.number+1 || t.Chain != rec.chain || !t.holdsToken(rec.current)): // 12
		return destroyed(rec, protocol.ReasonClone, t.now), nil
	case t.Op == protocol.OpCancel: // 13
		return t.settle(rec, wire.FateCancelled, event{kind: cancelledEvent}), nil
	case t.Op == protocol.OpRefresh: // 13
		return t.settle(rec, wire.FateRight, event{kind: refreshedEvent}), nil
	case t.Op == protocol.OpSign && t.Challenge.Binding != t.Messages.Binding(): // 14
		t.server.config.Log.LogAttrs(ctx, slog.LevelInfo, "request rejected",
			named(ctx, slog.String("key", t.id.String()), slog.String("cause", "the challenge is for other digests"))...)
		return told(wire.CodeRejected), nil
	}
	return t.count(ctx, rec) // 15 to 17
}

func (t *trial) holdsToken(current wire.Hash) bool {
	c := t.Token.Commitment()
	return subtle.ConstantTimeCompare(c[:], current[:]) == 1
}

// again answers a request that was settled before, or a Cancel of it. It counts and
// changes nothing.
func (t *trial) again(ctx context.Context, rec *record) (decision, error) {
	switch last := rec.last; {
	case last.fate == wire.FateWrong:
		return decision{answer: &wire.Answer{Code: wire.CodeWrong, Verdict: last.verdict}}, nil
	case last.fate == wire.FateCancelled:
		return told(wire.CodeCancelled), nil
	case t.Op == protocol.OpRefresh:
		return told(wire.CodeRight), nil
	case rec.condition == Destroyed:
		return toldDestroyed(rec), nil
	case t.Op == protocol.OpCancel:
		return told(wire.CodeRight), nil
	case t.now >= t.Challenge.Expires+answerLife.Milliseconds():
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
