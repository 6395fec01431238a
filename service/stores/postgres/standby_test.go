package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// pair starts a primary and a standby that it waits for at each commit.
func pair(t *testing.T) (primary, standby *pgtest.Server) {
	t.Helper()
	primary = pgtest.New(t, "synchronous_standby_names=*")
	// Without a standby no commit ends: the first one must not wait.
	standby = primary.Standby(t)
	primary.AwaitSync(t)
	return primary, standby
}

// waiting is how many sessions of stores wait for the standby.
func waiting(t *testing.T, s *pgtest.Server) bool {
	return s.Value(t, "SELECT (count(*) > 0)::text FROM pg_stat_activity WHERE application_name = 'tandem' AND wait_event = 'SyncRep'") == "true"
}

// TestStandby: a standby is refused. While a primary waits for its standby, a write is not
// confirmed, whatever ends the wait, and nobody sees it.
func TestStandby(t *testing.T) {
	ctx := t.Context()
	primary, standby := pair(t)
	s, other := open(t, primary.URL()), open(t, primary.URL())
	require.NoError(t, s.Create(ctx, "id", []byte("old")))
	for _, o := range []Options{{}, {AllowLostWrites: true}} {
		require.ErrorIs(t, openError(t, standby.URL(), o), ErrReadOnly)
	}
	_, version, err := s.Load(ctx, "id")
	require.NoError(t, err)
	standby.Kill()

	requireOld := func() {
		t.Helper()
		for range 20 {
			value, _, err := other.Load(ctx, "id")
			require.NoError(t, err)
			require.Equal(t, "old", string(value), "a write that the standby does not have")
			time.Sleep(5 * time.Millisecond)
		}
	}
	// The caller's patience ends. Nobody may have the database give up its wait.
	swapCtx, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { result <- s.Swap(swapCtx, "id", version, []byte("new")) }()
	await(t, func() bool { return waiting(t, primary) })
	cancel()
	err = <-result
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, limiter.ErrConflict)
	requireOld()

	// An administrator cancels the wait: the write is on one machine only. It is not
	// confirmed.
	go func() { result <- s.Create(ctx, "another", []byte("value")) }()
	const sessions = "FROM pg_stat_activity WHERE application_name = 'tandem' AND wait_event = 'SyncRep' AND query LIKE 'INSERT%'"
	await(t, func() bool { return primary.Value(t, "SELECT (count(*) > 0)::text "+sessions) == "true" })
	primary.Exec(t, "SELECT pg_cancel_backend(pid) "+sessions)
	err = <-result
	require.ErrorContains(t, err, "result of the write unknown")
	require.ErrorContains(t, err, "the server warns")
	require.NotErrorIs(t, err, limiter.ErrConflict)
	requireOld()

	pingCtx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	require.ErrorIs(t, s.Ping(pingCtx), context.DeadlineExceeded, "a ping that does not wait for the standby")
	cancel()

	standby.Start(t)
	await(t, func() bool {
		value, _, err := other.Load(ctx, "id")
		require.NoError(t, err)
		return string(value) == "new"
	})
	await(t, func() bool { return s.Ping(ctx) == nil })
}
