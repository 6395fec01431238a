// Package notices tells persons what happened to their accounts, by mail, and whatever
// else wants to know, by HTTP. An [Outbox] keeps each notice in the database, from the
// transaction that it tells of, until each [Sender] has taken it: so it arrives at least
// once. [SMTP] and [Webhook] are senders.
//
// # Security
//
// A notice names a person and an account, and holds no secret, no code and no signature.
// SMTP sends it to whoever reads the person's mail, Webhook to the operator's own system,
// which can tell a forged one by its HMAC.
package notices

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/service/database"
)

// Kind is what a notice tells.
type Kind string

// The kinds.
const (
	AccountOpened Kind = "account opened"
	NewPhone      Kind = "new phone" // a new account took the place of Replaced
	AccountEnded  Kind = "account ended"
	PhoneApproved Kind = "new phone approved" // by the old one; it has not begun yet
	KeyLocked     Kind = "key locked"         // after wrong PINs, until Until
	KeyDestroyed  Kind = "key destroyed"      // after wrong PINs
	CloneDetected Kind = "clone detected"
)

// Notice is what happened, and whom to tell.
type Notice struct {
	ID       string    `json:"id"` // the same each time that it is sent
	Kind     Kind      `json:"kind"`
	At       time.Time `json:"at"`
	Person   string    `json:"person"` // semantics identifier
	Name     string    `json:"name"`
	Email    string    `json:"email,omitempty"`
	Document string    `json:"document"` // document number of the account
	Device   string    `json:"device,omitempty"`
	Use      string    `json:"use,omitempty"` // of the key: "authentication" or "signature"
	Replaced []string  `json:"replaced,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	Until    time.Time `json:"until,omitzero"`
}

// Sender takes a notice somewhere. Send returns nil once it has arrived, or will for all
// that can be known; an error that wraps [ErrUndeliverable] if another try is in vain. It
// ends soon after ctx does. A notice may come again.
type Sender interface {
	Send(ctx context.Context, n Notice) error
}

// ErrUndeliverable is wrapped by a Sender's error if another try is in vain.
var ErrUndeliverable = errors.New("notices: undeliverable")

// Config is what [NewOutbox] makes an Outbox from.
type Config struct {
	DB *database.DB
	// Senders are those that each notice goes to, by names that stay the same: a name is
	// in the database with what waits for it.
	Senders map[string]Sender
	// Log has what could not be sent. nil means slog.Default().
	Log *slog.Logger
	// Clock is time.Now if nil.
	Clock func() time.Time
}

// Outbox keeps notices until they are sent. It is safe for concurrent use, on any number
// of nodes.
type Outbox struct {
	config Config
	names  []string
}

const (
	// lease is how long a node has to send a notice before another node tries.
	lease = 2 * time.Minute
	// sendTimeout is less, so that it has given up by then.
	sendTimeout = time.Minute
	// The pauses between tries double from the first to the last.
	firstPause = 5 * time.Second
	lastPause  = time.Hour
	// maxAge is when a notice is given up.
	maxAge = 7 * 24 * time.Hour
	// batch is how many notices are fetched at once.
	batch = 20
)

const topic = "notice"

// ErrConfig is returned for a configuration that cannot work, and by all methods of an
// Outbox that NewOutbox did not make.
var ErrConfig = errors.New("notices: unusable configuration")

// NewOutbox returns an Outbox. Without senders it keeps nothing. The error is ErrConfig.
func NewOutbox(c Config) (*Outbox, error) {
	if c.DB == nil {
		return nil, fmt.Errorf("%w: no database", ErrConfig)
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	o := &Outbox{config: c}
	for name, s := range c.Senders {
		if name == "" || strings.ContainsAny(name, " \x00") || isnil.Value(s) {
			return nil, fmt.Errorf("%w: the sender %q", ErrConfig, name)
		}
		o.names = append(o.names, name)
	}
	slices.Sort(o.names)
	return o, nil
}

func (o *Outbox) ready(ctx context.Context) error {
	if o == nil || o.config.DB == nil {
		return fmt.Errorf("%w: not made by NewOutbox", ErrConfig)
	}
	if ctx == nil {
		return fmt.Errorf("%w: no context", ErrConfig)
	}
	return nil
}

// Add keeps a notice for each sender, in the transaction of what it tells. Its ID and At
// are set here if they are not.
func (o *Outbox) Add(ctx context.Context, tx *sql.Tx, n Notice) error {
	if err := o.ready(ctx); err != nil {
		return err
	}
	if tx == nil {
		return fmt.Errorf("%w: no transaction", ErrConfig)
	}
	if n.At.IsZero() {
		n.At = o.now()
	}
	if n.ID == "" {
		n.ID = rand.Text()
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	for _, name := range o.names {
		_, err := tx.ExecContext(ctx, `INSERT INTO notices (id, sender, notice, created, tries, due, failed, cause)
VALUES ($1, $2, $3, $4, 0, $4, 0, '') ON CONFLICT (id, sender) DO NOTHING`, n.ID, name, string(text), o.now().UnixMilli())
		if err != nil {
			return err
		}
		if err := o.config.DB.Notify(ctx, tx, topic, name); err != nil {
			return err
		}
	}
	return nil
}

func (o *Outbox) now() time.Time { return o.config.Clock().UTC() }

// Run sends what is due until ctx ends, and returns its error.
func (o *Outbox) Run(ctx context.Context) error {
	if err := o.ready(ctx); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, name := range o.names {
		wg.Go(func() {
			for ctx.Err() == nil {
				// Wait looks again now and then, and so finds what has become due.
				err := o.config.DB.Wait(ctx, topic, name, func(ctx context.Context) (bool, error) {
					return false, o.deliver(ctx, name)
				})
				if ctx.Err() == nil {
					o.config.Log.ErrorContext(ctx, "notices wait", "sender", name, "cause", err.Error())
					select {
					case <-ctx.Done():
					case <-time.After(firstPause):
					}
				}
			}
		})
	}
	wg.Wait()
	<-ctx.Done()
	return ctx.Err()
}

// Deliver tries once to send each notice that is due. The error is the database's.
func (o *Outbox) Deliver(ctx context.Context) error {
	if err := o.ready(ctx); err != nil {
		return err
	}
	for _, name := range o.names {
		if err := o.deliver(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// row is a notice that waits for a sender.
type row struct {
	id, text            string
	created, tries, due int64
}

func (o *Outbox) deliver(ctx context.Context, name string) error {
	began := o.now().UnixMilli() // what is due again after that waits for the next time
	for {
		rows, err := o.due(ctx, name, began)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if err := o.try(ctx, name, r); err != nil {
				return err
			}
		}
	}
}

func (o *Outbox) due(ctx context.Context, name string, now int64) (out []row, err error) {
	err = o.config.DB.Read(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, notice, created, tries, due FROM notices
WHERE sender = $1 AND failed = 0 AND due <= $2 ORDER BY due, id LIMIT $3`, name, now, batch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.id, &r.text, &r.created, &r.tries, &r.due); err != nil {
				return err
			}
			out = append(out, r)
		}
		return rows.Err()
	})
	return out, err
}

// try sends a notice that no other node is sending.
func (o *Outbox) try(ctx context.Context, name string, r row) error {
	ours, err := o.config.DB.Exec(ctx, "UPDATE notices SET due = $1, tries = tries + 1 WHERE id = $2 AND sender = $3 AND due = $4 AND failed = 0",
		o.now().Add(lease).UnixMilli(), r.id, name, r.due)
	if err != nil || ours == 0 {
		return err
	}
	cause := o.send(ctx, name, r)
	if ctx.Err() != nil {
		return ctx.Err() // the lease ends by itself
	}
	now := o.now()
	switch {
	case cause == nil:
		_, err = o.config.DB.Exec(ctx, "DELETE FROM notices WHERE id = $1 AND sender = $2", r.id, name)
		return err
	case errors.Is(cause, ErrUndeliverable), now.Sub(time.UnixMilli(r.created)) > maxAge:
		o.config.Log.ErrorContext(ctx, "notice given up", "sender", name, "notice", r.id, "tries", r.tries+1, "cause", cause.Error())
		_, err = o.config.DB.Exec(ctx, "UPDATE notices SET failed = $1, cause = $2 WHERE id = $3 AND sender = $4",
			now.UnixMilli(), cause.Error(), r.id, name)
		return err
	}
	o.config.Log.WarnContext(ctx, "notice not sent yet", "sender", name, "notice", r.id, "tries", r.tries+1, "cause", cause.Error())
	pause := lastPause
	if r.tries < 10 {
		pause = min(lastPause, firstPause<<r.tries)
	}
	_, err = o.config.DB.Exec(ctx, "UPDATE notices SET due = $1, cause = $2 WHERE id = $3 AND sender = $4",
		now.Add(pause).UnixMilli(), cause.Error(), r.id, name)
	return err
}

func (o *Outbox) send(ctx context.Context, name string, r row) error {
	var n Notice
	if err := json.Unmarshal([]byte(r.text), &n); err != nil {
		return fmt.Errorf("%w: damaged: %w", ErrUndeliverable, err)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return o.config.Senders[name].Send(ctx, n)
}

// Waiting returns how many notices wait for their senders, and how many were given up:
// for metrics.
func (o *Outbox) Waiting(ctx context.Context) (waiting, failed int, err error) {
	if err := o.ready(ctx); err != nil {
		return 0, 0, err
	}
	err = o.config.DB.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM notices WHERE failed = 0), (SELECT count(*) FROM notices WHERE failed > 0)`).Scan(&waiting, &failed)
	})
	return waiting, failed, err
}
