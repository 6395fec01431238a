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

// enter lets a reader in.
func (g *gate) enter(ctx context.Context) error {
	for {
		g.mu.Lock()
		if !g.closed {
			g.readers++
			g.mu.Unlock()
			return nil
		}
		change := g.change
		g.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	g.readers--
	if g.readers == 0 && g.closed {
		g.signal()
	}
	g.mu.Unlock()
}

// lock lets the one writer in when the last reader has left.
func (g *gate) lock(ctx context.Context) error {
	wanted := false
	for {
		g.mu.Lock()
		if !g.closed {
			g.closed, wanted = true, true
		}
		if wanted && g.readers == 0 {
			g.mu.Unlock()
			return nil
		}
		change := g.change
		g.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			if wanted {
				g.unlock()
			}
			return ctx.Err()
		}
	}
}

func (g *gate) unlock() {
	g.mu.Lock()
	g.closed = false
	g.signal()
	g.mu.Unlock()
}
