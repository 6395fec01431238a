package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"modernc.org/sqlite"
)

// sqliteConnector makes connections that keep their statements.
type sqliteConnector struct {
	driver.Connector
	trace tracer
}

func newSQLiteConnector(name string, trace tracer) (driver.Connector, error) {
	c, err := sqlite.NewConnector(name)
	return sqliteConnector{c, trace}, err
}

func (c sqliteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := made.(driverConn)
	if !ok {
		return nil, errors.Join(errors.New("database: the driver of SQLite has other connections"), made.Close())
	}
	return &sqliteConn{driverConn: conn, trace: c.trace, kept: map[string]*keptStatement{}, synchronous: full}, nil
}

// driverConn is what connections of the driver can do.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// sqliteConn is a connection that prepares each statement once: to parse and plan one
// costs several times what it takes to run. A statement runs to its end, whatever becomes
// of its context, which is looked at before: to watch it costs a goroutine for each. The
// wait for the lock of another process ends with the context.
type sqliteConn struct {
	driverConn
	trace       tracer
	kept        map[string]*keptStatement
	synchronous string // its setting now
}

// Settings of PRAGMA synchronous.
const (
	full   = "FULL"
	normal = "NORMAL" // syncs the log before it is copied into the file, and not before
)

// maxKept bounds what a connection keeps. There are about a hundred statements.
const maxKept = 500

type keptStatement struct {
	driver.Stmt
	busy bool // its rows are being read
}

// lockSuffix locks rows in PostgreSQL. SQLite does not know it, and does not need it:
// whoever writes has locked everything.
const lockSuffix = " FOR UPDATE"

// keep returns a prepared statement, or nil for one that is not to be kept: a PRAGMA does
// its work while it is prepared.
func (c *sqliteConn) keep(ctx context.Context, query string) (*keptStatement, error) {
	if k, ok := c.kept[query]; ok {
		if k.busy {
			return nil, nil
		}
		return k, nil
	}
	verb, _, _ := strings.Cut(query, " ")
	switch verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE", begin, commit, rollback, "SAVEPOINT", "RELEASE":
	default:
		return nil, nil
	}
	if len(c.kept) >= maxKept {
		return nil, nil
	}
	s, err := c.driverConn.PrepareContext(ctx, plain(query))
	if err != nil {
		return nil, err
	}
	k := &keptStatement{Stmt: s}
	c.kept[query] = k
	return k, nil
}

// plain is a statement as SQLite takes it.
func plain(query string) string { return strings.TrimSuffix(query, lockSuffix) }

func (c *sqliteConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if query != savepoint && query != release && query != undo {
		c.trace.statement(ctx, query)
	}
	k, err := c.keep(ctx, query)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return c.driverConn.ExecContext(ctx, plain(query), args)
	}
	return k.exec(context.Background(), args)
}

func (k *keptStatement) exec(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return k.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (c *sqliteConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.trace.statement(ctx, query)
	k, err := c.keep(ctx, query)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return c.driverConn.QueryContext(ctx, plain(query), args)
	}
	rows, err := k.Stmt.(driver.StmtQueryContext).QueryContext(context.Background(), args)
	if err != nil {
		return nil, err
	}
	k.busy = true
	return &keptRows{rows, k}, nil
}

// keptRows gives the statement back when they are closed.
type keptRows struct {
	driver.Rows
	of *keptStatement
}

func (r *keptRows) Close() error {
	r.of.busy = false
	return r.Rows.Close()
}

// PrepareContext is for nobody: what is run often is kept.
func (c *sqliteConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.driverConn.PrepareContext(ctx, plain(query))
}

const (
	begin    = "BEGIN"
	commit   = "COMMIT"
	rollback = "ROLLBACK"

	// Of a transaction within a group.
	savepoint = "SAVEPOINT member"
	release   = "RELEASE member"
	undo      = "ROLLBACK TO member"
)

// lockWait is under which a context has another one, which ends the wait for the lock.
type lockWait struct{}

// BeginTx begins a transaction that has the lock for writing, or one that reads.
func (c *sqliteConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	query, wait := begin, context.Background()
	if !o.ReadOnly {
		query, wait = begin+" IMMEDIATE", ctx
		if w, ok := ctx.Value(lockWait{}).(context.Context); ok {
			wait = w
		}
	}
	if err := wait.Err(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.step(wait, query); err != nil {
		_ = c.step(context.Background(), rollback) // it may have begun when the context ended
		return nil, err
	}
	return sqliteTx{c}, nil
}

func (c *sqliteConn) step(ctx context.Context, query string) error {
	k, err := c.keep(ctx, query)
	if err != nil {
		return err
	}
	if k == nil { // there are too many
		_, err = c.driverConn.ExecContext(ctx, query, nil)
		return err
	}
	_, err = k.exec(ctx, nil)
	return err
}

type sqliteTx struct{ c *sqliteConn }

func (t sqliteTx) Commit() error {
	err := t.c.step(context.Background(), commit)
	if err != nil {
		_ = t.Rollback() // a commit that fails may leave the transaction open
	}
	return err
}

func (t sqliteTx) Rollback() error { return t.c.step(context.Background(), rollback) }

// sync sets how a commit is synced, for the transactions that follow.
func (c *sqliteConn) sync(ctx context.Context, level string) error {
	if c.synchronous == level {
		return nil
	}
	c.synchronous = "" // unknown, until it is set
	if _, err := c.driverConn.ExecContext(ctx, "PRAGMA synchronous = "+level, nil); err != nil {
		return err
	}
	c.synchronous = level
	return nil
}

func (c *sqliteConn) Close() error {
	var errs []error
	for _, k := range c.kept {
		errs = append(errs, k.Close())
	}
	clear(c.kept)
	return errors.Join(append(errs, c.driverConn.Close())...)
}
