package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// TestFailover kills a primary (kill -9) under load, again and again. Its standby is
// promoted, and the former primary comes back by itself, as after a reboot: it confirms
// nothing, and stores that know its successor refuse it. Then it is rewound and becomes
// the standby, and service goes on. No acknowledged count is lost and no lock forgotten.
func TestFailover(t *testing.T) {
	failovers := durabletest.Times(30, 1, 1)
	primary, standby := pair(t)
	both := func() string { return primary.URLAt(primary.Address() + "," + standby.Address()) }
	a, b := open(t, both()), open(t, both())
	l := newLedger()
	for range failovers {
		end := l.begin(t, 6, a, b)
		l.more(t, 20+rand.IntN(60))
		time.Sleep(rand.N(3 * time.Millisecond))
		primary.Kill()
		standby.Promote(t)
		// While the former primary is away, a can only reach the new one.
		await(t, func() bool { _, _, err := a.Load(t.Context(), "nobody"); return errors.Is(err, limiter.ErrNotFound) })

		// Whoever reaches the former primary gets no write confirmed.
		primary.Start(t)
		requireFenced(t, primary, a)

		primary.Stop()
		primary.Rewind(t, standby)
		primary.Follow(t, standby)
		primary.Start(t)
		standby.AwaitSync(t)
		primary, standby = standby, primary
		l.more(t, 5) // service is back
		end()
		l.verify(t, open(t, both()))
	}
	require.NoError(t, a.Check(t.Context()))
	durabletest.Claim(t, "failover: PostgreSQL %s with a synchronous standby, %d times: %d counts and %d locks acknowledged, none lost; %d calls without an answer", primary.Version(t), failovers, l.acks, l.locks, l.unknown)
}

// requireFenced: a former primary confirms no write, since it waits for a standby that
// does not follow it; and a store that has seen its successor, as s has, does not connect
// to it.
func requireFenced(t *testing.T, former *pgtest.Server, s *Store) {
	t.Helper()
	fresh, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	unaware, err := Open(fresh, former.URL(), Options{}) // a process that began just now
	require.NoError(t, err)
	defer unaware.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	first, err := limiter.Counter{}.MarshalBinary()
	require.NoError(t, err)
	require.ErrorIs(t, unaware.Create(ctx, "on the former primary", first), context.DeadlineExceeded)

	config, err := s.config(former.URL())
	require.NoError(t, err)
	_, err = pgx.ConnectConfig(t.Context(), config.ConnConfig)
	require.ErrorIs(t, err, ErrStale)
}
