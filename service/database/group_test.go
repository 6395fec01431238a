package database_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
)

// together runs transactions in one group: the first goes on when all others are in line.
func together(t *testing.T, db *database.DB, first func(context.Context, func(*sql.Tx) error) error, f func(*sql.Tx) error, others ...func() error) (errs []error) {
	t.Helper()
	errs = make([]error, 1+len(others))
	held := make(chan struct{})
	var once sync.Once
	var all sync.WaitGroup
	all.Go(func() {
		errs[0] = first(t.Context(), func(tx *sql.Tx) error {
			once.Do(func() {
				close(held)
				for db.InLine() < len(others) {
					time.Sleep(time.Millisecond)
				}
			})
			return f(tx)
		})
	})
	<-held
	for i, other := range others {
		all.Go(func() { errs[1+i] = other() })
		for i < len(others)-1 && db.InLine() < i+1 { // when all are there the first goes on
			time.Sleep(time.Millisecond)
		}
	}
	all.Wait()
	return errs
}

func sum(t *testing.T, db *database.DB) (n int) {
	t.Helper()
	require.NoError(t, db.Query(t.Context(), func(rows *sql.Rows) error {
		require.True(t, rows.Next())
		return rows.Scan(&n)
	}, "SELECT n FROM counters WHERE id = $1", "a"))
	return n
}

// TestTogether: transactions that come while one writes are committed with it: nobody is
// told before, and nobody else sees anything before. One that fails, whose context ends,
// or whose function panics takes back what it wrote, and nothing else.
func TestTogether(t *testing.T) {
	address := databasetest.SQLite(t)
	db, other := databasetest.Open(t, address), databasetest.Open(t, address)
	table(t, db)
	db.NeverRecheck()
	var told atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	woken := make(chan string, 10)
	waiting, stop := context.WithCancel(t.Context())
	defer stop()
	for _, key := range []string{"written", "failed"} {
		began := make(chan bool, 1)
		go db.Wait(waiting, "counter", key, func(context.Context) (bool, error) {
			select {
			case began <- true:
			default:
				woken <- key
			}
			return false, nil
		})
		<-began
	}
	add := func(n int, key string, end func() error) func(*sql.Tx) error {
		return func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(t.Context(), "UPDATE counters SET n = n + $1", n); err != nil {
				return err
			}
			require.Zero(t, told.Load(), "nobody is told")
			require.Zero(t, sum(t, other), "nobody sees anything")
			if err := db.Notify(t.Context(), tx, "counter", key); err != nil {
				return err
			}
			return end()
		}
	}
	ok := func() error { return nil }
	mine := errors.New("mine")
	run := func(ctx context.Context, f func(*sql.Tx) error) func() error {
		return func() error {
			err := db.Tx(ctx, f)
			told.Add(1)
			return err
		}
	}
	leader := func(ctx context.Context, f func(*sql.Tx) error) error { return run(ctx, f)() }
	errs := together(t, db, leader, add(1, "written", ok),
		run(t.Context(), add(10, "failed", func() error { return mine })),
		run(t.Context(), add(100, "written", ok)),
		run(ctx, add(1000, "failed", func() error { cancel(); return nil })),
		func() (err error) {
			defer func() {
				if text, ok := recover().(string); ok {
					err = errors.New(text)
				}
			}()
			return db.Tx(t.Context(), add(10000, "failed", func() error { panic("panic") }))
		},
		run(t.Context(), add(100000, "written", ok)),
	)
	require.NoError(t, errs[0])
	require.Equal(t, mine, errs[1])
	require.NoError(t, errs[2])
	require.ErrorIs(t, errs[3], context.Canceled)
	require.EqualError(t, errs[4], "panic")
	require.NoError(t, errs[5])
	for _, db := range []*database.DB{db, other} {
		require.Equal(t, 100101, sum(t, db))
	}
	require.Equal(t, "written", <-woken)
	require.NoError(t, db.Tx(t.Context(), func(tx *sql.Tx) error { return db.Notify(t.Context(), tx, "counter", "written") }))
	for len(woken) > 0 {
		require.Equal(t, "written", <-woken)
	}
}

// TestTogetherRefused: if the database refuses to commit what several have written, each
// runs again by itself, and the one that it refuses fails.
func TestTogetherRefused(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLite(t))
	table(t, db)
	_, err := db.Exec(t.Context(), "CREATE TABLE links (id BIGINT PRIMARY KEY, other BIGINT REFERENCES links (id) DEFERRABLE INITIALLY DEFERRED)")
	require.NoError(t, err)
	runs := 0
	add := func(tx *sql.Tx) error {
		runs++
		_, err := tx.ExecContext(t.Context(), "UPDATE counters SET n = n + 1")
		return err
	}
	mine := errors.New("mine")
	errs := together(t, db, db.Tx, add,
		func() error { return db.Tx(t.Context(), add) },
		func() error {
			_, err := db.Exec(t.Context(), "INSERT INTO links (id, other) VALUES (1, 2)")
			return err
		},
		func() error {
			return db.Tx(t.Context(), func(tx *sql.Tx) error { return errors.Join(add(tx), mine) })
		},
		func() error { return db.TxLoose(t.Context(), add) },
	)
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	require.ErrorContains(t, errs[2], "FOREIGN KEY")
	require.ErrorIs(t, errs[3], mine)
	require.NoError(t, errs[4])
	require.Equal(t, 3, sum(t, db))
	require.Equal(t, 8, runs)
}

// TestTogetherFirstFails: those who come after one that has failed are a group without
// it.
func TestTogetherFirstFails(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLite(t))
	table(t, db)
	add := func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), "UPDATE counters SET n = n + 1")
		return err
	}
	mine := errors.New("mine")
	errs := together(t, db, db.Tx, func(tx *sql.Tx) error { return errors.Join(add(tx), mine) },
		func() error { return db.Tx(t.Context(), add) },
		func() error { return db.Tx(t.Context(), add) },
	)
	require.ErrorIs(t, errs[0], mine)
	require.NoError(t, errs[1])
	require.NoError(t, errs[2])
	require.Equal(t, 2, sum(t, db))
}

// TestTogetherDurable: one that must be durable is in no group that is not synced, and a
// loose one may be in one that is.
func TestTogetherDurable(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLite(t))
	setting := func(want int) func(*sql.Tx) error {
		return func(tx *sql.Tx) error {
			var got int
			err := tx.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&got)
			require.Equal(t, want, got)
			return err
		}
	}
	const normal, full = 1, 2
	loose := func(want int) func() error { return func() error { return db.TxLoose(t.Context(), setting(want)) } }
	durable := func() error { return db.TxReadCommitted(t.Context(), setting(full)) }
	for range 2 {
		for _, err := range together(t, db, db.TxLoose, setting(normal), loose(normal), durable, loose(full), durable) {
			require.NoError(t, err)
		}
		for _, err := range together(t, db, db.Tx, setting(full), loose(full), durable) {
			require.NoError(t, err)
		}
	}
}

// TestLeaveLine: one whose context ends while it waits does not run, and hinders nobody.
func TestLeaveLine(t *testing.T) {
	db := databasetest.Open(t, databasetest.SQLite(t))
	table(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	add := func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), "UPDATE counters SET n = n + 1")
		return err
	}
	gone := make(chan error, 1)
	errs := together(t, db, db.Tx, func(tx *sql.Tx) error {
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		return add(tx)
	},
		func() error {
			err := db.Tx(ctx, func(*sql.Tx) error { return errors.New("it runs") })
			gone <- err
			return nil
		},
		func() error { return db.Tx(t.Context(), add) },
	)
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, 2, sum(t, db))
}
