package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tandem-rsa/tandem/service/internal/pgsafe"
)

const defaultConns = 16

// newStore is a Store without a pool.
func newStore(o Options) *Store {
	s := &Store{options: o}
	s.guard.AllowLostWrites, s.guard.AllowPlaintext, s.guard.Promoted = o.AllowLostWrites, o.AllowPlaintext, s.reset
	return s
}

// config is the configuration of the pool. All that is made with it has the one guard.
func (s *Store) config(url string) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	switch {
	case s.options.MaxConns > 0:
		c.MaxConns = int32(min(s.options.MaxConns, 1<<16))
	case !strings.Contains(url, "pool_max_conns"):
		c.MaxConns = defaultConns
	}
	if err := s.guard.Configure(c.ConnConfig); err != nil {
		return nil, err
	}
	c.BeforeConnect = pgsafe.BeforeConnect
	return c, nil
}

// reset closes the connections of the pool that are idle, and the others when they are
// given back: some may be to a former primary.
func (s *Store) reset() {
	s.mu.Lock()
	pool := s.pool
	s.mu.Unlock()
	if pool != nil {
		pool.Reset()
	}
}
