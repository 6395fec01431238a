package storetest

import (
	"context"
	"math/rand/v2"
	"sync"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// sequence is a check of calls that follow one another.
type sequence struct {
	name string
	run  func(t tester, s limiter.Store)
}

// sequential makes two checks of each: all calls on one handle, and each call on the next
// of several, so that what one node wrote another reads, swaps and conflicts with.
func sequential(sequences ...sequence) (out []check) {
	for _, s := range sequences {
		out = append(out,
			check{s.name, func(t tester, h *handles) { s.run(t, h.take(1)[0]) }},
			check{s.name + "InTurn", func(t tester, h *handles) { s.run(t, inTurn(h.take(nodes-1))) }})
	}
	return out
}

// inTurn returns a Store that passes each call to another handle. The order is the same
// each time, and has no period that the calls of a check could share.
func inTurn(stores []limiter.Store) limiter.Store {
	return &turns{stores: stores, order: rand.New(rand.NewPCG(1, 2))}
}

type turns struct {
	stores []limiter.Store
	mu     sync.Mutex
	order  *rand.Rand
}

func (n *turns) next() limiter.Store {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stores[n.order.IntN(len(n.stores))]
}

func (n *turns) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	return n.next().Load(ctx, id)
}

func (n *turns) Create(ctx context.Context, id string, value []byte) error {
	return n.next().Create(ctx, id, value)
}

func (n *turns) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	return n.next().Swap(ctx, id, version, value)
}

// List needs handles that have it, which the checks of lists make sure of.
func (n *turns) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	return n.next().(limiter.Lister).List(ctx, prefix, after, limit)
}
