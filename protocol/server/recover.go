package server

import (
	"context"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Recovery is what is known of a key, beside its record, once the store went back in
// time. docs/operating.md says what to do then.
type Recovery struct {
	// Began is when the recovery began: one time for all keys, later than that of any
	// other recovery. A key is charged once for each.
	Began time.Time `json:"began,omitzero"`

	// Events is the number of the key's last event that the audit sink has, or 0. New
	// events are numbered from there.
	Events uint64 `json:"events"`
	// TriesLeft is the fewest tries in all that the sink's events leave the key with,
	// since its last right PIN; -1 if there is no such event.
	TriesLeft int `json:"tries_left_in_all"`
	// Destroyed is why the key was destroyed, or 0 if the sink has no such event.
	Destroyed protocol.Reason `json:"destroyed,omitzero"`
	// Confirmed says that the key was confirmed.
	Confirmed bool `json:"confirmed"`
}

// Recover makes a key safe to use whose record may have gone back in time. It counts a
// full round of wrong PINs ([limiter.Policy.Charge]), on top of what the record and r
// know, and destroys again a key that r says was destroyed. It is called for every key
// before any request is handled.
//
// The device has numbers, chain and token that the record has lost. Until it proves its
// PIN, its requests are taken for the next ones whatever these three are, and are no sign
// of a clone. A challenge that was issued before the recovery has expired for them.
//
// A key that this recovery has charged stays as it is: after an error, Recover may be
// called again. The error is [ErrUnknownKey], wraps [ErrRecord], or is the store's, the
// clock's or the audit sink's, which must take what the record holds.
func (s *Server) Recover(ctx context.Context, id protocol.KeyID, r Recovery) error {
	if err := s.made(ctx); err != nil {
		return err
	}
	began := r.Began.UnixMilli()
	if began < 1 || began > wire.MaxTime || r.Destroyed != 0 && !wire.KnownReason(r.Destroyed) {
		return fmt.Errorf("server: recover: began at %v, destroyed for the reason %d", r.Began, r.Destroyed)
	}
	now, err := s.now()
	if err != nil {
		return fmt.Errorf("server: recover: %w", err)
	}
	_, err = s.update(ctx, id, func(ctx context.Context, rec *record) (decision, error) {
		if rec.recovered >= began {
			return decision{}, nil
		}
		// What the record holds has numbers from before.
		if err := s.deliver(ctx, id, rec); err != nil {
			return decision{}, err
		}
		rec.events, rec.eventNumber = nil, max(rec.eventNumber, r.Events)
		rec.recovered = began
		return s.charge(rec, r, now)
	})
	return known(err, "recover")
}

// charge counts what may have been lost.
func (s *Server) charge(rec *record, r Recovery, now int64) (decision, error) {
	if rec.condition == Destroyed {
		return decision{write: true}, nil
	}
	if r.Destroyed != 0 {
		return destroyed(rec, r.Destroyed, now), nil
	}
	at := time.UnixMilli(now)
	counter, err := s.config.Policy.Charge(rec.counter, r.TriesLeft, at)
	if err != nil {
		return decision{}, err
	}
	if counter.Destroyed() {
		return destroyed(rec, protocol.ReasonPIN, now), nil
	}
	status, err := s.config.Policy.Peek(counter, at)
	if err != nil {
		return decision{}, err
	}
	if r.Confirmed {
		rec.condition = Active
	}
	rec.counter, rec.unheard = counter, true
	verdict := wire.VerdictOf(&limiter.WrongPINError{Remaining: status.Remaining, RemainingTotal: status.RemainingTotal, LockedUntil: status.LockedUntil})
	return decision{write: true, event: event{kind: recoveredEvent, at: now, verdict: verdict}}, nil
}
