package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The tables are, in plain SQL that CockroachDB and YugabyteDB take as well:
//
//	tandem_meta     one row: the number of this layout, and how many records were
//	                created, which the versions of new ones begin with (version.go)
//	tandem_records  a row for each record: its id, its version, and the version, a
//	                checksum and the value as package checked encodes them
//
// bytea is compared byte by byte, so ids are ordered as limiter.Lister wants them.
var createMeta = `CREATE TABLE IF NOT EXISTS tandem_meta (
	one boolean PRIMARY KEY CHECK (one),
	format bigint NOT NULL,
	creations bigint NOT NULL
)`

// steps are the migrations: the step i makes layout i+1 of layout i. A new store has
// layout 0, which is the meta row alone.
var steps = []string{
	`CREATE TABLE IF NOT EXISTS tandem_records (
	id bytea PRIMARY KEY,
	version bigint NOT NULL,
	record bytea NOT NULL
)`,
}

// migrate brings the tables to the layout that the steps end with. Any number of
// processes may do so at once.
func migrate(ctx context.Context, conn *pgx.Conn, steps []string) error {
	for tries := 0; ; tries++ {
		err := tryMigrate(ctx, conn, steps)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || !slices.Contains(raced, refused.Code) || tries == 20 {
			return err
		}
		select {
		case <-time.After(time.Duration(tries) * 10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func tryMigrate(ctx context.Context, conn *pgx.Conn, steps []string) error {
	format, err := readFormat(ctx, conn, "")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == undefinedTable {
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, createMeta); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO tandem_meta (one, format, creations) VALUES (true, 0, 0) ON CONFLICT (one) DO NOTHING")
			return err
		})
	}
	if err == nil && format < int64(len(steps)) {
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return climb(ctx, tx, steps) })
		if err == nil {
			format, err = readFormat(ctx, conn, "")
		}
	}
	if err != nil {
		return fmt.Errorf("postgres: tables: %w", err)
	}
	if format != int64(len(steps)) {
		return fmt.Errorf("%w: layout %d", ErrFormat, format)
	}
	return nil
}

const undefinedTable = "42P01"

// raced are the errors of processes that create a table at once: all but one fail, and
// find it next time.
var raced = []string{
	"23505", // unique_violation, in the catalogue
	"42P07", // duplicate_table
	"42710", // duplicate_object
	"40001", // serialization_failure
	"40P01", // deadlock_detected
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readFormat(ctx context.Context, q querier, lock string) (format int64, err error) {
	err = q.QueryRow(ctx, "SELECT format FROM tandem_meta WHERE one "+lock).Scan(&format)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, errNoMeta
	}
	return format, err
}

// climb takes the steps that are missing, in one transaction, which has the meta row
// locked.
func climb(ctx context.Context, tx pgx.Tx, steps []string) error {
	format, err := readFormat(ctx, tx, "FOR UPDATE")
	if err != nil {
		return err
	}
	if format < 0 || format > int64(len(steps)) {
		return fmt.Errorf("%w: layout %d", ErrFormat, format)
	}
	for _, step := range steps[format:] {
		if _, err := tx.Exec(ctx, step); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, "UPDATE tandem_meta SET format = $1 WHERE one", int64(len(steps)))
	return err
}

// prepare makes the tables ready, and refuses ones that a crash empties.
func (s *Store) prepare(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer conn.Release()
	if err := migrate(ctx, conn.Conn(), steps); err != nil {
		return err
	}
	var lost int
	err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_class
WHERE oid IN ('tandem_meta'::regclass, 'tandem_records'::regclass) AND relpersistence <> 'p'`).Scan(&lost)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if lost > 0 && !s.options.AllowLostWrites {
		return fmt.Errorf("%w: its tables are unlogged or temporary", ErrUnsafe)
	}
	return nil
}
