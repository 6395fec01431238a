package postgres

import (
	"context"
	"fmt"

	"github.com/tandem-rsa/tandem/service/stores/internal/checked"
)

// blockBits is the size of a block of versions: block b is b<<blockBits and the numbers
// that follow.
const blockBits = 20

// versions gives each number once.
type versions struct {
	turn      chan struct{} // holds one thing while somebody counts
	next, end uint64
}

// take returns a version that no record ever had. Blocks are counted in a row, so that
// one is given twice never: the transaction that counts is durable before its block is
// used.
func (v *versions) take(ctx context.Context, block func(context.Context) (uint64, error)) (uint64, error) {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if v.next == v.end {
		b, err := block(ctx)
		if err != nil {
			return 0, err
		}
		if b < 1 || b > checked.LastVersion>>blockBits {
			return 0, fmt.Errorf("postgres: no versions are left")
		}
		v.next, v.end = b<<blockBits, (b+1)<<blockBits
	}
	v.next++
	return v.next - 1, nil
}

// newBlock takes the next block of versions.
func (s *Store) newBlock(ctx context.Context) (block uint64, err error) {
	var b int64
	err = s.write(ctx, func(ctx context.Context, c conn) error {
		return c.QueryRow(ctx, "UPDATE tandem_meta SET block = block + 1 WHERE one RETURNING block").Scan(&b)
	})
	if err != nil {
		return 0, fmt.Errorf("postgres: no versions: %w", err)
	}
	return uint64(b), nil
}
