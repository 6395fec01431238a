package postgres

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
	"github.com/tandem-rsa/tandem/service/stores/internal/benchtest"
)

// records are rows that are made as they are copied.
type records struct {
	n, next int
	value   []byte
}

func (r *records) Next() bool { r.next++; return r.next <= r.n }
func (r *records) Err() error { return nil }
func (r *records) Values() ([]any, error) {
	crand.Read(r.value) // as what is sealed, nothing that can be compressed
	id := fmt.Sprintf("key/%d", r.next)
	version := uint64(r.next) << swapBits
	return []any{[]byte(id), int64(version), encode(id, version, r.value)}, nil
}

// TestManyRecords fills a database, and works on it as on an empty one.
func TestManyRecords(t *testing.T) {
	n := durabletest.Times(1_000_000, 3000, 1000)
	ctx := t.Context()
	server := pgtest.New(t)
	s := open(t, server.URL())
	medians := func(ids func() string) (load, swap time.Duration) {
		var loads, swaps []time.Duration
		for range 200 {
			id := ids()
			begin := time.Now()
			value, version, err := s.Load(ctx, id)
			require.NoError(t, err)
			loads = append(loads, time.Since(begin))
			require.Len(t, value, benchtest.ValueSize)
			begin = time.Now()
			require.NoError(t, s.Swap(ctx, id, version, value))
			swaps = append(swaps, time.Since(begin))
		}
		slices.Sort(loads)
		slices.Sort(swaps)
		return loads[len(loads)/2], swaps[len(swaps)/2]
	}
	require.NoError(t, s.Create(ctx, "only", make([]byte, benchtest.ValueSize)))
	emptyLoad, emptySwap := medians(func() string { return "only" })

	rows := &records{n: n, value: make([]byte, benchtest.ValueSize)}
	copied, err := s.pool.CopyFrom(ctx, pgx.Identifier{"tandem_records"}, []string{"id", "version", "record"}, rows)
	require.NoError(t, err)
	require.EqualValues(t, n, copied)
	execute(t, s, "UPDATE tandem_meta SET creations = $1", int64(n))
	var size int64
	require.NoError(t, s.pool.QueryRow(ctx, "SELECT pg_total_relation_size('tandem_records')").Scan(&size))

	begin := time.Now()
	another, err := Open(context.Background(), server.URL(), Options{})
	require.NoError(t, err)
	opened := time.Since(begin)
	require.NoError(t, another.Close())
	load, swap := medians(func() string { return fmt.Sprintf("key/%d", 1+rand.IntN(n)) })
	begin = time.Now()
	require.NoError(t, s.Check(ctx))
	durabletest.Claim(t, "at rest: PostgreSQL with %d records of %d bytes: %d bytes each; open %v, load %v and swap %v (with one record %v and %v); Check %v", n, benchtest.ValueSize,
		size/int64(n), opened.Round(time.Millisecond), load.Round(10*time.Microsecond), swap.Round(10*time.Microsecond),
		emptyLoad.Round(10*time.Microsecond), emptySwap.Round(10*time.Microsecond), time.Since(begin).Round(time.Millisecond))
}
