package database_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
)

// TestCommitRefused: a transaction that the database refuses to commit is not committed,
// and the next one is not hindered.
func TestCommitRefused(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		_, err := db.Exec(t.Context(), "CREATE TABLE links (id BIGINT PRIMARY KEY, other BIGINT REFERENCES links (id) DEFERRABLE INITIALLY DEFERRED)")
		require.NoError(t, err)
		_, err = db.Exec(t.Context(), "INSERT INTO links (id, other) VALUES (1, 2)")
		require.Error(t, err)
		require.NotErrorIs(t, err, database.ErrUnknown)
		for range 2 {
			rows, err := db.Exec(t.Context(), "DELETE FROM links")
			require.NoError(t, err)
			require.Zero(t, rows)
		}
	})
}

// TestCommitUnknown: if the connection is lost before the database says that it has
// committed, the error says that it is not known.
func TestCommitUnknown(t *testing.T) {
	address := databasetest.Postgres(t)
	db, other := databasetest.Open(t, address), databasetest.Open(t, address)
	table(t, db)
	calls := 0
	err := db.Tx(t.Context(), func(tx *sql.Tx) error {
		calls++
		if _, err := tx.ExecContext(t.Context(), "UPDATE counters SET n = n + 1"); err != nil {
			return err
		}
		var pid int
		if err := tx.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			return err
		}
		return other.Read(t.Context(), func(tx *sql.Tx) error {
			var ended bool
			err := tx.QueryRowContext(t.Context(), "SELECT pg_terminate_backend($1, 60000)", pid).Scan(&ended)
			require.True(t, ended)
			return err
		})
	})
	require.ErrorIs(t, err, database.ErrUnknown)
	require.Equal(t, 1, calls, "it is not repeated")
	_, err = db.Exec(t.Context(), "UPDATE counters SET n = n + 1")
	require.NoError(t, err, "on another connection")
}

// TestUnsafe: a PostgreSQL server that may forget what it confirmed is refused, also by
// tables that a crash empties.
func TestUnsafe(t *testing.T) {
	address := databasetest.Postgres(t)
	refused := func(address string) {
		t.Helper()
		_, err := database.Open(t.Context(), address, database.Options{})
		require.ErrorIs(t, err, database.ErrUnsafe)
		db, err := database.Open(t.Context(), address, database.Options{AllowLostWrites: true})
		require.NoError(t, err)
		require.NoError(t, db.Close())
	}
	refused(address + "&synchronous_commit=off")
	db := databasetest.Open(t, address)
	require.NoError(t, db.Ping(t.Context()))
	_, err := db.Exec(t.Context(), "ALTER TABLE history SET UNLOGGED")
	require.NoError(t, err)
	require.ErrorIs(t, db.Ping(t.Context()), database.ErrUnsafe)
	refused(address)
}
