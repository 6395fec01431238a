package database_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
)

// table makes a table for a test.
func table(t *testing.T, db *database.DB) {
	t.Helper()
	_, err := db.Exec(t.Context(), "CREATE TABLE counters (id TEXT PRIMARY KEY, n BIGINT NOT NULL, data BYTEA)")
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "INSERT INTO counters (id, n) VALUES ($1, 0)", "a")
	require.NoError(t, err)
}

func count(ctx context.Context, q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (n int, err error) {
	err = q.QueryRowContext(ctx, "SELECT n FROM counters WHERE id = $1", "a").Scan(&n)
	return n, err
}

// TestTx: transactions that read and then write, on two nodes at once, lose nothing.
func TestTx(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		a, b := open(), open()
		table(t, a)
		const each = 10
		var wg sync.WaitGroup
		for _, db := range []*database.DB{a, b, a, b} {
			wg.Go(func() {
				for range each {
					err := db.Tx(t.Context(), func(tx *sql.Tx) error {
						n, err := count(t.Context(), tx)
						if err != nil {
							return err
						}
						_, err = tx.ExecContext(t.Context(), "UPDATE counters SET n = $1 WHERE id = $2", n+1, "a")
						return err
					})
					require.NoError(t, err)
				}
			})
		}
		wg.Wait()
		for _, db := range []*database.DB{a, b} {
			require.NoError(t, db.Read(t.Context(), func(tx *sql.Tx) error {
				n, err := count(t.Context(), tx)
				require.Equal(t, 4*each, n)
				return err
			}))
		}
	})
}

// TestTxError: a function's error is the transaction's, and nothing is written; the same
// goes for a panic, and for a context that ended.
func TestTxError(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		table(t, db)
		add := func(ctx context.Context, tx *sql.Tx) {
			_, err := tx.ExecContext(ctx, "UPDATE counters SET n = n + 1")
			require.NoError(t, err)
		}
		mine := errors.New("mine")
		calls := 0
		require.Equal(t, mine, db.Tx(t.Context(), func(tx *sql.Tx) error {
			calls++
			add(t.Context(), tx)
			return mine
		}))
		require.Equal(t, 1, calls)
		require.Panics(t, func() {
			db.Tx(t.Context(), func(tx *sql.Tx) error {
				add(t.Context(), tx)
				panic("mine")
			})
		})
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Tx(ctx, func(tx *sql.Tx) error {
			add(ctx, tx)
			cancel()
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, database.ErrUnknown)
		require.ErrorIs(t, db.Tx(ctx, func(*sql.Tx) error { return nil }), context.Canceled)
		require.ErrorIs(t, db.Read(ctx, func(*sql.Tx) error { return nil }), context.Canceled)
		require.NoError(t, db.Read(t.Context(), func(tx *sql.Tx) error {
			n, err := count(t.Context(), tx)
			require.Zero(t, n)
			return err
		}))
	})
}

// TestRead: what is read is of one moment, and nothing is written.
func TestRead(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		table(t, db)
		require.NoError(t, db.Read(t.Context(), func(tx *sql.Tx) error {
			before, err := count(t.Context(), tx)
			require.NoError(t, err)
			_, err = db.Exec(t.Context(), "UPDATE counters SET n = n + 1")
			require.NoError(t, err)
			after, err := count(t.Context(), tx)
			require.Equal(t, before, after)
			return err
		}))
		require.Error(t, db.Read(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), "UPDATE counters SET n = 7")
			return err
		}))
		require.NoError(t, db.Read(t.Context(), func(tx *sql.Tx) error {
			n, err := count(t.Context(), tx)
			require.Equal(t, 1, n)
			return err
		}))
	})
}

// TestSnapshot: all reads of a snapshot see the database at one moment; those of another
// database do not.
func TestSnapshot(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db, other := open(), open()
		table(t, db)
		read := func(ctx context.Context, db *database.DB) (n int) {
			require.NoError(t, db.Read(ctx, func(tx *sql.Tx) (err error) {
				n, err = count(ctx, tx)
				return err
			}))
			return n
		}
		mine := errors.New("mine")
		require.Equal(t, mine, db.Snapshot(t.Context(), func(ctx context.Context) error {
			require.Equal(t, 0, read(ctx, db))
			_, err := db.Exec(t.Context(), "UPDATE counters SET n = n + 1")
			require.NoError(t, err)
			require.Equal(t, 0, read(ctx, db))
			require.Equal(t, 1, read(ctx, other))
			require.Equal(t, 1, read(t.Context(), db))
			return mine
		}))
		require.Error(t, db.Snapshot(t.Context(), nil))
	})
}

// TestReadCommitted: many that count at once in one row are all counted.
func TestReadCommitted(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		table(t, db)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				require.NoError(t, db.TxReadCommitted(t.Context(), func(tx *sql.Tx) error {
					_, err := tx.ExecContext(t.Context(), "UPDATE counters SET n = n + 1 WHERE id = $1", "a")
					return err
				}))
			})
		}
		wg.Wait()
		require.NoError(t, db.Read(t.Context(), func(tx *sql.Tx) error {
			n, err := count(t.Context(), tx)
			require.Equal(t, 8, n)
			return err
		}))
	})
}

// TestLoose: a loose transaction is committed as others are, and those that come after it
// are durable.
func TestLoose(t *testing.T) {
	settings := map[string][2]string{ // the query; what it is loose and otherwise
		"TestLoose/SQLite":     {"PRAGMA synchronous", "1 2"},
		"TestLoose/PostgreSQL": {"SHOW synchronous_commit", "off on"},
	}
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		table(t, db)
		look := func(tx *sql.Tx) (setting string) {
			require.NoError(t, tx.QueryRowContext(t.Context(), settings[t.Name()][0]).Scan(&setting))
			_, err := tx.ExecContext(t.Context(), "UPDATE counters SET n = n + 1")
			require.NoError(t, err)
			return setting
		}
		want := strings.Fields(settings[t.Name()][1])
		for range 2 {
			require.NoError(t, db.TxLoose(t.Context(), func(tx *sql.Tx) error { require.Equal(t, want[0], look(tx)); return nil }))
			require.NoError(t, db.Tx(t.Context(), func(tx *sql.Tx) error { require.Equal(t, want[1], look(tx)); return nil }))
			require.NoError(t, db.TxReadCommitted(t.Context(), func(tx *sql.Tx) error { require.Equal(t, want[1], look(tx)); return nil }))
		}
		require.ErrorIs(t, db.TxLoose(t.Context(), func(tx *sql.Tx) error { look(tx); return context.Canceled }), context.Canceled)
		require.NoError(t, db.Read(t.Context(), func(tx *sql.Tx) error {
			n, err := count(t.Context(), tx)
			require.Equal(t, 6, n)
			return err
		}))
	})
}

// TestBytes: bytes come back as they are; no bytes are not NULL.
func TestBytes(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		table(t, db)
		for _, want := range [][]byte{nil, {}, {0}, {0xff, 0, '\'', '1'}, []byte("text"), []byte("7")} {
			_, err := db.Exec(t.Context(), "UPDATE counters SET data = $1", want)
			require.NoError(t, err)
			require.NoError(t, db.Read(t.Context(), func(tx *sql.Tx) error {
				var got []byte
				var null bool
				err := tx.QueryRowContext(t.Context(), "SELECT data, data IS NULL FROM counters").Scan(&got, &null)
				require.Equal(t, want == nil, null)
				require.Equal(t, string(want), string(got))
				return err
			}))
		}
	})
}

// TestNotify: who waits is woken by what another node committed, and by nothing else.
func TestNotify(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		db.NeverRecheck()
		writers := []*database.DB{db}
		if t.Name() == "TestNotify/PostgreSQL" {
			writers = append(writers, open())
		}
		table(t, db)
		for i, writer := range writers {
			var looks atomic.Int32
			looked, done := make(chan bool, 100), make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				done <- db.Wait(ctx, "counter", "a", func(ctx context.Context) (finished bool, err error) {
					err = db.Read(ctx, func(tx *sql.Tx) error {
						n, err := count(ctx, tx)
						finished = n > i
						return err
					})
					looks.Add(1)
					looked <- finished
					return finished, err
				})
			}()
			require.False(t, <-looked)
			set := func(key string, fail error) error {
				return writer.Tx(t.Context(), func(tx *sql.Tx) error {
					if key == "a" {
						if _, err := tx.ExecContext(t.Context(), "UPDATE counters SET n = n + 1"); err != nil {
							return err
						}
					}
					require.NoError(t, writer.Notify(t.Context(), tx, "counter", key))
					return fail
				})
			}
			require.NoError(t, set("b", nil))
			require.Error(t, set("a", errors.New("mine"))) // not committed
			require.NoError(t, set("a", nil))
			require.NoError(t, <-done)
			// Once at first and once when it was woken. PostgreSQL's listener wakes
			// everybody when it begins.
			if most := int32(2); len(writers) > 1 {
				require.LessOrEqual(t, looks.Load(), most+1)
			} else {
				require.Equal(t, most, looks.Load())
			}
		}
	})
}

// TestWokenWhileLooking: what is committed while a waiter looks wakes it.
func TestWokenWhileLooking(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		db.NeverRecheck()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		looks := 0
		require.NoError(t, db.Wait(ctx, "counter", "a", func(ctx context.Context) (bool, error) {
			looks++
			if looks > 1 {
				return true, nil
			}
			return false, db.Tx(ctx, func(tx *sql.Tx) error { return db.Notify(ctx, tx, "counter", "a") })
		}))
	})
}

// TestWaitEnds: Wait ends with its context, with the error of what it calls, and with the
// database.
func TestWaitEnds(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		never := func(context.Context) (bool, error) { return false, nil }
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, db.Wait(ctx, "topic", "key", never), context.DeadlineExceeded)
		mine := errors.New("mine")
		require.Equal(t, mine, db.Wait(t.Context(), "topic", "key", func(context.Context) (bool, error) { return false, mine }))
		looked, done := make(chan bool, 1), make(chan error, 1)
		go func() {
			done <- db.Wait(context.Background(), "topic", "key", func(context.Context) (bool, error) {
				select {
				case looked <- true:
				default:
				}
				return false, nil
			})
		}()
		<-looked
		require.NoError(t, db.Close())
		require.ErrorIs(t, <-done, database.ErrClosed)
		for _, topic := range []string{"", "two words", "a\x00"} {
			require.Error(t, open().Wait(t.Context(), topic, "key", never))
		}
	})
}

// TestOpenTogether: nodes that start at once on an empty database make its tables once.
func TestOpenTogether(t *testing.T) {
	empty := func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "new.db") }
	for name, address := range map[string]func(testing.TB) string{"SQLite": empty, "PostgreSQL": databasetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			address := address(t)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					db, err := database.Open(context.Background(), address, database.Options{})
					require.NoError(t, err)
					require.NoError(t, db.Ping(t.Context()))
					require.NoError(t, db.Close())
				})
			}
			wg.Wait()
		})
	}
}

// TestNewerSchema: tables of a newer version are left alone.
func TestNewerSchema(t *testing.T) {
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			address := address(t)
			_, err := databasetest.Open(t, address).Exec(t.Context(), "UPDATE tandem_migrations SET version_id = version_id + 1000")
			require.NoError(t, err)
			_, err = database.Open(t.Context(), address, database.Options{})
			require.ErrorIs(t, err, database.ErrSchema)
		})
	}
}

// TestAddress: what is no address is refused, and an error does not print a password.
func TestAddress(t *testing.T) {
	for _, address := range []string{"", "file.db", "sqlite:", "sqlite::memory:", "mysql://localhost/a", "http://localhost"} {
		_, err := database.Open(t.Context(), address, database.Options{})
		require.ErrorIs(t, err, database.ErrAddress, address)
	}
	_, err := database.Open(t.Context(), "postgres://user:hunter2@db.example/a?sslmode=disable", database.Options{})
	require.ErrorIs(t, err, database.ErrInsecure)
	require.NotContains(t, err.Error(), "hunter2")
	_, err = database.Open(t.Context(), "postgres://user:hunter2@127.0.0.1:bad/a", database.Options{})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

// TestSQLiteFile: the file and those beside it are its owner's only, whatever characters
// are in its name.
func TestSQLiteFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b?c#d%20&_txlock=x.db")
	db := databasetest.Open(t, "sqlite:"+file)
	table(t, db)
	for _, end := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(file + end)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), end)
	}
}

// TestNothing: calls with nothing are errors and no panics.
func TestNothing(t *testing.T) {
	var none *database.DB
	open := databasetest.Open(t, databasetest.SQLite(t))
	closed := databasetest.Open(t, databasetest.SQLite(t))
	require.NoError(t, closed.Close())
	never := func(context.Context) (bool, error) { return false, nil }
	for _, db := range []*database.DB{none, new(database.DB), closed} {
		require.ErrorIs(t, db.Close(), database.ErrClosed)
		require.ErrorIs(t, db.Ping(t.Context()), database.ErrClosed)
		require.ErrorIs(t, db.Tx(t.Context(), func(*sql.Tx) error { return nil }), database.ErrClosed)
		require.ErrorIs(t, db.TxReadCommitted(t.Context(), func(*sql.Tx) error { return nil }), database.ErrClosed)
		require.ErrorIs(t, db.Read(t.Context(), func(*sql.Tx) error { return nil }), database.ErrClosed)
		require.ErrorIs(t, db.Wait(t.Context(), "topic", "key", never), database.ErrClosed)
		require.ErrorIs(t, db.Notify(t.Context(), nil, "topic", "key"), database.ErrClosed)
		_, err := db.Exec(t.Context(), "SELECT 1")
		require.ErrorIs(t, err, database.ErrClosed)
	}
	require.Error(t, open.Tx(t.Context(), nil))
	require.Error(t, open.TxReadCommitted(t.Context(), nil))
	require.Error(t, open.Read(t.Context(), nil))
	require.Error(t, open.Wait(t.Context(), "topic", "key", nil))
	require.Error(t, open.Notify(t.Context(), nil, "topic", "key"))
	var nothing context.Context
	require.Error(t, open.Ping(nothing))
	require.Error(t, open.Tx(nothing, func(*sql.Tx) error { return nil }))
	require.Error(t, open.Read(nothing, func(*sql.Tx) error { return nil }))
	require.Error(t, open.Wait(nothing, "topic", "key", never))
	_, err := database.Open(nothing, "sqlite:x", database.Options{})
	require.Error(t, err)
}
