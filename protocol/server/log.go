package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// errInternal marks failures that are the server's own.
var errInternal = errors.New("server: server failure")

// refused logs why a request gets no answer, and returns ErrRefused. Errors of this
// package and its neighbours hold no secret and nothing of the request; those of the
// service's own Sealer, KeySource and Store must not either. What only the
// sender can be at fault for leaves room for the rest.
func (s *Server) refused(ctx context.Context, err error) error {
	cause := slog.String("cause", err.Error())
	if (errors.Is(err, protocol.ErrMalformed) || errors.Is(err, ErrUnknownKey)) && !errors.Is(err, errInternal) {
		s.lines.strangers.log(ctx, s.config.Clock(), s.config.Log, slog.LevelInfo, "request refused", cause)
		return ErrRefused
	}
	s.lines.refused.log(ctx, s.config.Clock(), s.config.Log, levelOf(err), "request refused", cause)
	return ErrRefused
}

// later logs a failure, of which the device is told no more than "later".
func (s *Server) later(ctx context.Context, id protocol.KeyID, err error) *wire.Answer {
	if errors.Is(err, errPutOff) {
		s.lines.putOff.log(ctx, s.config.Clock(), s.config.Log, slog.LevelInfo, "request put off",
			slog.String("key", id.String()), slog.String("cause", err.Error()))
		return &wire.Answer{Code: wire.CodeLater}
	}
	s.lines.failed.log(ctx, s.config.Clock(), s.config.Log, levelOf(err), "request not finished",
		slog.String("key", id.String()), slog.String("cause", err.Error()))
	return &wire.Answer{Code: wire.CodeLater}
}

// undelivered logs that the audit sink did not take an event, which waits with others.
func (s *Server) undelivered(ctx context.Context, e Event, err error, waiting int) {
	if o := s.config.Observer; o != nil {
		o.Undelivered(waiting)
	}
	s.lines.undelivered.log(ctx, s.config.Clock(), s.config.Log, slog.LevelError, "event not delivered",
		slog.String("key", e.Key.String()), slog.Uint64("event", e.Number), slog.String("cause", err.Error()))
}

// levelOf is error, except for what happens to a server that is well.
func levelOf(err error) slog.Level {
	if errors.Is(err, errHardware) {
		return slog.LevelWarn // who sent it has a copy of the phone's storage
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errSpent) {
		return slog.LevelInfo
	}
	return slog.LevelError
}

const (
	linesAtOnce = 10
	linesPeriod = time.Minute
)

// lines bounds what anybody can make a node log: linesAtOnce of each kind in a
// linesPeriod. The next line after that says how many were left out.
type lines struct{ strangers, refused, failed, putOff, undelivered throttle }

type throttle struct {
	mu               sync.Mutex
	began            time.Time
	written, dropped int
}

func (t *throttle) log(ctx context.Context, now time.Time, log *slog.Logger, level slog.Level, text string, attrs ...slog.Attr) {
	if leftOut, ok := t.pass(now); ok {
		if leftOut > 0 {
			attrs = append(attrs, slog.Int("left_out", leftOut))
		}
		log.LogAttrs(ctx, level, text, named(ctx, attrs...)...)
	}
}

// named adds the request's id, if the transport gave it one.
func named(ctx context.Context, attrs ...slog.Attr) []slog.Attr {
	if id := observe.RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request", id))
	}
	return attrs
}

// pass reports whether a line may be written, and how many were left out before it.
func (t *throttle) pass(now time.Time) (leftOut int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if age := now.Sub(t.began); age >= linesPeriod || age < 0 {
		t.began, t.written = now, 0
	}
	if t.written >= linesAtOnce {
		t.dropped++
		return 0, false
	}
	t.written++
	leftOut, t.dropped = t.dropped, 0
	return leftOut, true
}
