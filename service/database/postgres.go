package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tandem-rsa/tandem/service/internal/pgsafe"
)

// postgresEngine is PostgreSQL's side of a DB.
type postgresEngine struct {
	db     *DB
	config *pgx.ConnConfig
	guard  *pgsafe.Guard
	lost   bool // writes may be

	mu       sync.Mutex
	promoted int // how often another server became the primary
}

// channel is what notes travel on.
const channel = "tandem"

// openPostgres prepares connections, and listens until the context ends.
func (db *DB) openPostgres(background context.Context, address string, o Options) error {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return failed(err) // pgx leaves the password out
	}
	e := &postgresEngine{db: db, config: config, lost: o.AllowLostWrites}
	e.guard = &pgsafe.Guard{AllowLostWrites: o.AllowLostWrites, AllowPlaintext: o.AllowPlaintext, Promoted: e.promote}
	if err := e.guard.Configure(config); err != nil {
		return err
	}
	if o.Trace != nil {
		config.Tracer = postgresTracer{o.Trace}
	}
	pool := stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(pgsafe.BeforeConnect),
		stdlib.OptionAfterConnect(e.made), stdlib.OptionResetSession(e.reset))
	pool.SetMaxOpenConns(o.MaxConns)
	pool.SetMaxIdleConns(o.MaxConns)
	db.write, db.read, db.engine = pool, pool, e
	db.recheck = 10 * time.Second
	db.ended.Go(func() { e.listen(background) })
	return nil
}

// promote has every connection that was made before thrown away: some may be to a former
// primary.
func (e *postgresEngine) promote() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.promoted++
}

// generation is under which a connection keeps how many promotions it knew of.
const generation = "tandem generation"

func (e *postgresEngine) made(_ context.Context, c *pgx.Conn) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.PgConn().CustomData()[generation] = e.promoted
	return nil
}

// reset has the pool throw a connection away that was made before the last promotion.
func (e *postgresEngine) reset(_ context.Context, c *pgx.Conn) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.PgConn().CustomData()[generation] != e.promoted {
		return driver.ErrBadConn
	}
	return nil
}

func (*postgresEngine) dialect() string { return "postgres" }

func (*postgresEngine) embedded() bool { return false }

// settle has nothing to do: a server that begins after a crash syncs what it has
// recovered before it answers.
func (*postgresEngine) settle() error { return nil }

// migrating has a lock of the database's, which ends with its connection.
func (e *postgresEngine) migrating(ctx context.Context, f func() error) error {
	c, err := e.connect(ctx)
	if err != nil {
		return failed(err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock(hashtext('tandem migrations'), hashtext(current_schema()))"); err != nil {
		return failed(err)
	}
	return f()
}

// connect makes a connection beside the pool.
func (e *postgresEngine) connect(ctx context.Context) (*pgx.Conn, error) {
	config := e.config.Copy()
	if err := pgsafe.BeforeConnect(ctx, config); err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

// check asks a server for its settings, and whether a crash would empty its tables.
func (e *postgresEngine) check(ctx context.Context) error {
	c, err := e.db.write.Conn(ctx)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	if err := c.Raw(func(c any) error {
		return e.guard.Validate(ctx, c.(*stdlib.Conn).Conn().PgConn())
	}); err != nil {
		return err
	}
	var unlogged int
	err = c.QueryRowContext(ctx, `SELECT count(*) FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relpersistence <> 'p'`).Scan(&unlogged)
	if err != nil {
		return failed(err)
	}
	if unlogged > 0 && !e.lost {
		return fmt.Errorf("%w: some of its tables are unlogged", ErrUnsafe)
	}
	return nil
}

// busy knows transactions that were in each other's way: serialization_failure and
// deadlock_detected.
func (*postgresEngine) busy(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

func (*postgresEngine) begin(ctx context.Context, c *sql.Conn, level sql.IsolationLevel) (*sql.Tx, error) {
	if level != loose {
		return c.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	}
	tx, err := c.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, "SET LOCAL synchronous_commit TO off"); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return tx, nil
}

// commit believes a server that confirms without a warning: with one it says that the
// standby does not have the transaction.
func (*postgresEngine) commit(c *sql.Conn, tx *sql.Tx) error {
	pc := func(f func(*pgconn.PgConn)) error {
		return c.Raw(func(c any) error {
			f(c.(*stdlib.Conn).Conn().PgConn())
			return nil
		})
	}
	if err := pc(func(pc *pgconn.PgConn) { pgsafe.TakeWarning(pc) }); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR" || errors.Is(err, pgx.ErrTxCommitRollback) {
			return err // the server says that it is not committed, and goes on
		}
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	warning, warned := "", false
	if err := pc(func(pc *pgconn.PgConn) { warning, warned = pgsafe.TakeWarning(pc) }); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if warned {
		return fmt.Errorf("%w: the server warns: %s", ErrUnknown, warning)
	}
	return nil
}

func (*postgresEngine) notify(ctx context.Context, tx *sql.Tx, n note) (bool, error) {
	_, err := tx.ExecContext(ctx, "SELECT pg_notify($1, $2)", channel, n.text())
	return true, failed(err)
}

// listen wakes waiters until the context ends. After a connection was lost, everybody is
// woken: it is not known what was missed.
func (e *postgresEngine) listen(ctx context.Context) {
	const pause = time.Second
	for ctx.Err() == nil {
		e.listenOnce(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (e *postgresEngine) listenOnce(ctx context.Context) {
	c, err := e.connect(ctx)
	if err != nil {
		return // others say so, who have something to do there
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		return
	}
	e.db.hub.wakeEverybody()
	for {
		n, err := c.WaitForNotification(ctx)
		if err != nil {
			return
		}
		e.db.hub.wake(parseNote(n.Payload))
	}
}
