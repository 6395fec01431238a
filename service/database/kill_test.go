package database_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/internal/childtest"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
)

const childAddress = "TANDEM_DATABASE_TEST_CHILD"

// children are what this binary does in place of its tests if a variable of that name has
// a value.
var children = map[string]func(value string){childAddress: writeForever}

func TestMain(m *testing.M) {
	for name, child := range children {
		if value := os.Getenv(name); value != "" {
			child(value)
			os.Exit(0)
		}
	}
	os.Exit(databasetest.Main(m))
}

// writeForever adds pairs of rows, and says so of each when it is confirmed.
func writeForever(address string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	db, err := database.Open(ctx, address, database.Options{})
	fail(err)
	for {
		n := 0
		err := db.Tx(ctx, func(tx *sql.Tx) error {
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM pairs").Scan(&n); err != nil {
				return err
			}
			for i := range 2 {
				if _, err := tx.ExecContext(ctx, "INSERT INTO pairs (n) VALUES ($1)", n+i); err != nil {
					return err
				}
			}
			return nil
		})
		// One that was killed before may commit at the last moment, and be in the way.
		if err == nil {
			fmt.Println(n + 2)
		}
	}
}

// TestKilled: a process that is killed with -9 at any moment leaves every transaction
// that was confirmed, whole, and no part of another.
func TestKilled(t *testing.T) {
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) { killed(t, address(t)) })
	}
}

var addresses = map[string]func(testing.TB) string{"SQLite": databasetest.SQLite, "PostgreSQL": databasetest.Postgres}

func killed(t *testing.T, address string) {
	db := databasetest.Open(t, address)
	_, err := db.Exec(t.Context(), "CREATE TABLE pairs (n BIGINT PRIMARY KEY)")
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	rounds := durabletest.Times(100, 5, 2)
	for round := range rounds {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childAddress+"="+address)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, childtest.Start(cmd, syscall.SIGKILL))
		confirmed, lines := 0, bufio.NewScanner(out)
		for i := 0; i < 1+7*round%20 && lines.Scan(); i++ {
			_, err := fmt.Sscan(lines.Text(), &confirmed)
			require.NoError(t, err)
		}
		require.Positive(t, confirmed)
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() { // what it said before it was killed
			_, err := fmt.Sscan(lines.Text(), &confirmed)
			require.NoError(t, err)
		}
		require.Error(t, cmd.Wait())
		var n, highest int
		next, err := database.Open(t.Context(), address, database.Options{})
		require.NoError(t, err)
		require.NoError(t, next.Read(t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRowContext(t.Context(), "SELECT count(*), max(n) FROM pairs").Scan(&n, &highest)
		}))
		require.NoError(t, next.Close())
		require.GreaterOrEqual(t, n, confirmed)
		require.LessOrEqual(t, n, confirmed+2)
		require.Zero(t, n%2)
		require.Equal(t, n-1, highest)
	}
	durabletest.Claim(t, "%s: every confirmed transaction was there, whole, after a writer was killed with -9, %d times", t.Name(), rounds)
}
