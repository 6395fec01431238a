// Package pgsafe makes connections to PostgreSQL servers that keep what they confirm, and
// to no others. What it refuses, and why, is in the documentation of
// service/stores/postgres.
package pgsafe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrUnsafe is returned for a server whose settings let it forget writes that it
	// confirmed.
	ErrUnsafe = errors.New("postgres: server may lose confirmed writes")

	// ErrReadOnly is returned for a server that takes no writes, such as a standby.
	ErrReadOnly = errors.New("postgres: server is read-only")

	// ErrStale is returned for a server that is behind one that the Guard has seen: a
	// former primary.
	ErrStale = errors.New("postgres: server is a former primary")

	// ErrInsecure is returned for a connection to another machine that is not encrypted,
	// or whose server is not verified.
	ErrInsecure = errors.New("postgres: connection is not encrypted and verified: set sslmode=verify-full")
)

const connectTimeout = 5 * time.Second

// Guard refuses servers and connections. Its fields are set before its first use.
type Guard struct {
	// AllowLostWrites accepts a server that may forget what it confirmed (ErrUnsafe).
	AllowLostWrites bool
	// AllowPlaintext accepts connections to other machines that are not encrypted, or
	// whose server is not verified (ErrInsecure).
	AllowPlaintext bool
	// Promoted is called when the first connection to a standby that became the primary
	// is made: others may still be to the former one. nil is nothing.
	Promoted func()

	timeline timeline
}

// Configure sets up connections: each is asked for the settings of its server, and has
// the ones of a session that a durable write needs. The error is ErrInsecure.
// BeforeConnect must be called ahead of each connection besides.
func (g *Guard) Configure(c *pgx.ConnConfig) error {
	if !g.AllowPlaintext {
		if err := encrypted(c); err != nil {
			return err
		}
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "tandem"
	}
	// A timeout of the database cancels a commit's wait for the standby.
	for _, timeout := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		c.RuntimeParams[timeout] = "0"
	}
	// A statement that finds its row changed meanwhile looks at it again, where a
	// stricter level would fail.
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	c.OnNotice = noteWarning
	c.ValidateConnect = g.Validate
	return nil
}

// BeforeConnect prepares the configuration of one connection.
func BeforeConnect(_ context.Context, c *pgx.ConnConfig) error {
	neverCancel(&c.Config)
	return nil
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
// a connection of its own whenever it gives one up. See the documentation of
// service/stores/postgres. The
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

// TakeWarning returns the last warning, if any, and forgets it.
func TakeWarning(conn *pgconn.PgConn) (message string, ok bool) {
	message, ok = conn.CustomData()[warning].(string)
	delete(conn.CustomData(), warning)
	return message, ok
}
