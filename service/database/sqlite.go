package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"

	"github.com/tandem-rsa/tandem/internal/durable"
)

// sqliteEngine is SQLite's side of a DB.
type sqliteEngine struct {
	db   *DB
	file string
}

// openSQLite opens a file with one connection that writes, and others that read.
func (db *DB) openSQLite(file string, o Options) error {
	if file == "" || file == ":memory:" {
		return ErrAddress
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return failed(err)
	}
	// SQLite gives the files beside it the same mode. A file that exists is not opened
	// here: to close it would give back the locks that this process has on it.
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return failed(err)
		}
	}
	// fdatasync leaves out the time of the write, which nobody needs. Systems that do not
	// have it go on with fsync.
	_, _ = sqlite.Fdatasync(true)
	pragmas := func(more ...string) string {
		q := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)",
			"fullfsync(ON)", "checkpoint_fullfsync(ON)", "foreign_keys(ON)", "trusted_schema(OFF)", "cell_size_check(ON)"}, more...)}
		return (&url.URL{Scheme: "file", Path: file, RawQuery: q.Encode()}).String()
	}
	writer, err := newSQLiteConnector(pragmas("journal_size_limit(67108864)"), o.Trace)
	if err != nil {
		return failed(err)
	}
	reader, err := newSQLiteConnector(pragmas("query_only(ON)"), o.Trace)
	if err != nil {
		return failed(err)
	}
	db.write, db.read = sql.OpenDB(writer), sql.OpenDB(reader)
	db.write.SetMaxOpenConns(1)
	db.read.SetMaxOpenConns(o.MaxConns)
	db.read.SetMaxIdleConns(o.MaxConns)
	db.engine = sqliteEngine{db, file}
	db.recheck = 5 * time.Second // so soon a waiter learns what another process wrote
	return nil
}

func (sqliteEngine) dialect() string { return "sqlite3" }

func (sqliteEngine) embedded() bool { return true }

// migrating runs f again if it failed: two processes that migrate at once are in each
// other's way, and one of them finds then that there is nothing left to do.
func (e sqliteEngine) migrating(ctx context.Context, f func() error) error {
	var err error
	for range 5 {
		if err = f(); err == nil || errors.Is(err, ErrSchema) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// check refuses a file system on which SQLite cannot have its log, or a library that
// ignores what it was asked for. 2 is FULL.
func (e sqliteEngine) check(ctx context.Context) error {
	var mode, foreign string
	var synchronous int
	err := e.db.Tx(ctx, func(tx *sql.Tx) error { // as every transaction has it
		for query, to := range map[string]any{"PRAGMA journal_mode": &mode, "PRAGMA synchronous": &synchronous, "PRAGMA foreign_keys": &foreign} {
			if err := tx.QueryRowContext(ctx, query).Scan(to); err != nil {
				return failed(err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if mode != "wal" || synchronous != 2 || foreign != "1" {
		return fmt.Errorf("%w: journal_mode is %s, synchronous is %d, foreign_keys is %s", ErrUnsafe, mode, synchronous, foreign)
	}
	return nil
}

// settle syncs what a killed process may have left in the log, and the names of the
// files: what is in the log is about to be read, and a power cut must not take back what
// was read. SQLite syncs no log before it has written to it, and does not tell of a
// folder that it cannot sync.
func (e sqliteEngine) settle() error {
	file, err := filepath.EvalSymlinks(e.file) // beside which SQLite has its log
	if err != nil {
		return failed(err)
	}
	log, err := os.OpenFile(file+"-wal", os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(log.Sync(), log.Close(), durable.Disk{}.SyncFolder(filepath.Dir(file)))
	}
	return failed(err)
}

// busy knows SQLITE_BUSY, in whatever extended form.
func (sqliteEngine) busy(err error) bool {
	var e *sqlite.Error
	const sqliteBusy = 5
	return errors.Is(err, errTogether) || errors.As(err, &e) && e.Code()&0xff == sqliteBusy
}

// begin begins a transaction that has the write lock from the beginning, which is
// serializable. Whether its commit is synced is said for each. The transaction outlives
// the context, which ends the wait for the lock only.
func (sqliteEngine) begin(ctx context.Context, c *sql.Conn, level sql.IsolationLevel) (*sql.Tx, error) {
	synchronous := full
	if level == loose {
		synchronous = normal
	}
	if err := c.Raw(func(c any) error { return c.(*sqliteConn).sync(ctx, synchronous) }); err != nil {
		return nil, err
	}
	return c.BeginTx(context.WithValue(context.Background(), lockWait{}, ctx), nil)
}

func (sqliteEngine) commit(_ *sql.Conn, tx *sql.Tx) error { return tx.Commit() }

func (sqliteEngine) notify(context.Context, *sql.Tx, note) (bool, error) { return false, nil }
