package protocoltest

import (
	"context"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// CountingStore counts the writes that were tried.
type CountingStore struct {
	limiter.Store
	Writes int
}

func (c *CountingStore) Create(ctx context.Context, id string, value []byte) error {
	c.Writes++
	return c.Store.Create(ctx, id, value)
}

func (c *CountingStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	c.Writes++
	return c.Store.Swap(ctx, id, version, value)
}

// FailingStore fails at the writes of a kind.
type FailingStore struct {
	limiter.Store
	Fails func(id string) error
}

func (f *FailingStore) Create(ctx context.Context, id string, value []byte) error {
	if err := f.Fails(id); err != nil {
		return err
	}
	return f.Store.Create(ctx, id, value)
}
