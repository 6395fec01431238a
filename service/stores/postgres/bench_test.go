package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
	"github.com/tandem-rsa/tandem/service/stores/internal/benchtest"
)

func openFor(b *testing.B, conns int) *Store {
	server := pgtest.Shared(b)
	s, err := Open(b.Context(), server.URL(newSchema(b, server)), Options{MaxConns: conns})
	require.NoError(b, err)
	b.Cleanup(func() { s.Close() })
	// pgbench does not count the time to connect, either.
	all := make([]*pgxpool.Conn, conns)
	for i := range all {
		all[i], err = s.pool.Acquire(b.Context())
		require.NoError(b, err)
	}
	for _, c := range all {
		c.Release()
	}
	return s
}

// BenchmarkSwap swaps records that nobody else swaps: one conditional update each, as
// BenchmarkPgbench.
func BenchmarkSwap(b *testing.B) {
	for _, n := range benchtest.Clients {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			ctx := context.Background()
			s := openFor(b, n)
			value := make([]byte, benchtest.ValueSize)
			versions := make([]uint64, n)
			for c := range n {
				require.NoError(b, s.Create(ctx, fmt.Sprint(c), value))
				var err error
				_, versions[c], err = s.Load(ctx, fmt.Sprint(c))
				require.NoError(b, err)
			}
			benchtest.AtOnce(b, n, func(c int) error {
				versions[c]++ // which is how this store gives them
				return s.Swap(ctx, fmt.Sprint(c), versions[c]-1, value)
			})
		})
	}
}

func BenchmarkAttempt(b *testing.B) {
	benchtest.Attempts(b, func(b *testing.B, clients int) limiter.Store { return openFor(b, clients) })
}

var latency = regexp.MustCompile(`(?m)^\d+ \d+ (\d+) `)

// BenchmarkPgbench is the same update by PostgreSQL's own pgbench, of a row of the same
// size for each client.
func BenchmarkPgbench(b *testing.B) {
	server := pgtest.Shared(b)
	for _, n := range benchtest.Clients {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			s := openFor(b, 1)
			var schema string
			require.NoError(b, s.pool.QueryRow(b.Context(), "SHOW search_path").Scan(&schema))
			for c := range n {
				execute(b, s, "INSERT INTO tandem_records VALUES ($1, 1, $2)", fmt.Append(nil, c), make([]byte, benchtest.ValueSize))
			}
			script := filepath.Join(server.Folder(), "script.sql")
			// The id is the number of the client, in ASCII, as the store's is.
			text := fmt.Sprintf("UPDATE %s.tandem_records SET version = version + 1, record = '\\x%s' "+
				"WHERE id = convert_to(:client_id::text, 'UTF8') AND version > 0;\n", schema, strings.Repeat("00", benchtest.ValueSize))
			require.NoError(b, os.WriteFile(script, []byte(text), 0o644))
			logs := filepath.Join(server.Folder(), fmt.Sprintf("pgbench-%d-%d", n, b.N))
			b.ResetTimer()
			out := server.Run(b, "pgbench", "-n", "-M", "prepared", "-c", strconv.Itoa(n), "-j", strconv.Itoa(min(n, 2)),
				"-t", strconv.Itoa((b.N+n-1)/n), "-f", script, "-l", "--log-prefix", logs)
			b.StopTimer()
			match := regexp.MustCompile(`tps = ([0-9.]+)`).FindStringSubmatch(out)
			require.NotNil(b, match, out)
			tps, err := strconv.ParseFloat(match[1], 64)
			require.NoError(b, err)
			var took []time.Duration
			files, err := filepath.Glob(logs + "*")
			require.NoError(b, err)
			for _, name := range files {
				text, err := os.ReadFile(name)
				require.NoError(b, err)
				for _, m := range latency.FindAllStringSubmatch(string(text), -1) {
					us, err := strconv.Atoi(m[1])
					require.NoError(b, err)
					took = append(took, time.Duration(us)*time.Microsecond)
				}
			}
			require.NotEmpty(b, took, out)
			benchtest.Report(b, took, time.Duration(float64(len(took))/tps*float64(time.Second)))
		})
	}
}
