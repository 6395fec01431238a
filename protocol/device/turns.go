package device

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// turns lets one signature at a time through, in the order in which they came. The zero
// value is free.
type turns struct {
	mu      sync.Mutex
	taken   bool
	waiting []chan struct{} // the longest-waiting first; closed when its turn comes
}

// take waits for a turn, behind at most so many others, and returns what ends it. One
// whose context is done gives its place up at once.
func (q *turns) take(ctx context.Context, most int) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	turn, err := q.join(most)
	if err != nil {
		return nil, err
	}
	select {
	case <-turn:
	case <-ctx.Done():
		q.leave(turn)
		return nil, ctx.Err()
	}
	return q.next, nil
}

// join returns a channel that is closed when the turn has come.
func (q *turns) join(most int) (chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	turn := make(chan struct{})
	switch {
	case !q.taken:
		q.taken = true
		close(turn)
	case len(q.waiting) >= most:
		return nil, fmt.Errorf("%w: %d signatures are waiting", ErrBusy, len(q.waiting))
	default:
		q.waiting = append(q.waiting, turn)
	}
	return turn, nil
}

// leave gives up a place, or the turn if it has come meanwhile.
func (q *turns) leave(turn chan struct{}) {
	q.mu.Lock()
	i := slices.Index(q.waiting, turn)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	q.mu.Unlock()
	if i < 0 {
		q.next()
	}
}

// next ends the turn and begins that of the first who waits.
func (q *turns) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.taken = false
		return
	}
	close(q.waiting[0])
	q.waiting = slices.Delete(q.waiting, 0, 1)
}
