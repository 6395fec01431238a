package postgres

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// TestKill kills a server (kill -9) under load and starts it again, many times: no
// acknowledged count is lost, no lock is forgotten, nothing is counted that nobody did,
// and the stores that were open go on.
func TestKill(t *testing.T) {
	kills := durabletest.Times(100, 2, 1)
	server := pgtest.New(t)
	a, b := open(t, server.URL()), open(t, server.URL())
	l := newLedger()
	for range kills {
		end := l.begin(t, 6, a, b)
		l.more(t, 20+rand.IntN(60))
		time.Sleep(rand.N(3 * time.Millisecond))
		server.Kill()
		l.mu.Lock()
		unknown := l.unknown
		l.mu.Unlock()
		await(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.unknown > unknown })
		server.Start(t)
		l.more(t, 5) // service is back
		end()
		l.verify(t, open(t, server.URL()))
	}
	require.NoError(t, a.Check(t.Context()))
	durabletest.Claim(t, "kill -9: PostgreSQL %s, %d times: %d counts and %d locks acknowledged, none lost; %d calls without an answer", server.Version(t), kills, l.acks, l.locks, l.unknown)
}
