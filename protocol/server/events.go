package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// eventKind says what happened to a key.
type eventKind uint8

const (
	enrolledEvent  eventKind = 1
	confirmedEvent eventKind = 2
	signedEvent    eventKind = 3
	provedEvent    eventKind = 4 // a PIN, to change it
	refreshedEvent eventKind = 5
	cancelledEvent eventKind = 6
	wrongEvent     eventKind = 7 // it may have locked or destroyed the key
	destroyedEvent eventKind = 8 // for another reason than a wrong PIN at hand
	recoveredEvent eventKind = 9 // the record went back, and was charged
)

// The texts are stable: operators search for them. docs/protocol.md lists them.
const (
	eventEnrolled  = "key enrolled"
	eventRefused   = "enrolment refused"
	eventConfirmed = "key confirmed"
	eventSigned    = "signature made"
	eventProved    = "PIN proved"
	eventRefreshed = "token refreshed"
	eventCancelled = "request cancelled"
	eventWrong     = "wrong PIN"
	eventLocked    = "key locked"
	eventDestroyed = "key destroyed"
	eventClone     = "clone detected"
	eventRevoked   = "key revoked"
	eventExpired   = "enrolment expired"
	eventRecovered = "key recovered"
)

// maxEvents bounds the events that a record holds. The destruction of the key, its last
// event, has a place beside them: a sink that is down does not keep a key alive.
const maxEvents = 8

// event is what happened as a record has it, in the same conditional write as the fact.
// It stays there until it is delivered: a crash does not lose it. Its number follows from
// its place.
type event struct {
	kind      eventKind
	at        int64
	documents uint8
	reason    protocol.Reason
	verdict   wire.Verdict
}

const eventSize = 1 + 8 + 1 + 1 + 10

func (e event) append(b *cryptobyte.Builder) {
	b.AddUint8(uint8(e.kind))
	b.AddUint64(uint64(e.at))
	b.AddUint8(e.documents)
	b.AddUint8(uint8(e.reason))
	e.verdict.Append(b)
}

func readEvents(s cryptobyte.String, last uint64) ([]event, error) {
	var events []event
	if len(s)%eventSize != 0 || len(s)/eventSize > maxEvents+1 || uint64(len(s)/eventSize) > last {
		return nil, fmt.Errorf("%w: events", ErrRecord)
	}
	for !s.Empty() {
		var e event
		var kind, reason uint8
		var at uint64
		if !s.ReadUint8(&kind) || !s.ReadUint64(&at) || at > wire.MaxTime || !s.ReadUint8(&e.documents) || !s.ReadUint8(&reason) || !e.verdict.Read(&s) {
			return nil, fmt.Errorf("%w: event", ErrRecord)
		}
		e.kind, e.at, e.reason = eventKind(kind), int64(at), protocol.Reason(reason)
		if !e.consistent() {
			return nil, fmt.Errorf("%w: event", ErrRecord)
		}
		events = append(events, e)
	}
	return events, nil
}

func (e event) consistent() bool {
	wrong, verdict := e.kind == wrongEvent, e.verdict == wire.Verdict{}
	if e.kind == recoveredEvent {
		verdict = e.verdict.Total > 0
	}
	destroys := e.kind == destroyedEvent || wrong && e.verdict.Total == 0
	return e.kind >= enrolledEvent && e.kind <= recoveredEvent && (e.kind == signedEvent) == (e.documents > 0) &&
		(wrong || verdict) && destroys == wire.KnownReason(e.reason) && (destroys || e.reason == 0)
}

// tell returns what is told of an event: of one that ends something, that as well.
func (e event) tell(id protocol.KeyID, number uint64, r *record) []Event {
	var told []Event
	add := func(level slog.Level, kind string, attrs ...slog.Attr) {
		told = append(told, Event{time.UnixMilli(e.at).UTC(), id, number, kind, level, attrs})
	}
	switch e.kind {
	case enrolledEvent:
		add(slog.LevelInfo, eventEnrolled, slog.Int("bits", r.public.N.BitLen()))
	case confirmedEvent:
		add(slog.LevelInfo, eventConfirmed)
	case signedEvent:
		add(slog.LevelInfo, eventSigned, slog.Int("documents", int(e.documents)))
	case provedEvent:
		add(slog.LevelInfo, eventProved)
	case refreshedEvent:
		add(slog.LevelInfo, eventRefreshed)
	case cancelledEvent:
		add(slog.LevelInfo, eventCancelled)
	case recoveredEvent:
		add(slog.LevelWarn, eventRecovered, slog.Int("tries_left_in_all", int(e.verdict.Total)), slog.Time("until", time.UnixMilli(e.verdict.Until).UTC()))
	case wrongEvent:
		add(slog.LevelWarn, eventWrong, slog.Int("tries_left", int(e.verdict.Remaining)), slog.Int("tries_left_in_all", int(e.verdict.Total)))
		if e.verdict.Until != 0 && e.verdict.Total > 0 {
			add(slog.LevelWarn, eventLocked, slog.Time("until", time.UnixMilli(e.verdict.Until).UTC()))
		}
	}
	switch {
	case e.kind == destroyedEvent && e.reason == protocol.ReasonClone:
		add(slog.LevelError, eventClone)
	case e.reason == protocol.ReasonExpired:
		add(slog.LevelInfo, eventExpired)
	case e.reason == protocol.ReasonRevoked:
		add(slog.LevelInfo, eventRevoked)
	}
	if e.reason != 0 {
		add(slog.LevelError, eventDestroyed, slog.String("reason", e.reason.String()))
	}
	return told
}

// noteRefusal tells the sink of a refused enrolment, which is in no record. A node tells
// each reason once for each challenge, so that the holder of one cannot fill the sink by
// sending on.
func (s *Server) noteRefusal(ctx context.Context, id protocol.KeyID, why wire.Refusal) error {
	said := delivery{refusal: why}
	if s.delivered.has(id, said) {
		return nil
	}
	err := s.tellSink(ctx, Event{Time: s.config.Clock(), Key: id, Kind: eventRefused, Level: slog.LevelWarn,
		Attrs: []slog.Attr{slog.String("reason", why.String())}})
	if err == nil {
		s.delivered.add(id, said)
	}
	return err
}

// tellSink gives an event to the sink. It does not end with the request: what happened is
// durable.
func (s *Server) tellSink(ctx context.Context, e Event) error {
	if err := s.config.Audit.Record(context.WithoutCancel(ctx), e); err != nil {
		return fmt.Errorf("server: the audit sink failed: %w", err)
	}
	return nil
}

// errUndelivered is why nothing is settled for a key whose events the sink does not take.
var errUndelivered = errors.New("server: too many events are not delivered")

// deliver gives the record's events to the sink, but for those that this node has
// delivered before. The record keeps them until it is written the next time.
func (s *Server) deliver(ctx context.Context, id protocol.KeyID, r *record) error {
	for i, e := range r.events {
		number := r.eventNumber - uint64(len(r.events)-1-i)
		said := delivery{number: number, event: e}
		if s.delivered.has(id, said) {
			continue
		}
		for _, told := range e.tell(id, number, r) {
			if err := s.tellSink(ctx, told); err != nil {
				s.undelivered(ctx, told, err, len(r.events)-i)
				return err
			}
		}
		s.delivered.add(id, said)
	}
	return nil
}

// delivery is what a node has told the sink: an event with its number, or a refusal. The
// number alone does not say which event it is: a store that was put back to an earlier
// value gives it to another.
type delivery struct {
	number  uint64
	event   event
	refusal wire.Refusal
}

// delivered remembers for some keys what this node has delivered last. What it forgets is
// delivered twice.
type delivered struct {
	mu   sync.Mutex
	said map[protocol.KeyID][]delivery // up to maxEvents+1, the oldest first
}

// maxDelivered bounds the keys that a node remembers.
const maxDelivered = 1 << 14

func (d *delivered) has(id protocol.KeyID, e delivery) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.said[id], e)
}

func (d *delivered) add(id protocol.KeyID, e delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.said == nil || len(d.said) >= maxDelivered {
		d.said = make(map[protocol.KeyID][]delivery)
	}
	said := append(d.said[id], e)
	d.said[id] = said[max(0, len(said)-maxEvents-1):]
}

// DeliverEvents gives [Config].Audit what a crash has left in a key's record, and takes
// it out of there. A sweep calls it for each key now and then. The error is
// [ErrUnknownKey], wraps [ErrRecord], or is the store's or the sink's.
func (s *Server) DeliverEvents(ctx context.Context, id protocol.KeyID) error {
	if err := s.made(ctx); err != nil {
		return err
	}
	_, err := s.update(ctx, id, func(ctx context.Context, rec *record) (decision, error) {
		if len(rec.events) == 0 {
			return decision{}, nil
		}
		if err := s.deliver(ctx, id, rec); err != nil {
			return decision{}, err
		}
		rec.events = nil
		return decision{write: true}, nil
	})
	return known(err, "deliver events")
}
