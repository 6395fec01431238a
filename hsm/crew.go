package hsm

import (
	"runtime"
	"sync/atomic"
)

// crew runs functions in goroutines of its own, one each. It is "go f()", but a
// goroutine that is done looks around for the next function before it ends.
//
// That is for the sake of calls into a module that follow each other closely. A
// goroutine per call makes Go's scheduler, twice in each call, wake a thread
// that finds nothing to do, and on few cores that thread takes the core of one that
// is in the module: with two goroutines on two cores this cost a sixth of the
// throughput (BenchmarkRawRSA). While somebody looks around, no thread is woken.
//
// Make one with newCrew: the zero value does not work.
type crew struct {
	// free counts the goroutines that look around and that nobody has claimed. A claimed
	// one gets its function through work.
	free atomic.Int32
	work chan func()
}

// patience is how often a goroutine looks around, after everyone else who can
// run has had a turn. Once is enough where nothing else runs.
const patience = 4

func newCrew() *crew { return &crew{work: make(chan func(), maxSessions)} }

// run starts f, and does not wait for it.
func (c *crew) run(f func()) {
	if c.claim() {
		c.work <- f
		return
	}
	go func() {
		for f := f; f != nil; f = c.next() {
			f()
		}
	}()
}

// claim takes one of the free goroutines, if there are any.
func (c *crew) claim() bool {
	for n := c.free.Load(); n > 0; n = c.free.Load() {
		if c.free.CompareAndSwap(n, n-1) {
			return true
		}
	}
	return false
}

// next returns the next function, or nil when the goroutine is to end.
func (c *crew) next() func() {
	c.free.Add(1)
	for range patience {
		runtime.Gosched()
		select {
		case f := <-c.work:
			return f
		default:
		}
	}
	if c.claim() { // itself
		return nil
	}
	return <-c.work // claimed by somebody, who is about to send
}
