package push

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/identity"
)

var (
	// ErrConfig is wrapped by errors for what cannot work.
	ErrConfig = errors.New("push: unusable configuration")
	// ErrAddress is wrapped by errors for an address that no message is sent to, or a
	// kind that the service has no sender of.
	ErrAddress = errors.New("push: not an address")
	// ErrGone is wrapped by a Sender's error if nobody is at an address any more.
	ErrGone = errors.New("push: nobody is there")
	// ErrNoAccount is returned for an account that is not there, or has ended.
	ErrNoAccount = errors.New("push: no account")
)

// Sender sends "look" to an address: what an app has said of itself. The error wraps
// ErrGone if there is no such app any more. Send ends soon after ctx does. A Sender that
// also has a method Check(address string) error is asked before an address is kept.
type Sender interface {
	Send(ctx context.Context, address string) error
}

// KindWeb is the kind of Web Push. APNs and FCM are kinds of the caller's own naming.
const KindWeb = "web"

// Config is what [New] makes a Push of.
type Config struct {
	DB      *database.DB      // required
	Senders map[string]Sender // by kind; there may be none
	Log     *slog.Logger      // slog.Default() if nil: what could not be sent
}

// Push keeps subscriptions, and sends. It is safe for concurrent use, on any number of
// nodes.
type Push struct {
	config Config
	queue  chan identity.Document
}

const (
	// waiting is how many messages may wait to be sent: what is more is not sent.
	waiting = 1000
	// senders is how many are sent at once.
	senders = 16
	// sendTime is how long one may take.
	sendTime = 10 * time.Second
	// maxAddress is how long an address may be, in bytes.
	maxAddress = 2048
)

// New returns a Push. The error wraps ErrConfig.
func New(c Config) (*Push, error) {
	if c.DB == nil {
		return nil, fmt.Errorf("%w: no database", ErrConfig)
	}
	for kind, s := range c.Senders {
		if kind == "" || isnil.Value(s) {
			return nil, fmt.Errorf("%w: the sender %q", ErrConfig, kind)
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Push{config: c, queue: make(chan identity.Document, waiting)}, nil
}

func (p *Push) ready(ctx context.Context) error {
	if p == nil || p.queue == nil || ctx == nil {
		return fmt.Errorf("%w: not made by New, or no context", ErrConfig)
	}
	return nil
}

// Subscribe has an account's phone woken at an address, in place of the one before. The
// error wraps ErrAddress, or is ErrNoAccount or the database's.
func (p *Push) Subscribe(ctx context.Context, d identity.Document, kind, address string) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	sender := p.config.Senders[kind]
	if sender == nil || address == "" || len(address) > maxAddress {
		return fmt.Errorf("%w: of this kind, or of this length", ErrAddress)
	}
	if s, ok := sender.(interface{ Check(string) error }); ok {
		if err := s.Check(address); err != nil {
			return err
		}
	}
	// An app says it each time that it is opened.
	if k, a, err := p.subscription(ctx, d); err != nil || k == kind && a == address {
		return err
	}
	return p.config.DB.Tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO push_subscriptions (document, kind, address, created)
SELECT document, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT) FROM accounts WHERE document = $1 AND state IN ('active', 'suspended')
ON CONFLICT (document) DO UPDATE SET kind = excluded.kind, address = excluded.address, created = excluded.created`,
			d.String(), kind, address, time.Now().UnixMilli())
		if err != nil {
			return err
		}
		if rows, err := result.RowsAffected(); err != nil || rows != 0 {
			return err
		}
		return ErrNoAccount
	})
}

// Unsubscribe has an account's phone not woken any more.
func (p *Push) Unsubscribe(ctx context.Context, d identity.Document) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	_, err := p.config.DB.Exec(ctx, "DELETE FROM push_subscriptions WHERE document = $1", d.String())
	return err
}

// CloseAccount ends the subscription of an account, in the transaction in which that
// ends: it belongs into accounts.Accounts.OnEnd.
func (p *Push) CloseAccount(ctx context.Context, tx *sql.Tx, d identity.Document) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	if tx == nil {
		return fmt.Errorf("%w: no transaction", ErrConfig)
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM push_subscriptions WHERE document = $1", d.String())
	return err
}

// subscription returns the account's; kind is "" if there is none.
func (p *Push) subscription(ctx context.Context, d identity.Document) (kind, address string, err error) {
	err = p.config.DB.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT kind, address FROM push_subscriptions WHERE document = $1", d.String()).Scan(&kind, &address)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return kind, address, err
}

// Wake has an account's phone woken soon, by Run. It does not wait. If too many wait
// already, the phone is not woken.
func (p *Push) Wake(d identity.Document) {
	if p == nil || p.queue == nil {
		return
	}
	select {
	case p.queue <- d:
	default:
		p.config.Log.Warn("a phone was not woken: too many wait")
	}
}

// Run sends until ctx ends, and returns its error. What could not be sent is not tried
// again: the person who waits for it has opened the app by then.
func (p *Push) Run(ctx context.Context) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case d := <-p.queue:
					if err := p.send(ctx, d); err != nil && ctx.Err() == nil {
						p.config.Log.LogAttrs(ctx, slog.LevelWarn, "a phone was not woken", slog.String("document", d.String()), slog.Any("error", err))
					}
				}
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

func (p *Push) send(ctx context.Context, d identity.Document) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	kind, address, err := p.subscription(ctx, d)
	if err != nil || kind == "" {
		return err
	}
	sender := p.config.Senders[kind]
	if sender == nil {
		return fmt.Errorf("%w: no sender of the kind %q", ErrAddress, kind)
	}
	err = sender.Send(ctx, address)
	if !errors.Is(err, ErrGone) {
		return err
	}
	// Another one may have taken its place meanwhile.
	_, err = p.config.DB.Exec(ctx, "DELETE FROM push_subscriptions WHERE document = $1 AND address = $2", d.String(), address)
	return err
}
