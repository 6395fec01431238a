package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// ledger holds a database to what it acknowledged while servers died under it.
type ledger struct {
	mu      sync.Mutex
	keys    map[string]*entry
	next    int
	acks    int
	unknown int
	locks   int
}

// entry is what is known of a key.
type entry struct {
	counted int  // wrong PINs that were acknowledged
	unknown int  // attempts since then whose result is unknown
	locked  bool // a lock was acknowledged
	known   bool // its creation was
}

func newLedger() *ledger { return &ledger{keys: make(map[string]*entry)} }

// guess makes wrong guesses on one new key after another, each until it is locked, until
// ctx ends. It waits a moment after each error.
func (l *ledger) guess(ctx context.Context, s limiter.Store) error {
	first, err := limiter.Counter{}.MarshalBinary()
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		l.mu.Lock()
		id := fmt.Sprint("key ", l.next)
		e := new(entry)
		l.next++
		l.keys[id] = e
		l.mu.Unlock()
		if err := s.Create(ctx, id, first); err != nil {
			if errors.Is(err, limiter.ErrConflict) {
				return fmt.Errorf("%s exists before it was created", id)
			}
			l.fail(ctx, e, false)
			continue
		}
		l.mu.Lock()
		e.known = true
		l.mu.Unlock()
		if err := l.guessKey(ctx, s, id, e); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) guessKey(ctx context.Context, s limiter.Store, id string, e *entry) error {
	for ctx.Err() == nil {
		// A service's request has a deadline, too.
		callCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
		verdict, err := attempt(callCtx, s, id, limiter.Wrong, time.Now(), func() {})
		cancel()
		if err != nil {
			l.fail(ctx, e, true)
			continue
		}
		var w *limiter.WrongPINError
		var locked *limiter.LockedError
		l.mu.Lock()
		switch {
		case errors.As(verdict, &w):
			n := 9 - w.RemainingTotal
			if n <= e.counted || n > e.counted+e.unknown+1 {
				err = fmt.Errorf("%s: answer %d after %d, with %d unknown", id, n, e.counted, e.unknown)
			}
			e.counted, e.unknown = n, 0
			l.acks++
			if !w.LockedUntil.IsZero() {
				e.locked = true
				l.locks++
			}
		case errors.As(verdict, &locked):
			if e.counted+e.unknown < 3 {
				err = fmt.Errorf("%s: locked after %d, with %d unknown", id, e.counted, e.unknown)
			}
			e.counted, e.unknown, e.locked = 3, 0, true
			l.mu.Unlock()
			return err
		default:
			err = fmt.Errorf("%s: %v", id, verdict)
		}
		l.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// fail notes an attempt whose result is unknown.
func (l *ledger) fail(ctx context.Context, e *entry, counts bool) {
	l.mu.Lock()
	l.unknown++
	if counts {
		e.unknown++
	}
	l.mu.Unlock()
	select {
	case <-time.After(2 * time.Millisecond):
	case <-ctx.Done():
	}
}

// verify compares the database with the ledger. Nobody may guess meanwhile. What is found
// counted is known from then on, and must stay.
func (l *ledger) verify(t *testing.T, s limiter.Store) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, e := range l.keys {
		value, _, err := s.Load(t.Context(), id)
		if errors.Is(err, limiter.ErrNotFound) {
			require.False(t, e.known, "%s is lost", id)
			delete(l.keys, id) // and nobody will create it
			continue
		}
		require.NoError(t, err)
		c, err := limiter.ParseCounter(value)
		require.NoError(t, err)
		status, err := limiter.DefaultPolicy().Peek(c, time.Now())
		require.NoError(t, err)
		n := 9 - status.RemainingTotal
		require.GreaterOrEqual(t, n, e.counted, "%s lost counts", id)
		require.LessOrEqual(t, n, e.counted+e.unknown, "%s counted what nobody did", id)
		require.Equal(t, n == 3, !status.LockedUntil.IsZero(), "%s: its lock", id)
		require.True(t, !e.locked || n == 3, "%s: its lock is forgotten", id)
		e.counted, e.unknown, e.known = n, 0, true
	}
}

// acknowledged is how many counts were.
func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acks
}

// begin has guessers guess on the stores in turn, until the function that it returns is
// called.
func (l *ledger) begin(t *testing.T, guessers int, stores ...limiter.Store) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	errs := make([]error, guessers)
	var wg sync.WaitGroup
	for i := range guessers {
		wg.Go(func() { errs[i] = l.guess(ctx, stores[i%len(stores)]) })
	}
	t.Cleanup(func() { // also after a failure
		cancel()
		wg.Wait()
	})
	return func() {
		t.Helper()
		cancel()
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
	}
}

// more waits for n more acknowledgements.
func (l *ledger) more(t *testing.T, n int) {
	t.Helper()
	want := l.acknowledged() + n
	await(t, func() bool { return l.acknowledged() >= want })
}
