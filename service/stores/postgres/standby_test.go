package postgres

import (
	"context"
	"slices"
	"strings"
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

// sessions are the process ids of stores' sessions that wait for the standby.
func sessions(t *testing.T, s *pgtest.Server) []string {
	t.Helper()
	return strings.Fields(s.Value(t, "SELECT coalesce(string_agg(pid::text, ' '), '') FROM pg_stat_activity WHERE application_name = 'tandem' AND wait_event = 'SyncRep'"))
}

// TestStandby: a standby is refused. While a primary waits for its standby, a write is
// not confirmed, whatever ends the wait, and nobody sees it.
func TestStandby(t *testing.T) {
	ctx := t.Context()
	primary, standby := pair(t)
	s, other := open(t, primary.URL()), open(t, primary.URL())
	require.NoError(t, s.Create(ctx, "id", []byte("old")))
	require.NoError(t, s.Create(ctx, "another", nil))
	for _, o := range []Options{{}, {AllowLostWrites: true}} {
		require.ErrorIs(t, openError(t, standby.URL(), o), ErrReadOnly)
	}
	_, version, err := s.Load(ctx, "id")
	require.NoError(t, err)
	_, ofAnother, err := s.Load(ctx, "another")
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
	await(t, func() bool { return len(sessions(t, primary)) > 0 })
	cancel()
	err = <-result
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, limiter.ErrConflict)
	requireOld()

	// An administrator cancels the wait: the write is on one machine only. It is not
	// confirmed.
	earlier := sessions(t, primary)
	go func() { result <- s.Swap(ctx, "another", ofAnother, []byte("value")) }()
	await(t, func() bool { return len(sessions(t, primary)) > len(earlier) })
	for _, pid := range sessions(t, primary) {
		if !slices.Contains(earlier, pid) {
			primary.Exec(t, "SELECT pg_cancel_backend("+pid+")")
		}
	}
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
