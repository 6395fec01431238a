package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	defaultConns   = 16
	connectTimeout = 5 * time.Second
)

// config is the configuration of the pool.
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
	if !s.options.AllowPlaintext {
		if err := encrypted(c.ConnConfig); err != nil {
			return nil, err
		}
	}
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = connectTimeout
	}
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = "tandem"
	}
	// A timeout of the database cancels a commit's wait for the standby.
	for _, timeout := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		c.ConnConfig.RuntimeParams[timeout] = "0"
	}
	// A statement that finds its row changed meanwhile looks at it again, where a
	// stricter level would fail.
	c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed"
	c.ConnConfig.OnNotice = noteWarning
	c.ConnConfig.ValidateConnect = s.validate
	c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		neverCancel(&c.Config)
		return nil
	}
	return c, nil
}

// encrypted refuses a configuration with a way to another machine that is not encrypted,
// or does not verify the server's name.
func encrypted(c *pgx.ConnConfig) error {
	check := func(host string, t *tls.Config) error {
		local := strings.HasPrefix(host, "/") || host == "localhost"
		if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
			local = true
		}
		if local || t != nil && !t.InsecureSkipVerify {
			return nil
		}
		return fmt.Errorf("%w (host %s)", ErrInsecure, host)
	}
	err := check(c.Host, c.TLSConfig)
	for _, f := range c.Fallbacks {
		err = errors.Join(err, check(f.Host, f.TLSConfig))
	}
	return err
}

// neverCancel keeps pgx from asking the server to cancel a statement, which it does over
// a connection of its own whenever it gives one up. See the package's documentation. The
// connection that is given up ends at once, where pgx would wait for the server's answer.
func neverCancel(c *pgconn.Config) {
	var mu sync.Mutex
	var given net.Conn
	connected := false
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if connected {
			given.Close()
			return nil, errNoCancel
		}
		conn, err := dial(ctx, network, address)
		given = conn
		return conn, err
	}
	after := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		mu.Lock()
		connected = true
		mu.Unlock()
		if after != nil {
			return after(ctx, conn)
		}
		return nil
	}
}

var errNoCancel = errors.New("postgres: statements are not cancelled")

// warning is the key under which a connection keeps the last warning.
const warning = "tandem warning"

// noteWarning keeps a warning of the server. A severity that is not localized tells it
// from a mere notice.
func noteWarning(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" || n.SeverityUnlocalized == "" && n.Severity == "WARNING" {
		conn.CustomData()[warning] = n.Message
	}
}

// takeWarning returns the last warning, if any, and forgets it.
func takeWarning(conn *pgconn.PgConn) (message string, ok bool) {
	message, ok = conn.CustomData()[warning].(string)
	delete(conn.CustomData(), warning)
	return message, ok
}

// askSettings asks for the settings that matter. One that the server does not know is
// NULL.
const askSettings = `SELECT version(), pg_is_in_recovery()::text,
current_setting('transaction_read_only', true), current_setting('synchronous_commit', true),
current_setting('fsync', true), current_setting('full_page_writes', true), current_setting('data_checksums', true),
current_setting('zero_damaged_pages', true), current_setting('ignore_checksum_failure', true)`

// askTimeline asks for the name of a file that begins with the timeline. And a client that
// vanished in the middle of a statement is missed after 25 seconds: until then its row may
// be locked, so that nobody else writes it.
const askTimeline = `SELECT pg_walfile_name(pg_current_wal_lsn()), set_config('tcp_keepalives_idle', '10', false),
set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false)`

// validate refuses a server that the Store must not use.
func (s *Store) validate(ctx context.Context, conn *pgconn.PgConn) error {
	settings, err := row(ctx, conn, askSettings, 9)
	if err != nil {
		return err
	}
	version, inRecovery, readOnly, commit := settings[0], settings[1], settings[2], settings[3]
	if inRecovery == "true" {
		return fmt.Errorf("%w: it is a standby", ErrReadOnly)
	}
	if readOnly == "on" {
		return fmt.Errorf("%w: default_transaction_read_only is on", ErrReadOnly)
	}
	if !s.options.AllowLostWrites {
		for i, name := range []string{"fsync", "full_page_writes", "data_checksums"} {
			if settings[4+i] == "off" {
				return fmt.Errorf("%w: %s is off", ErrUnsafe, name)
			}
		}
		for i, name := range []string{"zero_damaged_pages", "ignore_checksum_failure"} {
			if settings[7+i] == "on" {
				return fmt.Errorf("%w: %s is on", ErrUnsafe, name)
			}
		}
		if commit != "" && commit != "on" && commit != "remote_apply" {
			return fmt.Errorf("%w: synchronous_commit is %s", ErrUnsafe, commit)
		}
	}
	if !strings.HasPrefix(version, "PostgreSQL ") || strings.Contains(version, "-YB-") {
		return nil // has no timelines
	}
	wal, err := row(ctx, conn, askTimeline, 4)
	if err != nil {
		return err
	}
	newer, err := s.timeline.see(wal[0])
	s.mu.Lock()
	pool := s.pool
	s.mu.Unlock()
	if newer && pool != nil {
		pool.Reset() // some of its connections may be to the former primary
	}
	return err
}

// row returns the only row of a query, with "" for NULL.
func row(ctx context.Context, conn *pgconn.PgConn, query string, columns int) ([]string, error) {
	results, err := conn.Exec(ctx, query).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != columns {
		return nil, fmt.Errorf("postgres: no answer to %q", query)
	}
	out := make([]string, columns)
	for i, b := range results[0].Rows[0] {
		out[i] = string(b)
	}
	return out, nil
}

// timeline is the newest one that the Store has seen. PostgreSQL begins a new one whenever
// a standby is promoted. So a former primary, which was away meanwhile and does not know
// of it, shows by its older one.
type timeline struct {
	mu     sync.Mutex
	newest uint64
}

// see refuses a server whose log is of an older timeline, and reports whether this is the
// first connection to a newer one.
func (t *timeline) see(walFile string) (newer bool, err error) {
	if len(walFile) != 24 {
		return false, fmt.Errorf("postgres: log file %q", walFile)
	}
	n, err := strconv.ParseUint(walFile[:8], 16, 32)
	if err != nil {
		return false, fmt.Errorf("postgres: log file %q: %w", walFile, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.newest
	if n < was {
		return false, fmt.Errorf("%w: it is on timeline %d, and timeline %d has begun", ErrStale, n, was)
	}
	t.newest = n
	return was > 0 && n > was, nil
}
