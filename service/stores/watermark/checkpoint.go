package watermark

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// run makes a checkpoint now and then, and a last one at the end.
func (s *Store) run(every time.Duration) {
	defer close(s.stopped)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		closing := false
		select {
		case <-ticker.C:
		case <-s.kick:
		case <-s.closing:
			closing = true
		}
		s.step(closing)
		if closing {
			return
		}
	}
}

// step makes a checkpoint if there were writes since the last one, and else looks whether
// the store still has that.
func (s *Store) step(closing bool) {
	ctx, cancel := context.WithTimeout(context.Background(), stepTime)
	defer cancel()
	s.mu.Lock()
	confirmed, under, back := s.confirmed, s.under, s.back
	s.ended = closing
	s.mu.Unlock()
	if back == nil {
		err := s.checkpoint(ctx, confirmed > under)
		switch {
		case errors.Is(err, ErrWentBack):
			s.refuse(err)
		case err == nil || confirmed > under:
			s.settle(confirmed, err)
			return
		default:
			return // a store that cannot be read, which its callers hear by themselves
		}
	}
	if err := s.saveRefusal(ctx); err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "the mark does not say yet that the store went back", slog.Any("cause", err))
	}
}

// checkpoint writes the next checkpoint to the store, and then saves it as the mark.
// Whatever it is interrupted by, it goes on the next time.
func (s *Store) checkpoint(ctx context.Context, write bool) error {
	c, version, err := s.mark.find(ctx, s.store)
	if err != nil {
		return err
	}
	if c == s.mark.last {
		if !write {
			return nil
		}
		c = s.mark.following()
		err := s.store.Swap(ctx, s.mark.id(), version, c.append(nil))
		if errors.Is(err, limiter.ErrConflict) {
			// Nobody else writes this record. The store may have repeated the write; the
			// next step sees what is there.
			return errors.Join(errors.New("watermark: somebody else wrote this node's checkpoint"), err)
		}
		if err != nil {
			return err
		}
	} else if write {
		// A write of before, whose result was not known: it began before the writes that
		// are to be under it. The mark takes it, and one more checkpoint is made.
		if err := s.save(ctx, s.mark.advance(c)); err != nil {
			return err
		}
		return s.checkpoint(ctx, true)
	}
	return s.save(ctx, s.mark.advance(c))
}

func (s *Store) save(ctx context.Context, m mark) error {
	if err := s.keeper.Save(ctx, m.encode()); err != nil {
		return err
	}
	s.mark = m
	return nil
}

// settle notes what came of a checkpoint.
func (s *Store) settle(confirmed uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.failing == nil {
		s.log.LogAttrs(context.Background(), slog.LevelError, "mark not saved", slog.Any("cause", err))
	}
	if err == nil {
		s.under = confirmed
	}
	s.failing = err
	s.announce()
}

// announce wakes all who await; the lock is held.
func (s *Store) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// refuse ends the use of the store, for the first reason that there is.
func (s *Store) refuse(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back == nil {
		s.back = err
		s.announce()
		s.wake()
		s.log.LogAttrs(context.Background(), slog.LevelError, "the store went back in time", slog.Any("cause", err))
	}
	return s.back
}

// saveRefusal has the mark say that the store went back.
func (s *Store) saveRefusal(ctx context.Context) error {
	if s.mark.condition == wentBack {
		return nil
	}
	m := s.mark
	m.condition = wentBack
	return s.save(ctx, m)
}
