// Package keystock keeps a stock of keys that take long to make.
package keystock

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrEnd is what draw returns when it will never make another key.
var ErrEnd = errors.New("keystock: no more keys")

// pause is how long a stock waits after draw failed.
const pause = time.Second

// Stock keeps a number of keys ready. It is used from many goroutines at once.
type Stock[T any] struct {
	ready chan T
	wipe  func(T)
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// New returns a stock of up to size keys. One goroutine draws them, until Close or
// [ErrEnd]; with size 0 nothing is drawn. Keys that nobody took go to wipe.
func New[T any](size int, draw func(context.Context) (T, error), wipe func(T)) *Stock[T] {
	ctx, stop := context.WithCancel(context.Background())
	s := &Stock[T]{ready: make(chan T, size), wipe: wipe, stop: stop}
	if size > 0 {
		s.done.Go(func() { s.fill(ctx, draw) })
	}
	return s
}

func (s *Stock[T]) fill(ctx context.Context, draw func(context.Context) (T, error)) {
	for ctx.Err() == nil {
		key, err := draw(ctx)
		switch {
		case errors.Is(err, ErrEnd):
			return
		case err != nil:
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case s.ready <- key:
		case <-ctx.Done():
			s.wipe(key)
		}
	}
}

// Take returns a key if one is ready. It never waits.
func (s *Stock[T]) Take() (key T, ok bool) {
	select {
	case key = <-s.ready:
		return key, true
	default:
		return key, false
	}
}

// Close ends the drawing, waits for it, and wipes the keys that nobody took. Then the
// stock is empty.
func (s *Stock[T]) Close() {
	s.stop()
	s.done.Wait()
	for {
		key, ok := s.Take()
		if !ok {
			return
		}
		s.wipe(key)
	}
}
