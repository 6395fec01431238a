package hsm

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCrew: everything that is started runs once, in parallel with the rest, and no
// goroutine stays.
func TestCrew(t *testing.T) {
	c := newCrew()
	var all sync.WaitGroup
	const callers, calls = 32, 500
	ran := make([]atomic.Int32, callers*calls)
	for i := range callers {
		all.Go(func() {
			for j := range calls {
				done := make(chan struct{})
				c.run(func() {
					ran[i*calls+j].Add(1)
					close(done)
				})
				if j%3 != 0 { // else somebody who does not wait
					<-done
				}
			}
		})
	}
	all.Wait()
	for i := range ran {
		require.Eventually(t, func() bool { return ran[i].Load() == 1 }, time.Minute, time.Microsecond)
	}

	// All that are started run at once: nobody waits for a free goroutine.
	block, running := make(chan struct{}), make(chan struct{})
	for range 100 {
		c.run(func() { running <- struct{}{}; <-block })
	}
	for range 100 {
		<-running
	}
	close(block)
	require.Eventually(t, func() bool { return c.free.Load() == 0 && len(c.work) == 0 }, time.Minute, time.Millisecond)
}
