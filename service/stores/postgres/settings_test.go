package postgres

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// set changes a setting of the server, and returns when new sessions have it.
func set(t *testing.T, s *pgtest.Server, name, value string) {
	t.Helper()
	s.Exec(t, "ALTER SYSTEM SET "+name+" = "+value)
	s.Reload(t)
	await(t, func() bool { return s.Value(t, "SHOW "+name) == value })
}

func unset(t *testing.T, s *pgtest.Server, name, was string) {
	t.Helper()
	s.Exec(t, "ALTER SYSTEM RESET "+name)
	s.Reload(t)
	await(t, func() bool { return s.Value(t, "SHOW "+name) == was })
}

// await returns once something has happened.
func await(t testing.TB, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !happened(); time.Sleep(5 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "it never happens")
	}
}

func openError(t *testing.T, url string, o Options) error {
	t.Helper()
	s, err := Open(t.Context(), url, o)
	if err == nil {
		require.NoError(t, s.Close())
	}
	return err
}

// TestUnsafeSettings: a server that may forget what it confirmed is refused, by Open and
// by a store that was opened before, unless the caller said otherwise.
func TestUnsafeSettings(t *testing.T) {
	server := pgtest.New(t)
	s := open(t, server.URL())
	require.NoError(t, s.Create(t.Context(), "id", nil))
	for _, c := range []struct{ name, safe, unsafe string }{
		{"fsync", "on", "off"},
		{"full_page_writes", "on", "off"},
		{"synchronous_commit", "on", "off"},
		{"synchronous_commit", "on", "local"},
		{"synchronous_commit", "on", "remote_write"},
		{"zero_damaged_pages", "off", "on"},
		{"ignore_checksum_failure", "off", "on"},
	} {
		set(t, server, c.name, c.unsafe)
		err := openError(t, server.URL(), Options{})
		require.ErrorIs(t, err, ErrUnsafe)
		require.ErrorContains(t, err, c.name+" is "+c.unsafe)
		await(t, func() bool { return s.Ping(t.Context()) != nil }) // its session learns of it, too
		require.ErrorIs(t, s.Ping(t.Context()), ErrUnsafe)
		require.NoError(t, openError(t, server.URL(), Options{AllowLostWrites: true}))
		unset(t, server, c.name, c.safe)
		await(t, func() bool { return s.Ping(t.Context()) == nil })
	}
	set(t, server, "synchronous_commit", "remote_apply")
	require.NoError(t, openError(t, server.URL(), Options{}))
	unset(t, server, "synchronous_commit", "on")

	// For this role only.
	server.Exec(t, "ALTER ROLE postgres SET synchronous_commit = off")
	require.ErrorIs(t, openError(t, server.URL(), Options{}), ErrUnsafe)
	server.Exec(t, "ALTER ROLE postgres RESET synchronous_commit")

	server.Exec(t, "ALTER TABLE tandem_records SET UNLOGGED")
	require.ErrorIs(t, openError(t, server.URL(), Options{}), ErrUnsafe)
	require.NoError(t, openError(t, server.URL(), Options{AllowLostWrites: true}))
	server.Exec(t, "ALTER TABLE tandem_records SET LOGGED")
	require.NoError(t, openError(t, server.URL(), Options{}))

	server.Exec(t, "ALTER DATABASE postgres SET default_transaction_read_only = on")
	for _, o := range []Options{{}, {AllowLostWrites: true}} {
		require.ErrorIs(t, openError(t, server.URL(), o), ErrReadOnly)
	}
}

// TestPageChecksums: without checksums of pages a server is refused; with them it finds
// what was flipped where no checksum of this package reaches.
func TestPageChecksums(t *testing.T) {
	server := pgtest.New(t)
	s := open(t, server.URL())
	require.NoError(t, s.Create(t.Context(), "id", []byte("value")))
	_, version, err := s.Load(t.Context(), "id")
	require.NoError(t, err)
	require.NoError(t, s.Swap(t.Context(), "id", version, []byte("later")))
	table := filepath.Join(server.Folder(), "data", server.Value(t, "SELECT pg_relation_filepath('tandem_records')"))
	server.Stop()
	// Both versions of the row are in the page. A bit of the header decides which holds.
	b, err := os.ReadFile(table)
	require.NoError(t, err)
	const rowPointers = 24
	pointer := int(b[rowPointers+4]) | int(b[rowPointers+5])<<8 // the second
	b[pointer&0x7FFF] ^= 1                                      // the transaction that wrote it
	require.NoError(t, os.WriteFile(table, b, 0o600))
	server.Start(t)
	_, _, err = s.Load(t.Context(), "id")
	require.ErrorContains(t, err, "invalid page")
	require.Error(t, s.Check(t.Context()))

	server.Stop()
	b[pointer&0x7FFF] ^= 1
	require.NoError(t, os.WriteFile(table, b, 0o600))
	server.Tool(t, "pg_checksums", "--disable", "-D", filepath.Join(server.Folder(), "data"))
	server.Start(t)
	err = openError(t, server.URL(), Options{})
	require.ErrorIs(t, err, ErrUnsafe)
	require.ErrorContains(t, err, "data_checksums is off")
	require.NoError(t, openError(t, server.URL(), Options{AllowLostWrites: true}))
}

// TestSessions: what a session has, whatever the URL and the database say.
func TestSessions(t *testing.T) {
	server := pgtest.Shared(t)
	s := open(t, server.URL(newSchema(t, server), "statement_timeout=100", "default_transaction_isolation=serializable"))
	for name, want := range map[string]string{
		"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
		"transaction_isolation": "read committed", "application_name": "tandem",
		"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
	} {
		var value string
		require.NoError(t, s.pool.QueryRow(t.Context(), "SHOW "+name).Scan(&value))
		require.Equal(t, want, value, name)
	}
}

// TestInsecure: a connection to another machine must be encrypted, and its server
// verified.
func TestInsecure(t *testing.T) {
	for url, allowed := range map[string]bool{
		"postgres://db.example/tandem":                                     false, // prefer
		"postgres://db.example/tandem?sslmode=disable":                     false,
		"postgres://db.example/tandem?sslmode=require":                     false,
		"postgres://db.example/tandem?sslmode=verify-ca":                   false,
		"postgres://db.example/tandem?sslmode=verify-full":                 true,
		"postgres://db.example,other.example/tandem?sslmode=verify-full":   true,
		"postgres://127.0.0.1,db.example/tandem?sslmode=disable":           false,
		"postgres://10.0.0.1/tandem?sslmode=disable":                       false,
		"postgres://127.0.0.1/tandem?sslmode=disable":                      true,
		"postgres://[::1]/tandem":                                          true,
		"postgres://localhost/tandem":                                      true,
		"host=/run/postgresql dbname=tandem":                               true,
		"host=db.example hostaddr=127.0.0.1 dbname=tandem sslmode=disable": false,
		"postgres://localhost.example/tandem?sslmode=disable":              false,
		"postgres://127.0.0.1.example/tandem?sslmode=allow":                false,
	} {
		s := newStore(Options{})
		_, err := s.config(url)
		if allowed {
			require.NoError(t, err, url)
		} else {
			require.ErrorIs(t, err, ErrInsecure, url)
		}
		s = newStore(Options{AllowPlaintext: true})
		_, err = s.config(url)
		require.NoError(t, err, url)
	}
}

func TestMaxConns(t *testing.T) {
	for _, c := range []struct {
		url  string
		n    int
		want int32
	}{
		{"postgres://localhost/a", 0, defaultConns},
		{"postgres://localhost/a", 3, 3},
		{"postgres://localhost/a?pool_max_conns=7", 0, 7},
		{"postgres://localhost/a?pool_max_conns=7", 3, 3},
	} {
		s := newStore(Options{MaxConns: c.n})
		config, err := s.config(c.url)
		require.NoError(t, err)
		require.Equal(t, c.want, config.MaxConns)
	}
	_, err := Open(context.Background(), "postgres://localhost/?pool_max_conns=none", Options{})
	require.Error(t, err)
}
