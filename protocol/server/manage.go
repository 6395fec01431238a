package server

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
)

// KeyStatus is what the service may know and show of a key.
type KeyStatus struct {
	Condition Condition
	Reason    protocol.Reason // of a destroyed key
	PublicKey *rsa.PublicKey  // the final key, which signatures verify under
	Enrolled  time.Time
	Hardware  bool           // each request is signed by a key of the phone's hardware
	Requests  uint64         // number of the last one that was settled
	Waiting   int            // events that the record holds, and that may not be delivered
	ConfirmBy time.Time      // of a pending key; if that time has passed, it never will be
	Recovered time.Time      // when the recovery began since which the device has not proved its PIN, or zero
	Attempts  limiter.Status // of the PIN
}

// Status returns what the store knows of a key. It changes nothing. The error is
// [ErrUnknownKey], wraps [ErrRecord], or is the store's.
func (s *Server) Status(ctx context.Context, id protocol.KeyID) (*KeyStatus, error) {
	if err := s.made(ctx); err != nil {
		return nil, err
	}
	rec, err := s.load(ctx, id)
	if errors.Is(err, limiter.ErrNotFound) {
		return nil, ErrUnknownKey
	}
	if err != nil {
		return nil, err
	}
	attempts, err := s.config.Policy.Peek(rec.counter, s.config.Clock())
	if err != nil {
		return nil, err
	}
	status := &KeyStatus{
		Condition: rec.condition, Reason: rec.reason, PublicKey: &rec.public,
		Enrolled: time.UnixMilli(rec.created).UTC(), Attempts: attempts,
		Hardware: len(rec.hardware) > 0, Requests: rec.last.number, Waiting: len(rec.events),
	}
	if rec.unheard {
		status.Recovered = time.UnixMilli(rec.recovered).UTC()
	}
	if rec.condition == Pending {
		status.ConfirmBy = time.UnixMilli(rec.until).UTC()
	}
	return status, nil
}

// Revoke destroys a key: its share is erased, durably, when Revoke returns nil. why goes
// into the log. A key that is destroyed already stays as it is, which is no error. The
// error is [ErrUnknownKey], wraps [ErrRecord], or is the store's; after the last it is
// not known whether the key was revoked, and Revoke may be called again. An audit sink
// that is down does not stop it: the event waits in the record.
func (s *Server) Revoke(ctx context.Context, id protocol.KeyID, why string) error {
	if err := s.made(ctx); err != nil {
		return err
	}
	now, err := s.now()
	if err != nil {
		return fmt.Errorf("server: revoke: %w", err)
	}
	s.config.Log.LogAttrs(ctx, slog.LevelInfo, "revoking a key", slog.String("key", id.String()), slog.String("why", why))
	_, err = s.update(ctx, id, func(_ context.Context, rec *record) (d decision, err error) {
		if rec.condition != Destroyed {
			d = destroyed(rec, protocol.ReasonRevoked, now)
		}
		return d, nil
	})
	return known(err, "revoke")
}

// known puts an error of update into words for the service.
func known(err error, what string) error {
	if errors.Is(err, limiter.ErrNotFound) {
		return ErrUnknownKey
	}
	if err != nil {
		return fmt.Errorf("server: %s: %w", what, err)
	}
	return nil
}

// Expire destroys a key that was not confirmed in time, and reports whether the key is
// dead of that: true also if it was before, false for a key that is confirmed, may still
// be, or is dead of something else. The server does so itself only when somebody asks for
// the key or enrols its modulus again: until then the sealed share of an abandoned
// enrolment stays in the store. A service that does not want that calls Expire some time
// after [KeyStatus].ConfirmBy. The error is [ErrUnknownKey], wraps [ErrRecord], or is the
// store's; Expire may then be called again.
func (s *Server) Expire(ctx context.Context, id protocol.KeyID) (bool, error) {
	if err := s.made(ctx); err != nil {
		return false, err
	}
	now, err := s.now()
	if err != nil {
		return false, fmt.Errorf("server: expire: %w", err)
	}
	rec, err := s.expire(ctx, id, now, now)
	return err == nil && rec.reason == protocol.ReasonExpired, known(err, "expire")
}

// expire destroys a key that was not confirmed by the time at, and returns its record.
func (s *Server) expire(ctx context.Context, id protocol.KeyID, at, now int64) (*record, error) {
	d, err := s.update(ctx, id, func(_ context.Context, rec *record) (d decision, err error) {
		if rec.over(at) {
			d = destroyed(rec, protocol.ReasonExpired, now)
		}
		return d, nil
	})
	return d.record, err
}

// Reseal seals what the record of a key has sealed anew, with the Sealer's current key:
// for every record, after that key was rotated and before the old one is thrown away. It
// changes nothing else, and may run while requests are answered. The error is
// [ErrUnknownKey], wraps [ErrRecord], or is the store's or the Sealer's; Reseal may then
// be called again.
func (s *Server) Reseal(ctx context.Context, id protocol.KeyID) error {
	if err := s.made(ctx); err != nil {
		return err
	}
	_, err := s.update(ctx, id, func(ctx context.Context, rec *record) (decision, error) {
		keys, err := openDeviceSecrets(ctx, s.config.Sealer, authKeyAAD(id), rec.sealedKey)
		if err != nil {
			return decision{}, err
		}
		defer keys.wipe()
		// The share stays as it is: a request that is under way has the record key.
		rec.sealedKey, err = keys.seal(ctx, s.config.Sealer, authKeyAAD(id))
		return decision{write: true}, err
	})
	return known(err, "reseal")
}
