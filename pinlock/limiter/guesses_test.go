package limiter_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

// TestGuessesUntilDestroyed makes 1,000 wrong guesses at once, from the start and after
// every lock: three answers each time, nine in all, then never again. (Package storetest
// has the same for one round, on every store, and for right and wrong guesses mixed.)
func TestGuessesUntilDestroyed(t *testing.T) {
	const guesses = 1000
	synctest.Test(t, func(t *testing.T) {
		l := enrolled(t, new(storetest.MemoryStore))
		total, tried := 0, 0
		for round, want := range []struct {
			wrong, locked, destroyed int
			then                     time.Duration
		}{
			{3, guesses - 3, 0, 3 * time.Hour},
			{3, guesses - 3, 0, 24 * time.Hour},
			{3, 0, guesses - 3, 10 * 365 * 24 * time.Hour},
			{0, 0, guesses, 0},
		} {
			var mu sync.Mutex
			var wg sync.WaitGroup
			var wrongs, locks, destroyed int
			for range guesses {
				wg.Go(func() {
					err := l.Attempt(t.Context(), "key", func(context.Context) (limiter.Outcome, error) {
						mu.Lock()
						tried++
						mu.Unlock()
						time.Sleep(time.Second) // all are admitted before one is counted
						return limiter.Wrong, nil
					})
					mu.Lock()
					defer mu.Unlock()
					var wrong *limiter.WrongPINError
					var locked *limiter.LockedError
					switch {
					case errors.As(err, &wrong):
						wrongs++
					case errors.As(err, &locked):
						locks++
					case err == limiter.ErrDestroyed:
						destroyed++
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			require.Equal(t, want.wrong, wrongs, "round %d", round)
			require.Equal(t, want.locked, locks, "round %d", round)
			require.Equal(t, want.destroyed, destroyed, "round %d", round)
			total += wrongs
			time.Sleep(want.then)
		}
		require.Equal(t, 9, total)
		require.Equal(t, 3*guesses, tried)
	})
}

// TestLimiterAlone holds what the warning in the package documentation says: a right PIN
// gives all tries back, so who guesses twice between any two right PINs is never locked
// out.
func TestLimiterAlone(t *testing.T) {
	l := enrolled(t, new(storetest.MemoryStore))
	const right = 7331
	guesses := 0
	for found := false; !found; {
		require.NoError(t, l.Attempt(t.Context(), "key", says(limiter.Right))) // owner
		for range 2 {
			o := limiter.Wrong
			if guesses == right {
				o, found = limiter.Right, true
			}
			guesses++
			err := l.Attempt(t.Context(), "key", says(o))
			var wrong *limiter.WrongPINError
			require.Equal(t, found, err == nil)
			require.Equal(t, !found, errors.As(err, &wrong))
			if found {
				break
			}
		}
	}
	require.Equal(t, right+1, guesses)
}
