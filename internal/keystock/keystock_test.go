package keystock

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// counter draws the numbers 1, 2, 3 and so on, and remembers what was wiped.
type counter struct {
	drawn atomic.Int64
	mu    sync.Mutex
	wiped []int64
}

func (c *counter) draw(context.Context) (int64, error) { return c.drawn.Add(1), nil }

func (c *counter) wipe(key int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wiped = append(c.wiped, key)
}

// TestStock: keys come in the order in which they were drawn, the stock fills itself
// again, and Close wipes those that nobody took, with the one that found no room.
func TestStock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c counter
		s := New(2, c.draw, c.wipe)
		synctest.Wait()
		require.Equal(t, int64(3), c.drawn.Load(), "two are ready, and one waits for room")
		for want := range int64(5) {
			key, ok := s.Take()
			require.True(t, ok)
			require.Equal(t, want+1, key)
			synctest.Wait()
		}
		s.Close()
		require.ElementsMatch(t, []int64{6, 7, 8}, c.wiped)
		_, ok := s.Take()
		require.False(t, ok)
		s.Close()
		require.Len(t, c.wiped, 3)
	})
}

// TestNone: a stock of none draws nothing.
func TestNone(t *testing.T) {
	var c counter
	s := New(0, c.draw, c.wipe)
	_, ok := s.Take()
	require.False(t, ok)
	s.Close()
	require.Zero(t, c.drawn.Load())
}

// TestFailing: after a failure the stock waits, and tries again until ErrEnd.
func TestFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int64
		s := New(1, func(context.Context) (int64, error) {
			if tries.Add(1) < 4 {
				return 0, errors.New("away")
			}
			return 0, ErrEnd
		}, nil)
		for want := int64(1); want <= 4; want++ {
			synctest.Wait()
			require.Equal(t, want, tries.Load())
			time.Sleep(pause)
		}
		time.Sleep(10 * pause)
		require.Equal(t, int64(4), tries.Load())
		s.Close()
	})
}

// TestCloseWhileFailing: Close does not wait for the next try, and ends a draw that takes
// long.
func TestCloseWhileFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := New(1, func(context.Context) (int64, error) { return 0, errors.New("away") }, nil)
		synctest.Wait()
		s.Close()
		require.Equal(t, began, time.Now(), "by the clock of the test, which stands still")
		s = New(1, func(ctx context.Context) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }, nil)
		synctest.Wait()
		s.Close()
	})
}

// TestCloseWhileUsed: each key is taken or wiped, and none both.
func TestCloseWhileUsed(t *testing.T) {
	for range 50 {
		var c counter
		s := New(64, c.draw, c.wipe)
		var taken atomic.Int64
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 1000 {
					if _, ok := s.Take(); ok {
						taken.Add(1)
					}
				}
			})
		}
		s.Close()
		group.Wait()
		require.Equal(t, c.drawn.Load(), taken.Load()+int64(len(c.wiped)))
	}
}
