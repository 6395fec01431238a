package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/pgsafe"
	"github.com/tandem-rsa/tandem/service/stores/internal/checked"
)

// label is of the checksums.
const label = "tandem postgres record 1"

// conn is a connection of the pool.
type conn = *pgxpool.Conn

// read runs a query. If its connection turns out to be lost it runs once more, on a new
// one, which does no harm.
func (s *Store) read(ctx context.Context, query func(ctx context.Context, c conn) error) error {
	lost, err := s.once(ctx, query)
	if lost {
		_, err = s.once(ctx, query)
	}
	return err
}

// write runs a statement that writes, once. If it returns nil the write is durable.
func (s *Store) write(ctx context.Context, statement func(ctx context.Context, c conn) error) error {
	_, err := s.once(ctx, func(ctx context.Context, c conn) error {
		pc := c.Conn().PgConn()
		pgsafe.TakeWarning(pc)
		err := statement(ctx, c)
		if w, warned := pgsafe.TakeWarning(pc); warned && err == nil {
			err = fmt.Errorf("postgres: the server warns: %s", w)
		}
		return err
	})
	return err
}

// once runs f on a connection, and reports whether that was lost meanwhile. Others are
// lost then, too: those that are idle are closed, so that the next call has a new one.
func (s *Store) once(ctx context.Context, f func(ctx context.Context, c conn) error) (lost bool, err error) {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("postgres: %w", err)
	}
	defer c.Release()
	err = f(ctx, c)
	if lost = c.Conn().IsClosed() && ctx.Err() == nil; lost {
		s.pool.Reset()
	}
	return lost, err
}

// Load implements [limiter.Store].
func (s *Store) Load(ctx context.Context, id string) (value []byte, version uint64, err error) {
	if err := s.readyFor(ctx, id, nil); err != nil {
		return nil, 0, err
	}
	var stored []byte
	var of int64
	err = s.read(ctx, func(ctx context.Context, c conn) error {
		return c.QueryRow(ctx, "SELECT version, record FROM tandem_records WHERE id = $1", []byte(id)).Scan(&of, &stored)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, 0, limiter.ErrNotFound
	case err != nil:
		return nil, 0, failed(ctx, err)
	}
	r, err := parse([]byte(id), of, stored)
	return r.Value, r.Version, err
}

// parse reads the record of a row.
func parse(id []byte, version int64, record []byte) (checked.Record, error) {
	r, err := checked.Parse(label, id, record)
	if err == nil && version != int64(r.Version) {
		err = fmt.Errorf("version %d in a row of version %d", r.Version, version)
	}
	if err != nil {
		return checked.Record{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return r, nil
}

// Create implements [limiter.Store].
func (s *Store) Create(ctx context.Context, id string, value []byte) error {
	if err := s.readyFor(ctx, id, value); err != nil {
		return err
	}
	version, err := s.firstVersion(ctx)
	if err != nil {
		return failed(ctx, err)
	}
	return s.put(ctx, "INSERT INTO tandem_records (id, version, record) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
		[]byte(id), int64(version), encode(id, version, value))
}

// Swap implements [limiter.Store].
func (s *Store) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if err := s.readyFor(ctx, id, value); err != nil {
		return err
	}
	if version >= math.MaxInt64 {
		return limiter.ErrConflict // no record has it
	}
	return s.put(ctx, "UPDATE tandem_records SET version = $2, record = $3 WHERE id = $1 AND version = $4",
		[]byte(id), int64(version+1), encode(id, version+1, value), int64(version))
}

func encode(id string, version uint64, value []byte) []byte {
	return checked.Record{Version: version, Value: value}.Encode(label, []byte(id))
}

// put runs a statement that writes one row. ErrConflict says that it found none to write.
func (s *Store) put(ctx context.Context, statement string, args ...any) error {
	var rows int64
	err := s.write(ctx, func(ctx context.Context, c conn) error {
		tag, err := c.Exec(ctx, statement, args...)
		rows = tag.RowsAffected()
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("postgres: result of the write unknown: %w", failed(ctx, err))
	case rows == 0:
		return limiter.ErrConflict
	}
	return nil
}

// readyFor is ready for a call with an id and a value.
func (s *Store) readyFor(ctx context.Context, id string, value []byte) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return limiter.CheckRecord(id, value)
}

// failed returns a call's error, and the context's with it if that has ended.
func failed(ctx context.Context, err error) error {
	if done := ctx.Err(); done != nil && !errors.Is(err, done) {
		return fmt.Errorf("%w: %w", done, err)
	}
	return err
}
