package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/pgsafe"
)

// Options are settings for [Open]. The zero value is good.
type Options struct {
	// MaxConns is how many connections the Store has at most, and so how many calls are
	// under way at once; others wait. Zero means pool_max_conns of the URL, or else 16.
	MaxConns int

	// AllowLostWrites accepts a server that may forget what it confirmed (ErrUnsafe). It
	// is for trying things out: each forgotten write is a free guess.
	AllowLostWrites bool

	// AllowPlaintext accepts connections to other machines that are not encrypted, or
	// whose server is not verified (ErrInsecure). It is for a network that nobody else
	// can reach.
	AllowPlaintext bool
}

var (
	// ErrUnsafe is returned for a server whose settings let it forget writes that it
	// confirmed.
	ErrUnsafe = pgsafe.ErrUnsafe

	// ErrReadOnly is returned for a server that takes no writes, such as a standby.
	ErrReadOnly = pgsafe.ErrReadOnly

	// ErrStale is returned for a server that is behind one that the Store was connected
	// to: a former primary.
	ErrStale = pgsafe.ErrStale

	// ErrInsecure is returned by Open for a connection to another machine that is not
	// encrypted, or whose server is not verified.
	ErrInsecure = pgsafe.ErrInsecure

	// ErrFormat is returned by Open for tables that are of a newer version, or not a
	// store's. They are left as they are.
	ErrFormat = errors.New("postgres: not a store that this version can read")

	// ErrDamaged is returned for a record that is damaged. The call wrote nothing.
	ErrDamaged = errors.New("postgres: damaged record")

	// ErrClosed is returned by every method of a closed store, of a nil one and of the
	// zero value.
	ErrClosed = errors.New("postgres: store is closed")
)

// Store is a [limiter.Store] in a database. Close it when done. Any number of Stores, in
// any number of processes and on any number of machines, may be open on one database.
type Store struct {
	options Options
	pool    *pgxpool.Pool
	guard   pgsafe.Guard

	mu     sync.Mutex
	closed bool
}

var (
	_ limiter.Store  = (*Store)(nil)
	_ limiter.Lister = (*Store)(nil)
)

// Open connects to the database at url (postgres://user@host:5432/database, or a keyword
// string, as psql takes it; several hosts are tried in turn) and makes or migrates the
// tables "tandem_records" and "tandem_meta" in its current schema. ctx is for that alone.
// Errors are [ErrUnsafe], [ErrReadOnly], [ErrInsecure], [ErrFormat], or those of the
// connection.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if ctx == nil {
		return nil, errors.New("postgres: no context")
	}
	s := newStore(o)
	config, err := s.config(url)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	s.mu.Lock()
	s.pool = pool
	s.mu.Unlock()
	if err := s.prepare(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the connections, after the calls under way. Only the first call does
// anything.
func (s *Store) Close() error {
	if s == nil || s.pool == nil {
		return ErrClosed
	}
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	s.pool.Close()
	return nil
}

// ready returns why no call can be served, or nil.
func (s *Store) ready(ctx context.Context) error {
	if s == nil || s.pool == nil {
		return ErrClosed
	}
	if ctx == nil {
		return errors.New("postgres: no context")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}
