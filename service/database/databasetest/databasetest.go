// Package databasetest runs a test on both engines of package database.
package databasetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// Main is the TestMain of a package that uses Run or Postgres.
func Main(m *testing.M) int {
	code := m.Run()
	endUnused()
	pgtest.EndShared()
	return code
}

// Run runs f with SQLite and, where it is installed, with PostgreSQL. Each call of open
// returns another handle of the same database, as another node has it, which is empty at
// first and is closed with the test.
func Run(t *testing.T, f func(t *testing.T, open func() *database.DB)) {
	for _, engine := range []struct {
		name    string
		address func(testing.TB) string
	}{{"SQLite", SQLite}, {"PostgreSQL", Postgres}} {
		t.Run(engine.name, func(t *testing.T) {
			address := engine.address(t)
			f(t, func() *database.DB { return Open(t, address) })
		})
	}
}

// Open opens a database, which is closed with the test. The test fails if a statement, of
// what it tests, reads the whole of a table (see plans.go).
func Open(t testing.TB, address string) *database.DB {
	t.Helper()
	return OpenTraced(t, address, nil)
}

// OpenTraced is Open with [database.Options.Trace].
func OpenTraced(t testing.TB, address string, trace func(ctx context.Context, statement string)) *database.DB {
	t.Helper()
	p := &plans{postgres: !strings.HasPrefix(address, "sqlite:"), trace: trace}
	db, err := database.Open(context.Background(), address, database.Options{MaxConns: 8, Trace: p.note})
	require.NoError(t, err)
	t.Cleanup(func() {
		p.check(t, db)
		db.Close()
	})
	return db
}

// SQLite returns the address of a new file, which has empty tables.
func SQLite(t testing.TB) string {
	t.Helper()
	made, err := template()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "service.db")
	require.NoError(t, os.WriteFile(file, made, 0o600))
	return "sqlite:" + file
}

// template makes the tables once for all tests of a process.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "databasetest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "template.db")
	db, err := database.Open(context.Background(), "sqlite:"+file, database.Options{})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil { // which puts all into the file
		return nil, err
	}
	return os.ReadFile(file)
})

var schemas atomic.Int64

// Postgres returns the address of a new schema on the server that the tests of a package
// share.
func Postgres(t testing.TB) string {
	t.Helper()
	s := pgtest.Shared(t)
	name := fmt.Sprintf("databasetest%d", schemas.Add(1))
	s.Exec(t, "CREATE SCHEMA "+name)
	return s.URL("search_path=" + name)
}
