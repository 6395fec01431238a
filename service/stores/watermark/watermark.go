package watermark

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// Options are settings for [Open]. The zero value is good.
type Options struct {
	// Lag bounds the confirmed writes of this node that are not under its mark: a write
	// beyond it waits for the mark, and fails, with its result unknown, where its context
	// ends before. 0 means [DefaultLag]; [NoLag] means none: each write waits for a
	// checkpoint, which costs about two more durable writes, shared by all that wait.
	Lag int
	// Every is the time between two checkpoints. 0 means a second.
	Every time.Duration
	// Log says, at level error, that the store went back, and that a mark cannot be
	// saved. Nil means slog.Default.
	Log *slog.Logger
}

const (
	DefaultLag = 256
	NoLag      = -1
)

// stepTime bounds one checkpoint: the store's part and the keeper's.
const stepTime = 10 * time.Second

// Store is a [limiter.Store] that refuses once the store below is known to have gone
// back. Ids that begin with "watermark/" are its own. Close it when done.
type Store struct {
	store   limiter.Store
	keeper  Keeper
	lag     uint64
	log     *slog.Logger
	seen    *seen
	kick    chan struct{} // asks for a checkpoint now
	closing chan struct{}
	stopped chan struct{}
	once    sync.Once

	mark mark // of the goroutine that makes checkpoints

	mu        sync.Mutex
	confirmed uint64        // writes, since Open
	under     uint64        // how many of them are under the mark
	failing   error         // why the last checkpoint could not be made
	back      error         // why the store is refused
	ended     bool          // no write is under a mark any more
	changed   chan struct{} // closed and replaced whenever one of these but confirmed changes
}

var (
	_ limiter.Store  = (*Store)(nil)
	_ limiter.Lister = (*Store)(nil)
)

// Open compares a store with its mark. The error is [ErrNoMark], [ErrMark], wraps
// [ErrWentBack], or is the store's or the keeper's.
func Open(ctx context.Context, store limiter.Store, k Keeper, o Options) (*Store, error) {
	if ctx == nil || isnil.Value(store) || isnil.Value(k) {
		return nil, errNothing
	}
	switch {
	case o.Lag < NoLag:
		return nil, fmt.Errorf("watermark: a lag of %d", o.Lag)
	case o.Every < 0:
		return nil, fmt.Errorf("watermark: checkpoints every %v", o.Every)
	case o.Lag == 0:
		o.Lag = DefaultLag
	}
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	m, err := load(ctx, k)
	if err != nil {
		return nil, err
	}
	s := &Store{
		store: store, keeper: k, lag: uint64(max(o.Lag, 0)), log: o.Log, mark: m, seen: newSeen(remembered),
		kick: make(chan struct{}, 1), closing: make(chan struct{}), stopped: make(chan struct{}), changed: make(chan struct{}),
	}
	if err := m.refuses(); err != nil {
		return nil, err
	}
	c, _, err := m.find(ctx, store)
	if errors.Is(err, ErrWentBack) {
		s.refuse(err)
		return nil, errors.Join(err, s.saveRefusal(ctx))
	}
	if err != nil {
		return nil, err
	}
	if c != m.last { // the node crashed before it could save it
		s.mark = m.advance(c)
		if err := k.Save(ctx, s.mark.encode()); err != nil {
			return nil, err
		}
	}
	go s.run(o.Every)
	return s, nil
}

// Close makes a last checkpoint, so that nothing lies within the lag, and ends the Store.
// It closes neither the store below nor the keeper. Only the first call does anything.
func (s *Store) Close() error {
	err := errClosed
	if s == nil || s.store == nil {
		return err
	}
	s.once.Do(func() {
		close(s.closing)
		<-s.stopped
		err = s.last()
	})
	return err
}

// last returns why the mark is not at the newest write, or nil.
func (s *Store) last() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back != nil {
		return s.back
	}
	if s.confirmed > s.under {
		return fmt.Errorf("watermark: %d writes are not under the mark: %w", s.confirmed-s.under, s.failing)
	}
	return nil
}

// ready returns why a call cannot be served, or nil.
func (s *Store) ready(ctx context.Context) error {
	if s == nil || s.store == nil {
		return errClosed
	}
	if ctx == nil {
		return errNothing
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return errClosed
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.back
}

func (s *Store) readyFor(ctx context.Context, id string, value []byte) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if strings.HasPrefix(id, prefix) {
		return fmt.Errorf("watermark: ids that begin with %q are taken", prefix)
	}
	return limiter.CheckRecord(id, value)
}

// Load implements [limiter.Store].
func (s *Store) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if err := s.readyFor(ctx, id, nil); err != nil {
		return nil, 0, err
	}
	least := s.seen.version(id) // before the call: another one may see more while it runs
	value, version, err := s.store.Load(ctx, id)
	switch {
	case errors.Is(err, limiter.ErrNotFound) && least > 0:
		return nil, 0, s.refuse(fmt.Errorf("%w: the record %q is gone", ErrWentBack, id))
	case err != nil:
		return nil, 0, err
	case version < least:
		return nil, 0, s.refuse(fmt.Errorf("%w: the record %q is at version %d, and was at %d", ErrWentBack, id, version, least))
	}
	s.seen.note(id, version)
	return value, version, nil
}

// Create implements [limiter.Store].
func (s *Store) Create(ctx context.Context, id string, value []byte) error {
	return s.write(ctx, id, value, 1, func() error { return s.store.Create(ctx, id, value) })
}

// Swap implements [limiter.Store].
func (s *Store) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	return s.write(ctx, id, value, version+1, func() error { return s.store.Swap(ctx, id, version, value) })
}

// write does one write, after which the record has the version least or a higher one.
func (s *Store) write(ctx context.Context, id string, value []byte, least uint64, do func() error) error {
	if err := s.readyFor(ctx, id, value); err != nil {
		return err
	}
	// Where a mark cannot be saved, nothing is written.
	if err := s.await(ctx, func() bool { return s.failing == nil }); err != nil {
		return fmt.Errorf("watermark: nothing was written: %w", err)
	}
	if err := do(); err != nil {
		return err
	}
	s.seen.note(id, least)
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return fmt.Errorf("watermark: written, and not under the mark: %w", errClosed)
	}
	s.confirmed++
	number := s.confirmed
	if number-s.under > s.lag/2 {
		s.wake()
	}
	s.mu.Unlock()
	if err := s.await(ctx, func() bool { return number-min(number, s.under) <= s.lag }); err != nil {
		return fmt.Errorf("watermark: written, and not under the mark: %w", err)
	}
	return nil
}

// wake asks for a checkpoint now.
func (s *Store) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// await waits until a condition holds, which it asks with the lock held.
func (s *Store) await(ctx context.Context, holds func() bool) error {
	for {
		s.mu.Lock()
		back, ok, failing, changed := s.back, holds(), s.failing, s.changed
		s.mu.Unlock()
		switch {
		case back != nil:
			return back
		case ok:
			return nil
		}
		select {
		case <-changed:
		case <-s.stopped:
			return errors.Join(errClosed, failing)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), failing)
		}
	}
}

// List implements [limiter.Lister] if the store below does.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	lister, ok := s.store.(limiter.Lister)
	if !ok {
		return nil, errors.New("watermark: the store does not list its ids")
	}
	for {
		page, err := lister.List(ctx, prefix, after, limit)
		if err != nil || len(page) == 0 {
			return nil, err
		}
		after = page[len(page)-1]
		if ids := others(page); len(ids) > 0 {
			return ids, nil
		}
	}
}

// others returns the ids that are not this package's.
func others(page []string) []string {
	ids := page[:0]
	for _, id := range page {
		if !strings.HasPrefix(id, prefix) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Ping returns why calls are refused, and else what the store below says if it has a
// Ping.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	failing := s.failing
	s.mu.Unlock()
	if failing != nil {
		return fmt.Errorf("watermark: mark not saved: %w", failing)
	}
	if p, ok := s.store.(interface{ Ping(context.Context) error }); ok {
		return p.Ping(ctx)
	}
	return nil
}
