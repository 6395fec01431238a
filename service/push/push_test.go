package push_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/push"
)

var errLater = errors.New("later")

func TestMain(m *testing.M) { os.Exit(databasetest.Main(m)) }

// sender notes what it is asked to send. Another one of the same form would be APNs'.
type sender struct {
	sent chan string
	mu   sync.Mutex
	err  error
	do   func()
}

func newSender() *sender { return &sender{sent: make(chan string, 100)} }

func (s *sender) Send(_ context.Context, address string) error {
	s.mu.Lock()
	err, do := s.err, s.do
	s.mu.Unlock()
	if do != nil {
		do()
	}
	s.sent <- address
	return err
}

func (s *sender) set(err error, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.do = err, do
}

func (s *sender) Check(address string) error {
	if strings.HasPrefix(address, "bad") {
		return push.ErrAddress
	}
	return nil
}

// run runs a Push until the test ends.
func run(t *testing.T, p *push.Push) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// rows is how many subscriptions there are.
func rows(t *testing.T, db *database.DB, d identity.Document) (n int) {
	require.NoError(t, db.Read(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(t.Context(), "SELECT count(*) FROM push_subscriptions WHERE document = $1", d.String()).Scan(&n)
	}))
	return n
}

// TestSubscriptions: an account has one subscription at most, which ends with it, or when
// nobody is there.
func TestSubscriptions(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db, web := open(), newSender()
		secrets, err := servicetest.NewSecrets()
		require.NoError(t, err)
		s, err := servicetest.Open(servicetest.Config{DB: db, Secrets: secrets, Senders: map[string]push.Sender{"web": web, "apns": newSender()}})
		require.NoError(t, err)
		phone := s.Enrol(t, s.Serve(t), servicetest.Mari, identity.Qualified)
		d := phone.Account.Document
		p := s.Push
		run(t, p)

		for _, v := range []struct{ kind, address string }{{"web", ""}, {"web", "bad"}, {"web", strings.Repeat("a", 2049)}, {"fcm", "a"}, {"", "a"}} {
			require.ErrorIs(t, p.Subscribe(t.Context(), d, v.kind, v.address), push.ErrAddress)
		}
		require.Zero(t, rows(t, db, d))
		for i := range 10 {
			require.NoError(t, p.Subscribe(t.Context(), d, "web", fmt.Sprint("address ", i)))
			require.Equal(t, 1, rows(t, db, d))
		}
		require.NoError(t, p.Subscribe(t.Context(), d, "web", "address 9"))
		p.Wake(d)
		require.Equal(t, "address 9", <-web.sent)

		// One that fails stays; where nobody is it goes, but not one that took its place.
		deliver := func() string {
			if err := push.Deliver(p, t.Context(), d); err != nil {
				require.ErrorIs(t, err, errLater)
			}
			select {
			case address := <-web.sent:
				return address
			default:
				return ""
			}
		}
		web.set(errLater, nil)
		require.Equal(t, "address 9", deliver())
		web.set(push.ErrGone, func() { require.NoError(t, p.Subscribe(t.Context(), d, "web", "another")) })
		require.Equal(t, "address 9", deliver())
		web.set(fmt.Errorf("said so: %w", push.ErrGone), nil)
		require.Equal(t, "another", deliver())
		require.Zero(t, rows(t, db, d))
		require.NoError(t, push.Deliver(p, t.Context(), d))
		web.set(nil, nil)

		require.NoError(t, p.Subscribe(t.Context(), d, "web", "a"))
		require.NoError(t, p.Unsubscribe(t.Context(), d))
		require.NoError(t, p.Unsubscribe(t.Context(), d))
		require.Zero(t, rows(t, db, d))
		require.NoError(t, p.Subscribe(t.Context(), d, "web", "a"))
		require.NoError(t, s.Accounts.End(t.Context(), d, accounts.ByOwner))
		require.Zero(t, rows(t, db, d))
		require.ErrorIs(t, p.Subscribe(t.Context(), d, "web", "a"), push.ErrNoAccount)
		require.Zero(t, rows(t, db, d))
	})
}

// TestBounded: whoever asks for more than can be sent does not wait, and is not kept.
func TestBounded(t *testing.T) {
	var log bytes.Buffer
	p, err := push.New(push.Config{DB: databasetest.Open(t, databasetest.SQLite(t)), Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	for range 1000 {
		p.Wake(identity.Document{})
	}
	require.Empty(t, log.String())
	waited := make(chan struct{})
	go func() {
		p.Wake(identity.Document{})
		close(waited)
	}()
	select {
	case <-waited:
	case <-time.After(20 * time.Second):
		require.Fail(t, "it waits")
	}
	require.Contains(t, log.String(), "too many wait")
}

// TestNothing: what is made of nothing is refused, and does nothing.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*push.Push)(nil), (*push.Web)(nil)},
		Functions: map[string]any{"New": push.New, "NewWeb": push.NewWeb},
		May:       map[string]string{"Push.Wake": "wakes nobody", "Web.PublicKey": "there is none"},
	})
	_, err := push.New(push.Config{DB: databasetest.Open(t, databasetest.SQLite(t)), Senders: map[string]push.Sender{"web": (*push.Web)(nil)}})
	require.ErrorIs(t, err, push.ErrConfig)
}
