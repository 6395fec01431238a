//go:build unix

package node_test

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/quota"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

// loaded is a node with bolt, as in a folder, and a database; with persons who log in.
type loaded struct {
	registry *prometheus.Registry
	login    func(n int) []time.Duration
	made     int // logins
}

func newLoaded(b *testing.B, address string, persons int) *loaded {
	config, _ := newConfig(b, "TEST Tree issuing")
	dir := b.TempDir()
	db, err := database.Open(b.Context(), address, database.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	store, err := bolt.Open(filepath.Join(dir, "store.db"), bolt.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	keys, err := server.NewKeyPool(2048, 0)
	require.NoError(b, err)
	b.Cleanup(keys.Close)
	l := &loaded{registry: prometheus.NewRegistry()}
	// Each person's relying party is another source: one may not send as much as all do.
	config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	config.DB, config.Server.Store, config.Server.Keys, config.Quotas, config.Metrics = db, store, keys, wideQuotas(), l.registry
	open, err := node.Open(b.Context(), config)
	require.NoError(b, err)
	listening := httptest.NewServer(open)
	b.Cleanup(func() {
		open.Drain()
		listening.Close()
		open.Close()
	})
	c := clients{URL: listening.URL, Scheme: config.Scheme, Folder: b.TempDir(), HPKE: open.HPKEKey()}
	c.Persons = register(b, open, persons)
	for i := range c.Persons {
		c.Persons[i].From = fmt.Sprintf("127.0.1.%d", i+1)
	}
	l.login = startClients(b, c)
	return l
}

// wideQuotas are as many as the default ones, and never reached.
func wideQuotas() accounts.Quotas {
	q := accounts.DefaultQuotas()
	for _, rules := range []*quota.Rules{&q.Begin, &q.PIN, &q.Code} {
		for _, list := range [][]quota.Rule{rules.Person, rules.RelyingParty, rules.Source, rules.All} {
			for i := range list {
				list[i].N *= 1000
			}
		}
	}
	return q
}

// cpu is how much processor time this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// handled is how long requests to sign took in the protocol's server.
func (l *loaded) handled(b *testing.B) (sum float64) {
	families, err := l.registry.Gather()
	require.NoError(b, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if f.GetName() == "tandem_request_seconds" && label.GetName() == "operation" && label.GetValue() == "sign" {
					sum += m.GetHistogram().GetSampleSum()
				}
			}
		}
	}
	return sum
}

// BenchmarkLogin is the closed loop from the relying party's request to its result, over
// HTTP on this machine, with bolt and SQLite: several persons log in at once, each again
// as soon as the last login ended. Relying party and phones are another process:
// cpu-ms/op is what the service spends, and handle-ms/op is the time in the protocol's
// server, waits included. .ci/load says what the processor time is spent for.
func BenchmarkLogin(b *testing.B) {
	for _, persons := range []int{1, 8} {
		benchmarkLogins(b, persons, nil)
	}
}

// BenchmarkLoginPostgres is BenchmarkLogin with PostgreSQL, whose processes spend
// database-cpu-ms/op.
func BenchmarkLoginPostgres(b *testing.B) {
	benchmarkLogins(b, 8, sync.OnceValue(func() *pgtest.Server { return pgtest.New(b) }))
}

func benchmarkLogins(b *testing.B, persons int, postgres func() *pgtest.Server) {
	defer debug.SetGCPercent(debug.SetGCPercent(node.GCPercent))
	start := sync.OnceValue(func() *loaded {
		if postgres != nil {
			return newLoaded(b, postgres().URL(), persons)
		}
		return newLoaded(b, "sqlite:"+filepath.Join(b.TempDir(), "accounts.db"), persons)
	})
	b.Run(fmt.Sprintf("composite4096/persons=%d", persons), func(b *testing.B) {
		l := start()
		var others time.Duration
		if postgres != nil {
			others = postgres().CPU(b)
		}
		handled, used := l.handled(b), cpu()
		b.ReportAllocs()
		b.ResetTimer()
		took := l.login(b.N)
		l.made += b.N
		b.StopTimer()
		used = cpu() - used
		slices.Sort(took)
		n := float64(b.N)
		if postgres != nil {
			b.ReportMetric(float64((postgres().CPU(b)-others).Microseconds())/1000/n, "database-cpu-ms/op")
		}
		b.ReportMetric(float64(l.made), "logins") // all that a profile is of
		b.ReportMetric(n/b.Elapsed().Seconds(), "logins/s")
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		b.ReportMetric(float64(used.Microseconds())/1000/n, "cpu-ms/op")
		b.ReportMetric(1000*(l.handled(b)-handled)/n, "handle-ms/op")
	})
}
