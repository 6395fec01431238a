package protocol

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// event is an audit event: what happened to a key, and is durable. Every record has the
// key's id under "key". No record has a digest, a signature, a partial signature, a
// token or anything else that came out of a request.
type event struct {
	level slog.Level
	text  string
	attrs []slog.Attr
}

// The texts are stable: operators search for them. docs/protocol.md lists them.
const (
	eventEnrolled  = "key enrolled"
	eventRefused   = "enrolment refused"
	eventConfirmed = "key confirmed"
	eventSigned    = "signature made"
	eventProved    = "PIN proved"
	eventRefreshed = "token refreshed"
	eventWrong     = "wrong PIN"
	eventLocked    = "key locked"
	eventDestroyed = "key destroyed"
	eventClone     = "clone detected"
	eventRevoked   = "key revoked"
	eventExpired   = "enrolment expired"
)

func newEvent(level slog.Level, text string, attrs ...slog.Attr) *event {
	return &event{level, text, attrs}
}

func destroyedEvent(why Reason) *event {
	return newEvent(slog.LevelError, eventDestroyed, slog.String("reason", why.String()))
}

// wrongEvents are those of one wrong PIN: it may lock or destroy the key.
func wrongEvents(v verdict) []*event {
	events := []*event{newEvent(slog.LevelWarn, eventWrong, slog.Int("tries_left", int(v.remaining)), slog.Int("tries_left_in_all", int(v.total)))}
	switch {
	case v.total == 0:
		events = append(events, destroyedEvent(ReasonPIN))
	case v.until != 0:
		events = append(events, newEvent(slog.LevelWarn, eventLocked, slog.Time("until", time.UnixMilli(v.until).UTC())))
	}
	return events
}

func (s *Server) audit(ctx context.Context, id KeyID, events ...*event) {
	for _, e := range events {
		s.log(id).LogAttrs(ctx, e.level, e.text, e.attrs...)
	}
}

// auditUnknown is audit for a write of which the store does not say whether it took place. If it did, whoever tries
// again finds it done and has nothing to tell; if not, the same events come again, without the mark.
func (s *Server) auditUnknown(ctx context.Context, id KeyID, events ...*event) {
	for _, e := range events {
		s.log(id).LogAttrs(ctx, e.level, e.text, append(slices.Clone(e.attrs), slog.String("stored", "unknown"))...)
	}
}

// errInternal marks failures that are the server's own, for the log.
var errInternal = errors.New("protocol: server failure")

// refused logs why a request got no answer: errors of this package and its neighbours, which hold no
// secret and nothing of the request.
func (s *Server) refused(ctx context.Context, err error) {
	level := slog.LevelDebug
	if errors.Is(err, errInternal) {
		level = slog.LevelError
	}
	s.config.Log.LogAttrs(ctx, level, "request refused", slog.String("cause", err.Error()))
}

// failed logs a failure that the device is told of as "try again".
func (s *Server) failed(ctx context.Context, id KeyID, err error) {
	s.log(id).LogAttrs(ctx, slog.LevelError, "request not finished", slog.String("cause", err.Error()))
}
