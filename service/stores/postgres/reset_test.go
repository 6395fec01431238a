package postgres

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// idle makes so many connections of a store, and gives them back.
func idle(t *testing.T, s *Store, n int) {
	t.Helper()
	var all []*pgxpool.Conn
	for range n {
		c, err := s.pool.Acquire(t.Context())
		require.NoError(t, err)
		all = append(all, c)
	}
	for _, c := range all {
		c.Release()
	}
	require.EqualValues(t, n, s.pool.Stat().IdleConns())
}

// TestLostConnections: when one connection turns out to be lost, those beside it are not
// used any more. A read repeats itself on a new one, and a write that follows knows what
// became of it.
func TestLostConnections(t *testing.T) {
	server := pgtest.Shared(t)
	s := openNew(t)
	require.NoError(t, s.Create(t.Context(), "id", nil))
	idle(t, s, 5)
	var lost []uint32
	for _, c := range s.pool.AcquireAllIdle(t.Context()) {
		lost = append(lost, c.Conn().PgConn().PID())
		c.Release()
	}
	require.Len(t, lost, 5)
	for _, pid := range lost {
		server.Exec(t, fmt.Sprintf("SELECT pg_terminate_backend(%d, 60000)", pid))
	}
	_, version, err := s.Load(t.Context(), "id")
	require.NoError(t, err)
	require.NoError(t, s.Swap(t.Context(), "id", version, nil))
}

// TestPromoted: once there is a new primary, no connection from before is used.
func TestPromoted(t *testing.T) {
	s := openNew(t)
	idle(t, s, 3)
	c, err := s.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer c.Release()
	s.guard.Promoted()
	await(t, func() bool { return s.pool.Stat().TotalConns() == 1 })
	require.NoError(t, c.Ping(t.Context()), "one that is in use goes on")
	c.Release()
	await(t, func() bool { return s.pool.Stat().TotalConns() == 0 })
}
