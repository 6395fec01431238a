package database

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Tx runs f in a serializable transaction and commits it. If f returns an error, that
// is Tx's, and nothing was written. f runs again, in a new transaction, if others were
// in the way. When Tx returns nil all is durable. The error is [ErrUnknown] if it is
// not known whether it is.
func (db *DB) Tx(ctx context.Context, f func(*sql.Tx) error) error {
	return db.transact(ctx, sql.LevelSerializable, f)
}

// TxReadCommitted is Tx for statements that each decide by themselves, by what they
// write under the lock of a row: counters that many transactions want at once.
func (db *DB) TxReadCommitted(ctx context.Context, f func(*sql.Tx) error) error {
	return db.transact(ctx, sql.LevelReadCommitted, f)
}

// TxLoose is TxReadCommitted for what does no harm if it is lost: it is committed, and
// seen by others, before it is durable, and costs no wait for the disk. A crash of the
// machine, or of the PostgreSQL server, may forget the last of these transactions.
func (db *DB) TxLoose(ctx context.Context, f func(*sql.Tx) error) error {
	return db.transact(ctx, loose, f)
}

// loose stands for a transaction that need not be durable.
const loose sql.IsolationLevel = -1

// Exec runs one statement in a transaction of its own, as TxReadCommitted does, and
// returns how many rows it wrote. What the statement writes must follow from the rows
// that it writes, and from no others: they alone are looked at again if somebody else
// was first.
func (db *DB) Exec(ctx context.Context, statement string, args ...any) (rows int64, err error) {
	err = db.TxReadCommitted(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		rows, err = result.RowsAffected()
		return err
	})
	return rows, err
}

// Read runs f in a transaction that sees the database at one moment, with all that was
// confirmed before, and cannot write. f runs again as in Tx. With a context of Snapshot
// it is that one's transaction.
func (db *DB) Read(ctx context.Context, f func(*sql.Tx) error) error {
	if f == nil {
		return errNoFunction
	}
	if tx := db.within(ctx); tx != nil {
		return f(tx)
	}
	return db.again(ctx, func() error {
		db.trace.statement(ctx, traceRead)
		tx, err := db.read.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err != nil {
			return failed(err)
		}
		defer tx.Rollback()
		if err := f(tx); err != nil {
			return err
		}
		return ctx.Err() // a context that ended may have cut a result short
	})
}

// Snapshot runs f with a context in which each Read sees the database at the same moment:
// all of them are one transaction. f runs again as in Tx, and must not use the context
// from several goroutines, to wait, or to write.
func (db *DB) Snapshot(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		return errNoFunction
	}
	return db.Read(ctx, func(tx *sql.Tx) error { return f(db.Within(ctx, tx)) })
}

// Query reads the rows of one SELECT as Read does: read is given them, may run again, and
// need not close them. It costs less than Read, since one statement needs no transaction
// around it to see the database at one moment.
func (db *DB) Query(ctx context.Context, read func(*sql.Rows) error, statement string, args ...any) error {
	if read == nil {
		return errNoFunction
	}
	if tx := db.within(ctx); tx != nil {
		return readRows(ctx, tx, read, statement, args)
	}
	return db.again(ctx, func() error {
		c, err := db.read.Conn(ctx)
		if err != nil {
			return failed(err)
		}
		defer c.Close()
		running := ctx
		if db.engine.embedded() { // nothing ends a statement, and nobody need watch the context
			running = context.WithoutCancel(ctx)
		}
		if err := readRows(running, c, read, statement, args); err != nil {
			return err
		}
		return ctx.Err() // a context that ended may have cut a result short
	})
}

// Text is Query for a text in one row, which there may not be.
func (db *DB) Text(ctx context.Context, statement string, args ...any) (text string, found bool, err error) {
	err = db.Query(ctx, func(rows *sql.Rows) error {
		if found = rows.Next(); found {
			return rows.Scan(&text)
		}
		return nil
	}, statement, args...)
	return text, found && err == nil, err
}

// queryer runs statements that read.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func readRows(ctx context.Context, q queryer, read func(*sql.Rows) error, statement string, args []any) error {
	rows, err := q.QueryContext(ctx, statement, args...)
	if err != nil {
		return failed(err)
	}
	defer rows.Close()
	if err := read(rows); err != nil {
		return err
	}
	return failed(rows.Err())
}

// Within returns a context with which each Read and Query is one of tx, which is of this
// DB: of Tx, too, where they see what it has written.
func (db *DB) Within(ctx context.Context, tx *sql.Tx) context.Context {
	return context.WithValue(ctx, withinKey{}, &within{db, tx})
}

// within is the transaction that a context is of, or nil.
func (db *DB) within(ctx context.Context) *sql.Tx {
	if ctx != nil {
		if w, ok := ctx.Value(withinKey{}).(*within); ok && w.db == db {
			return w.tx
		}
	}
	return nil
}

type withinKey struct{}

type within struct {
	db *DB
	tx *sql.Tx
}

var errNoFunction = errors.New("database: no function")

func (db *DB) transact(ctx context.Context, level sql.IsolationLevel, f func(*sql.Tx) error) error {
	if f == nil {
		return errNoFunction
	}
	alone := false
	return db.again(ctx, func() error {
		if !db.engine.embedded() {
			return db.once(ctx, level, f)
		}
		err := db.grouped(ctx, level, f, alone)
		alone = alone || errors.Is(err, errTogether)
		return err
	})
}

// once runs a transaction once.
func (db *DB) once(ctx context.Context, level sql.IsolationLevel, f func(*sql.Tx) error) error {
	c, err := db.write.Conn(ctx)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	db.trace.statement(ctx, traceBegin(level))
	tx, err := db.engine.begin(ctx, c, level)
	if err != nil {
		return failed(err)
	}
	defer db.forget(tx)
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	db.trace.statement(ctx, traceCommit)
	if err := db.engine.commit(c, tx); err != nil {
		return failed(err)
	}
	for _, n := range db.forget(tx) {
		db.hub.wake(n)
	}
	return nil
}

// Waits between two tries of a transaction: some 20 seconds in all.
const (
	firstPause = time.Millisecond
	lastPause  = 500 * time.Millisecond
	tries      = 50
)

// again runs a transaction until nobody was in its way.
func (db *DB) again(ctx context.Context, run func() error) error {
	pause := firstPause
	for try := 1; ; try++ {
		if err := db.ready(ctx); err != nil {
			return err
		}
		err := run()
		if err == nil || try == tries || errors.Is(err, ErrUnknown) || !db.engine.busy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// noted returns how many notes a transaction has, of which it keeps the first n; all if n
// is negative.
func (db *DB) noted(tx *sql.Tx, n int) int {
	db.mu.Lock()
	defer db.mu.Unlock()
	notes := db.pending[tx]
	switch {
	case n == 0:
		delete(db.pending, tx)
	case n > 0 && n < len(notes):
		db.pending[tx] = notes[:n]
	}
	return len(notes)
}

// forget returns the notes of a transaction that has ended.
func (db *DB) forget(tx *sql.Tx) []note {
	db.mu.Lock()
	defer db.mu.Unlock()
	notes := db.pending[tx]
	delete(db.pending, tx)
	return notes
}
