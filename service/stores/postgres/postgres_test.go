package postgres

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// TestMain lets the tests run this binary again as a server process.
func TestMain(m *testing.M) {
	if role, child := roles[os.Getenv(childRole)]; child {
		role()
		return
	}
	code := m.Run()
	pgtest.EndShared()
	os.Exit(code)
}

const childRole = "TANDEM_POSTGRES_TEST_ROLE"

var roles = map[string]func(){"guess": guessAtOnce}

var schemas atomic.Int64

// newSchema makes a schema for one test, and returns the parameter of a URL that chooses
// it.
func newSchema(t testing.TB, s *pgtest.Server) string {
	t.Helper()
	name := fmt.Sprintf("test%d", schemas.Add(1))
	s.Exec(t, "CREATE SCHEMA "+name)
	return "search_path=" + name
}

func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(context.Background(), url, Options{MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// openNew opens an empty store on the shared server.
func openNew(t testing.TB) *Store {
	t.Helper()
	server := pgtest.Shared(t)
	return open(t, server.URL(newSchema(t, server)))
}

// database is a store for storetest.
func database(t *testing.T) storetest.Database {
	server := pgtest.Shared(t)
	schema := newSchema(t, server)
	remover := open(t, server.URL(schema))
	return storetest.Database{
		Open:   func() limiter.Store { return open(t, server.URL(schema)) },
		Close:  func(s limiter.Store) { require.NoError(t, s.(*Store).Close()) },
		Server: server.Address(),
		OpenAt: func(address string) limiter.Store { return open(t, server.URLAt(address, schema)) },
		Remove: func(id string) {
			_, err := remover.pool.Exec(context.Background(), "DELETE FROM tandem_records WHERE id = $1", []byte(id))
			require.NoError(t, err)
		},
		EveryByte: durabletest.Long(),
	}
}

func TestContract(t *testing.T) {
	storetest.Run(t, database)
	if durabletest.Long() {
		durabletest.Claim(t, "unknown outcomes: PostgreSQL, connections cut, cancelled and held at every byte of a call: no write confirmed that did not happen, none of its own taken for a conflict")
	}
}

func TestContractReopened(t *testing.T) { storetest.RunReopen(t, database) }
