package hsm

import (
	"context"
	"sync"
)

// gate is a readers-writer lock whose waits end with a context. Every call into a module
// runs as a reader. Login, recovery and C_Finalize run as the writer: a module whose
// state is taken away under a running call takes the process with it. A waiting writer
// keeps new readers out.
type gate struct {
	mu      sync.Mutex
	readers int
	closed  bool          // a writer waits or is inside
	change  chan struct{} // closed and replaced at every change that may let somebody in
}

func newGate() *gate { return &gate{change: make(chan struct{})} }

func (g *gate) signal() {
	close(g.change)
	g.change = make(chan struct{})
}

// await returns once ready says yes, which it is asked after every change.
func (g *gate) await(ctx context.Context, ready func() bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !ready() {
		change := g.change
		g.mu.Unlock()
		select {
		case <-change:
			g.mu.Lock()
		case <-ctx.Done():
			g.mu.Lock()
			return ctx.Err()
		}
	}
	return nil
}

// enter lets a reader in.
func (g *gate) enter(ctx context.Context) error {
	return g.await(ctx, func() bool {
		if !g.closed {
			g.readers++
		}
		return !g.closed
	})
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.readers--; g.readers == 0 && g.closed {
		g.signal()
	}
}

// lock lets the one writer in when the last reader has left.
func (g *gate) lock(ctx context.Context) error {
	mine := false // closed, by this call
	err := g.await(ctx, func() bool {
		mine = mine || !g.closed
		g.closed = true
		return mine && g.readers == 0
	})
	if err != nil && mine {
		g.unlock()
	}
	return err
}

func (g *gate) unlock() {
	g.mu.Lock()
	g.closed = false
	g.signal()
	g.mu.Unlock()
}
