package pgsafe

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// askSettings asks for the settings that matter. One that the server does not know is
// NULL.
const askSettings = `SELECT version(), pg_is_in_recovery()::text,
current_setting('transaction_read_only', true), current_setting('synchronous_commit', true),
current_setting('fsync', true), current_setting('full_page_writes', true), current_setting('data_checksums', true),
current_setting('zero_damaged_pages', true), current_setting('ignore_checksum_failure', true)`

// askTimeline asks for the name of a file that begins with the timeline. And a client
// that vanished in the middle of a statement is missed after 25 seconds: until then its
// row may be locked, so that nobody else writes it.
const askTimeline = `SELECT pg_walfile_name(pg_current_wal_lsn()), set_config('tcp_keepalives_idle', '10', false),
set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false)`

// Validate refuses a server that must not be used.
func (g *Guard) Validate(ctx context.Context, conn *pgconn.PgConn) error {
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
	if !g.AllowLostWrites {
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
	newer, err := g.timeline.see(wal[0])
	if newer && g.Promoted != nil {
		g.Promoted()
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
