package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// guesses is how many attempts on one key begin at once.
const guesses = 1000

// answers counts what simultaneous attempts were answered.
type answers struct{ right, wrong, locked, none int }

// guess makes all attempts at once, spread over the handles, each with a limiter of its
// own. None is counted before all have been admitted and have tried their PIN: an
// attacker cannot do better.
func guess(t tester, stores []limiter.Store, id string, right func(i int) bool) answers {
	t.Helper()
	limiters := make([]*limiter.Limiter, len(stores))
	for i, s := range stores {
		var err error
		limiters[i], err = limiter.New(s, limiter.DefaultPolicy())
		require.NoError(t, err)
	}
	require.NoError(t, limiters[0].Create(context.Background(), id))
	var begun sync.WaitGroup
	begun.Add(guesses)
	var mu sync.Mutex
	var a answers
	errs := together(guesses, func(i int) error {
		begin := sync.OnceFunc(begun.Done)
		defer begin() // also where the store failed before the try
		err := limiters[i%len(limiters)].Attempt(context.Background(), id, func(context.Context) (limiter.Outcome, error) {
			begin()
			begun.Wait()
			if right(i) {
				return limiter.Right, nil
			}
			return limiter.Wrong, nil
		})
		mu.Lock()
		defer mu.Unlock()
		var wrong *limiter.WrongPINError
		var locked *limiter.LockedError
		switch {
		case err == nil:
			a.right++
		case errors.As(err, &wrong):
			a.wrong++
		case errors.As(err, &locked):
			a.locked++
		case errors.Is(err, context.DeadlineExceeded): // slow store or many conflicts
			a.none++
		default:
			return err
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, guesses, a.right+a.wrong+a.locked+a.none)
	return a
}

// guessesWrong: of any number of wrong guesses at once, on all nodes together, exactly
// three are answered.
func guessesWrong(t tester, h *handles) {
	stores := h.take(nodes)
	a := guess(t, stores, "id", func(int) bool { return false })
	require.Equal(t, 3, a.wrong)
	require.Zero(t, a.right)
	for _, s := range stores {
		value, _ := load(t, s, "id")
		left, err := triesLeft(value)
		require.NoError(t, err)
		require.Equal(t, 6, left)
	}
}

// guessesMixed checks that the answers to right and wrong guesses at once are those of
// some sequence: as many counts and clearings were written as were answered, each on top
// of the one before, and nothing on top of the third wrong one in a row.
func guessesMixed(t tester, h *handles) {
	log := &swapLog{left: make(map[uint64]int), done: make(map[uint64]bool)}
	var stores []limiter.Store
	for _, s := range h.take(nodes) {
		stores = append(stores, logged{s, log})
	}
	// Neighbours on one node guess right and wrong.
	a := guess(t, stores, "id", func(i int) bool { return i/nodes%2 == 0 })
	var right, wrong, locks int
	for _, swap := range log.swaps {
		require.Contains(t, []int{7, 8, 9}, swap.from, "an attempt was counted while locked")
		switch swap.to {
		case 9:
			right++
		case swap.from - 1:
			wrong++
			if swap.to == 6 {
				locks++
			}
		default:
			require.Fail(t, "no attempt changes the counter so", "%d to %d tries left", swap.from, swap.to)
		}
	}
	require.Equal(t, a.right, right, "right PINs answered and written")
	require.Equal(t, a.wrong, wrong, "wrong PINs answered and written")
	require.LessOrEqual(t, locks, 1)
	require.Equal(t, a.locked > 0, locks == 1)
}

// swapLog notes every successful Swap of a counter, on whatever node, as tries left
// before and after.
type swapLog struct {
	mu    sync.Mutex
	left  map[uint64]int // tries left, by version
	done  map[uint64]bool
	swaps []struct{ from, to int }
}

// logged is a handle whose swaps are noted.
type logged struct {
	limiter.Store
	*swapLog
}

func (l logged) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	value, version, err := l.Store.Load(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	left, err := triesLeft(value)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left[version] = left
	return value, version, err
}

func (l logged) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if err := l.Store.Swap(ctx, id, version, value); err != nil {
		return err
	}
	to, err := triesLeft(value)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done[version] {
		return fmt.Errorf("two swaps of version %d", version)
	}
	l.done[version] = true
	l.swaps = append(l.swaps, struct{ from, to int }{l.left[version], to})
	return err
}

func triesLeft(value []byte) (int, error) {
	c, err := limiter.ParseCounter(value)
	if err != nil {
		return 0, err
	}
	status, err := limiter.DefaultPolicy().Peek(c, time.Now())
	return status.RemainingTotal, err
}
