package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// together runs n functions that start at the same moment, and returns their errors.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// requireOneWinner returns the index of the only call that succeeded; all others must
// have met a conflict.
func requireOneWinner(t tester, errs []error) int {
	t.Helper()
	winner := -1
	for i, err := range errs {
		if err == nil {
			require.Equal(t, -1, winner, "two winners")
			winner = i
			continue
		}
		require.ErrorIs(t, err, limiter.ErrConflict)
	}
	require.NotEqual(t, -1, winner, "no winner")
	return winner
}

func concurrentCreate(t tester, h *handles) {
	const rounds, contenders = 10, 16
	stores := h.take(nodes)
	for round := range rounds {
		id := fmt.Sprintf("id %d", round)
		winner := requireOneWinner(t, together(contenders, func(i int) error {
			return stores[i%nodes].Create(context.Background(), id, fmt.Appendf(nil, "%d", i))
		}))
		for _, s := range stores {
			requireValue(t, s, id, fmt.Sprint(winner))
		}
	}
}

func concurrentSwap(t tester, h *handles) {
	const rounds, contenders = 10, 16
	stores := h.take(nodes)
	create(t, stores[0], "id", "start")
	for round := range rounds {
		_, version := load(t, stores[round%nodes], "id")
		winner := requireOneWinner(t, together(contenders, func(i int) error {
			return stores[i%nodes].Swap(context.Background(), "id", version, fmt.Appendf(nil, "%d", i))
		}))
		for _, s := range stores {
			requireValue(t, s, "id", fmt.Sprint(winner))
		}
	}
}

// count is the value of a record that counts upward.
func count(value []byte) (uint64, error) {
	if len(value) != 8 {
		return 0, fmt.Errorf("counter of %d bytes", len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

// increment adds one to the counter and returns what it wrote. Each conflict is somebody
// else's success, so there are fewer conflicts than increments.
func increment(ctx context.Context, s limiter.Store, id string) (uint64, error) {
	for range 1000 {
		value, version, err := s.Load(ctx, id)
		if err != nil {
			return 0, err
		}
		n, err := count(value)
		if err != nil {
			return 0, err
		}
		switch err := s.Swap(ctx, id, version, binary.BigEndian.AppendUint64(nil, n+1)); {
		case err == nil:
			return n + 1, nil
		case !errors.Is(err, limiter.ErrConflict):
			return 0, err
		}
	}
	return 0, errors.New("conflicts without end")
}

// concurrentCount: no increment is lost, each goes to one writer only, and another handle
// reads each at once.
func concurrentCount(t tester, h *handles) {
	const writers, each = 8, 25
	stores := h.take(nodes)
	create(t, stores[0], "id", string(make([]byte, 8)))
	var mu sync.Mutex
	written := make(map[uint64]bool)
	errs := together(writers, func(i int) error {
		ctx := context.Background()
		for range each {
			n, err := increment(ctx, stores[i%nodes], "id")
			if err != nil {
				return err
			}
			mu.Lock()
			twice := written[n]
			written[n] = true
			mu.Unlock()
			if twice {
				return fmt.Errorf("two writers wrote %d", n)
			}
			for _, reader := range stores {
				value, _, err := reader.Load(ctx, "id")
				if err != nil {
					return err
				}
				if seen, err := count(value); err != nil || seen < n {
					return fmt.Errorf("read %d after writing %d: %w", seen, n, err)
				}
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
	value, _ := load(t, stores[1], "id")
	total, err := count(value)
	require.NoError(t, err)
	require.Equal(t, uint64(writers*each), total)
}

// concurrentReaders checks what readers on all handles see of two records while a writer
// increments first one, then the other: no counter goes back, the second is never ahead
// of a first that is read later, and one version always stands for one value.
func concurrentReaders(t tester, h *handles) {
	const readers, writes = 2 * nodes, 50
	ctx := context.Background()
	stores := h.take(nodes)
	create(t, stores[0], "first", string(make([]byte, 8)))
	create(t, stores[0], "second", string(make([]byte, 8)))
	type seen struct {
		id      string
		version uint64
	}
	var mu sync.Mutex
	valueOf := make(map[seen]uint64)
	read := func(s limiter.Store, id string) (uint64, error) {
		value, version, err := s.Load(ctx, id)
		if err != nil {
			return 0, err
		}
		n, err := count(value)
		if err != nil {
			return 0, err
		}
		mu.Lock()
		defer mu.Unlock()
		if was, ok := valueOf[seen{id, version}]; ok && was != n {
			return 0, fmt.Errorf("version %d of %s is both %d and %d", version, id, was, n)
		}
		valueOf[seen{id, version}] = n
		return n, nil
	}
	done := make(chan struct{})
	errs := together(readers+1, func(i int) error {
		if i == 0 {
			defer close(done)
			for range writes {
				for _, id := range []string{"first", "second"} {
					if _, err := increment(ctx, stores[0], id); err != nil {
						return err
					}
				}
			}
			return nil
		}
		var lastFirst, lastSecond uint64
		for round, last := i, false; !last; round++ {
			select {
			case <-done:
				last = true // once more, to see the end
			default:
			}
			second, err := read(stores[round%nodes], "second")
			if err != nil {
				return err
			}
			first, err := read(stores[(round+1)%nodes], "first")
			if err != nil {
				return err
			}
			if first < lastFirst || second < lastSecond {
				return fmt.Errorf("counters went back from %d, %d to %d, %d", lastFirst, lastSecond, first, second)
			}
			if first < second {
				return fmt.Errorf("read %d of second, then %d of first", second, first)
			}
			if last && (first != writes || second != writes) {
				return fmt.Errorf("at the end read %d, %d", first, second)
			}
			lastFirst, lastSecond = first, second
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
}
