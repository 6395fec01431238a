package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/notices"
)

// The events that accounts care for: see docs/protocol.md, section 12.
const (
	eventWrong     = "wrong PIN"
	eventLocked    = "key locked"
	eventClone     = "clone detected"
	eventDestroyed = "key destroyed"
)

// Events is a [server.AuditSink]: it gives notice of locks, destroyed keys and copies,
// and writes these and wrong PINs into the person's history, once for each event, however
// often that comes. It is made before the server, and so before the Accounts.
type Events struct {
	db      *database.DB
	notices *notices.Outbox
	next    server.AuditSink
}

var _ server.AuditSink = (*Events)(nil)

// NewEvents returns a sink. outbox may be nil. next, if it is not nil, gets every event
// after that: a log that the operator keeps.
func NewEvents(db *database.DB, outbox *notices.Outbox, next server.AuditSink) (*Events, error) {
	if db == nil {
		return nil, fmt.Errorf("%w: no database", ErrConfig)
	}
	if isnil.Value(next) {
		next = nil
	}
	return &Events{db, outbox, next}, nil
}

// Record implements [server.AuditSink].
func (e *Events) Record(ctx context.Context, event server.Event) error {
	if e == nil || e.db == nil {
		return fmt.Errorf("%w: not made by NewEvents", ErrConfig)
	}
	if ctx == nil {
		return fmt.Errorf("%w: no context", ErrRequest)
	}
	switch event.Kind {
	case eventWrong, eventLocked, eventClone, eventDestroyed:
		if err := e.db.Tx(ctx, func(tx *sql.Tx) error { return e.record(ctx, tx, event) }); err != nil {
			return err
		}
	}
	if e.next != nil {
		return e.next.Record(ctx, event)
	}
	return nil
}

func (e *Events) record(ctx context.Context, tx *sql.Tx, event server.Event) error {
	var document string
	var use ca.Use
	err := tx.QueryRowContext(ctx, `SELECT k.document, k.key_use FROM account_keys k JOIN accounts a ON a.document = k.document
WHERE k.id = $1 AND k.state = 'current'`, event.Key[:]).Scan(&document, &use)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // a key of no account's
	}
	if err != nil {
		return err
	}
	// A store that went back gives a number to another event, at another time.
	result, err := tx.ExecContext(ctx, "INSERT INTO key_events (id, number, kind, at) VALUES ($1, $2, $3, $4) ON CONFLICT (id, number, kind, at) DO NOTHING",
		event.Key[:], int64(event.Number), event.Kind, event.Time.UnixMilli())
	if err != nil {
		return err
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		return err
	}
	reason := attribute(event, "reason").String()
	if event.Kind == eventDestroyed && reason != protocol.ReasonPIN.String() && reason != protocol.ReasonClone.String() {
		return nil // the service did that itself
	}
	d, err := identity.ParseDocument(document)
	if err != nil {
		return err
	}
	n := notices.Notice{At: event.Time, Use: useName(use)}
	entry := Entry{At: event.Time, Kind: event.Kind, Text: n.Use}
	switch event.Kind {
	case eventLocked:
		n.Kind = notices.KeyLocked
		if until := attribute(event, "until"); until.Kind() == slog.KindTime {
			n.Until = until.Time()
			entry.Result = "until " + n.Until.Format(time.RFC3339)
		}
	case eventClone:
		n.Kind = notices.CloneDetected
	case eventDestroyed:
		entry.Result = reason
		if reason == protocol.ReasonPIN.String() {
			n.Kind = notices.KeyDestroyed
		}
		// Sweep revokes the certificate.
		if _, err := tx.ExecContext(ctx, "UPDATE account_keys SET destroyed = $1 WHERE id = $2 AND destroyed = 0", event.Time.UnixMilli(), event.Key[:]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE accounts SET version = $1 WHERE document = $2", newVersion(), document); err != nil {
			return err
		}
		if err := e.db.Notify(ctx, tx, topicDestroyed, ""); err != nil {
			return err
		}
	}
	if err := addHistory(ctx, tx, d, entry, event.Time); err != nil {
		return err
	}
	if n.Kind == "" || e.notices == nil {
		return nil
	}
	return addNotice(ctx, tx, e.notices, document, n)
}

// topicDestroyed wakes Run.
const topicDestroyed = "key-destroyed"

func attribute(e server.Event, name string) slog.Value {
	for _, a := range e.Attrs {
		if a.Key == name {
			return a.Value
		}
	}
	return slog.Value{}
}

func useName(u ca.Use) string {
	if u == ca.Signature {
		return "signature"
	}
	return "authentication"
}
