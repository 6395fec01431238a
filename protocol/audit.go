package protocol

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
)

// AuditSink keeps what happens to keys, outside of the store: after a store was restored from a backup
// it is the memory of the wrong PINs and the destroyed keys since (docs/operating.md). It is used from
// many goroutines at once.
type AuditSink interface {
	// Record keeps an event and returns nil once it is as durable as it has to be. Until it does, no
	// answer leaves that would tell of the event, and the node settles no other request: devices are told
	// "later". An event may come more than once. Record does not keep the attributes' slice.
	Record(ctx context.Context, e Event) error
}

// Event is what happened to a key, and is durable in the store: docs/protocol.md lists the kinds and their
// attributes. It has no digest, signature, partial signature, token or anything else that came out of
// a request.
type Event struct {
	Time  time.Time // by the node's clock
	Key   KeyID
	Kind  string // stable: operators search for it
	Level slog.Level
	Attrs []slog.Attr
}

// MarshalJSON writes one object: time, level, kind, key and the attributes by their names.
func (e Event) MarshalJSON() ([]byte, error) {
	object := map[string]any{"time": e.Time.UTC(), "level": e.Level, "kind": e.Kind, "key": e.Key}
	for _, a := range e.Attrs {
		object[a.Key] = a.Value.Any()
	}
	return json.Marshal(object)
}

// NewAuditLog returns a sink that writes events as records of log/slog and fails where the handler
// does: the handlers of log/slog return the errors of their writer. A logger would not say. Whether what was
// written is durable depends on the writer.
func NewAuditLog(h slog.Handler) AuditSink { return handlerSink{h} }

type handlerSink struct{ handler slog.Handler }

func (h handlerSink) Record(ctx context.Context, e Event) error {
	if isnil.Value(h.handler) {
		return errNothing
	}
	r := slog.NewRecord(e.Time, e.Level, e.Kind, 0)
	r.AddAttrs(slog.String("key", e.Key.String()))
	r.AddAttrs(e.Attrs...)
	return h.handler.Handle(ctx, r)
}

// loggerSink never fails: a slog.Logger keeps its handler's errors to itself.
type loggerSink struct{ log *slog.Logger }

func (l loggerSink) Record(ctx context.Context, e Event) error {
	attrs := append([]slog.Attr{slog.String("key", e.Key.String())}, e.Attrs...)
	l.log.LogAttrs(ctx, e.Level, e.Kind, attrs...)
	return nil
}

// event is an Event before it has a key and a time.
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

// outbox holds the events that the sink has not taken, in this node's memory, in front of all later ones.
type outbox struct {
	sink    AuditSink
	mu      sync.Mutex
	waiting []Event
}

// flush delivers what waits.
func (o *outbox) flush(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > 0 {
		if err := o.record(ctx, o.waiting[0]); err != nil {
			return err
		}
		o.waiting = o.waiting[1:]
	}
	return nil
}

// deliver delivers what waits, and then new events. Those that the sink does not take wait. There are
// few: while any waits no request is settled.
func (o *outbox) deliver(ctx context.Context, events []Event) error {
	err := o.flush(ctx)
	for err == nil && len(events) > 0 {
		if err = o.record(ctx, events[0]); err == nil {
			events = events[1:]
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, events...)
	return err
}

// record does not end with the request: what happened is durable.
func (o *outbox) record(ctx context.Context, e Event) error {
	if err := o.sink.Record(context.WithoutCancel(ctx), e); err != nil {
		return fmt.Errorf("protocol: the audit sink failed: %w", err)
	}
	return nil
}

// audited returns why the sink does not take what happened before. While it does not, nothing more may happen.
func (s *Server) audited(ctx context.Context) error { return s.events.flush(ctx) }

// audit tells the sink what happened. After an error nothing may be told to anybody else.
func (s *Server) audit(ctx context.Context, id KeyID, events ...*event) error {
	told := make([]Event, 0, len(events))
	for _, e := range events {
		told = append(told, Event{s.config.Clock(), id, e.text, e.level, e.attrs})
	}
	return s.events.deliver(ctx, told)
}

// auditUnknown is audit for a write of which the store does not say whether it took place. If it did, whoever tries
// again finds it done and has nothing to tell; if not, the same events come again, without the mark.
func (s *Server) auditUnknown(ctx context.Context, id KeyID, events ...*event) error {
	marked := make([]*event, 0, len(events))
	for _, e := range events {
		marked = append(marked, newEvent(e.level, e.text, append(slices.Clone(e.attrs), slog.String("stored", "unknown"))...))
	}
	return s.audit(ctx, id, marked...)
}
