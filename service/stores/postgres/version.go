package postgres

import (
	"context"
	"errors"
	"fmt"
)

// swapBits is how many bits of a version count the swaps of a record. The upper ones are
// the number of its creation, counted over all records: 2^31 creations, and 2^32 swaps of
// each record (one a second for 136 years) before its versions reach into the next
// number.
const swapBits = 32

var errNoVersions = errors.New("postgres: no versions are left")

// firstVersion returns the version of a record that is about to be created, above all
// that a record of this id had before, should it have been removed. It counts creations
// in a row, by a transaction that is durable before its number is used. (A number of an
// SQL sequence is not: after a crash it may come again.)
func (s *Store) firstVersion(ctx context.Context) (uint64, error) {
	var n int64
	err := s.write(ctx, func(ctx context.Context, c conn) error {
		return c.QueryRow(ctx, "UPDATE tandem_meta SET creations = creations + 1 WHERE one RETURNING creations").Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("postgres: no version: %w", err)
	}
	if n < 1 || n>>(63-swapBits) > 0 {
		return 0, errNoVersions
	}
	return uint64(n) << swapBits, nil
}
