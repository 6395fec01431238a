package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/service/internal/pgsafe"
)

var (
	// ErrAddress is returned by Open for an address that is not one of a database.
	ErrAddress = errors.New("database: not an address such as sqlite:FILE or postgres://HOST/NAME")

	// ErrUnsafe is returned for a database whose settings let it forget what it
	// confirmed.
	ErrUnsafe = pgsafe.ErrUnsafe

	// ErrInsecure is returned by Open for a connection to another machine that is not
	// encrypted, or whose server is not verified.
	ErrInsecure = pgsafe.ErrInsecure

	// ErrSchema is returned by Open for tables of a newer version of this software.
	ErrSchema = errors.New("database: its tables are of a newer version")

	// ErrUnknown is returned by Tx if the connection was lost while the database
	// committed: the transaction is committed or not.
	ErrUnknown = errors.New("database: it is not known whether the transaction was committed")

	// ErrClosed is returned by every method of a closed DB, a nil one and the zero value.
	ErrClosed = errors.New("database: closed")
)

// Options are settings for [Open]. The zero value is good.
type Options struct {
	// MaxConns is how many connections there are at most to PostgreSQL, or for reading
	// from SQLite; others wait. Zero means 16.
	MaxConns int
	// AllowLostWrites accepts a PostgreSQL server that may forget what it confirmed.
	AllowLostWrites bool
	// AllowPlaintext accepts connections to other machines that are not encrypted and
	// verified.
	AllowPlaintext bool

	// Trace, if not nil, is told the text of each statement before it runs, without its
	// arguments, and of transactions "BEGIN READ", "BEGIN", "BEGIN LOOSE" and "COMMIT":
	// to count them. The context is that of the call.
	Trace func(ctx context.Context, statement string)
}

const defaultConns = 16

// DB is an open database. Close it when done. It is safe for concurrent use.
type DB struct {
	engine engine
	write  *sql.DB // takes one transaction at a time if it is SQLite's
	read   *sql.DB
	line   line
	hub    hub
	trace  tracer
	// recheck is how long a waiter waits before it looks without having been woken.
	recheck time.Duration
	stop    context.CancelFunc // of what runs in the background
	ended   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	pending map[*sql.Tx][]note // of transactions under way, where the engine does not keep them
}

// engine is what differs between the two.
type engine interface {
	// migrating runs f while no other node migrates.
	migrating(ctx context.Context, f func() error) error
	// check refuses settings that lose writes.
	check(ctx context.Context) error
	// settle makes durable what can be read once check has returned.
	settle() error
	// busy reports whether a transaction that failed may succeed when it begins anew.
	busy(err error) bool
	// begin begins a transaction that writes; commit makes it durable.
	begin(ctx context.Context, c *sql.Conn, level sql.IsolationLevel) (*sql.Tx, error)
	commit(c *sql.Conn, tx *sql.Tx) error
	// embedded reports whether it is in this process, where a statement runs to its end:
	// then transactions that write wait in the line.
	embedded() bool
	// notify wakes the waiters of all nodes when the transaction is committed. It returns
	// false if the DB must do that for its own.
	notify(ctx context.Context, tx *sql.Tx, n note) (bool, error)
	dialect() string
}

// Open opens the database at an address: "sqlite:FILE", where FILE is made if there is
// none, or a URL as PostgreSQL's programs take it, "postgres://USER@HOST/NAME". It makes
// or migrates the tables. ctx is for that alone. Errors are [ErrAddress], [ErrUnsafe],
// [ErrInsecure], [ErrSchema], or the engine's.
func Open(ctx context.Context, address string, o Options) (*DB, error) {
	if ctx == nil {
		return nil, errNoContext
	}
	if o.MaxConns <= 0 {
		o.MaxConns = defaultConns
	}
	db := &DB{trace: o.Trace, pending: map[*sql.Tx][]note{}}
	background, stop := context.WithCancel(context.Background())
	db.stop = stop
	var err error
	switch file, isFile := strings.CutPrefix(address, "sqlite:"); {
	case isFile:
		err = db.openSQLite(file, o)
	case strings.HasPrefix(address, "postgres://"), strings.HasPrefix(address, "postgresql://"):
		err = db.openPostgres(background, address, o)
	default:
		err = ErrAddress // which may have a password in it
	}
	if err == nil {
		err = db.engine.check(ctx)
	}
	if err == nil {
		err = db.engine.settle()
	}
	if err == nil {
		err = db.migrate(ctx)
	}
	if err == nil {
		err = db.engine.check(ctx) // of the tables, too
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

var errNoContext = errors.New("database: no context")

// Close ends the connections, after the transactions under way, and every Wait. Only the
// first call does anything.
func (db *DB) Close() error {
	if db == nil || db.stop == nil {
		return ErrClosed
	}
	db.mu.Lock()
	closed := db.closed
	db.closed = true
	db.mu.Unlock()
	if closed {
		return ErrClosed
	}
	db.stop()
	db.hub.close()
	var err error
	if db.read != nil && db.read != db.write {
		err = db.read.Close()
	}
	if db.write != nil {
		err = errors.Join(err, db.write.Close())
	}
	db.ended.Wait()
	return err
}

// Ping checks that the database answers and that its settings are still those that Open
// accepts.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.ready(ctx); err != nil {
		return err
	}
	return db.engine.check(ctx)
}

// ready returns why no call can be served, or nil.
func (db *DB) ready(ctx context.Context) error {
	if db == nil || db.stop == nil {
		return ErrClosed
	}
	if ctx == nil {
		return errNoContext
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// failed says where an error is from.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("database: %w", err)
}
