package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// AuditSink keeps what happens to keys, outside of the store: after a store was restored
// from a backup it is the memory of the wrong PINs and the destroyed keys since
// (docs/operating.md). It is used from many goroutines at once.
type AuditSink interface {
	// Record keeps an event and returns nil once it is as durable as it has to be. Until
	// then the event waits in the key's record, which holds 8. When there are more, no
	// request of that key is settled any more, and its devices are told "later"; only its
	// destruction takes effect, and waits as well.
	//
	// An event comes at least once, after it is durable in the store, and in order of its
	// number for each key. One that comes again is the same in every field. The number of
	// an event that came before with another Time says that the store went back: keep
	// both. Record does not keep the attributes' slice.
	Record(ctx context.Context, e Event) error
}

// Event is what happened to a key, and is durable in the store: docs/protocol.md lists
// the kinds and their attributes. It has no digest, signature, partial signature, token
// or anything else that came out of a request.
type Event struct {
	Time   time.Time // by the node's clock
	Key    protocol.KeyID
	Number uint64 // 1, 2, 3 and so on for each key, in the order of what happened; 0 without a record
	Kind   string // stable: operators search for it
	Level  slog.Level
	Attrs  []slog.Attr
}

// MarshalJSON writes one object: time, level, kind, key and the attributes by their
// names.
func (e Event) MarshalJSON() ([]byte, error) {
	object := map[string]any{"time": e.Time.UTC(), "level": e.Level, "kind": e.Kind}
	for _, a := range e.attrs() {
		object[a.Key] = a.Value.Any()
	}
	return json.Marshal(object)
}

// NewAuditLog returns a sink that writes events as records of log/slog and fails where
// the handler does: the handlers of log/slog return the errors of their writer. A logger
// would not say. Whether what was written is durable depends on the writer.
func NewAuditLog(h slog.Handler) AuditSink { return handlerSink{h} }

type handlerSink struct{ handler slog.Handler }

func (h handlerSink) Record(ctx context.Context, e Event) error {
	if isnil.Value(h.handler) {
		return wire.ErrNothing
	}
	r := slog.NewRecord(e.Time, e.Level, e.Kind, 0)
	r.AddAttrs(e.attrs()...)
	return h.handler.Handle(ctx, r)
}

// loggerSink never fails: a slog.Logger keeps its handler's errors to itself.
type loggerSink struct{ log *slog.Logger }

func (l loggerSink) Record(ctx context.Context, e Event) error {
	l.log.LogAttrs(ctx, e.Level, e.Kind, e.attrs()...)
	return nil
}

func (e Event) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("key", e.Key.String())}
	if e.Number > 0 {
		attrs = append(attrs, slog.Uint64("event", e.Number))
	}
	return append(attrs, e.Attrs...)
}
