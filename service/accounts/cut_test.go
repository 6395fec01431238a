package accounts_test

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/notices"
)

// power fails at one step of what is durable, a commit or a call of the server or the CA,
// and at every step after that, as a process does that ends there.
type power struct {
	mu    sync.Mutex
	step  int
	endAt int // 0: never
	ended bool
}

var errPower = errors.New("the process has ended")

func (p *power) next() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step++
	if p.endAt > 0 && p.step >= p.endAt {
		p.ended = true
		return errPower
	}
	return nil
}

func (p *power) set(endAt int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.endAt, p.ended = 0, endAt, false
}

func (p *power) cut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// powers is by the file of the database.
var powers sync.Map

func init() {
	sqlite.RegisterConnectionHook(func(c sqlite.ExecQuerierContext, dsn string) error {
		file, _, _ := strings.Cut(strings.TrimPrefix(dsn, "file://"), "?")
		p, ok := powers.Load(file)
		if !ok {
			return nil
		}
		c.(interface{ RegisterCommitHook(sqlite.CommitHookFn) }).RegisterCommitHook(func() int32 {
			if p.(*power).next() != nil {
				return 1 // the transaction is rolled back
			}
			return 0
		})
		return nil
	})
}

// poweredKeys and poweredIssuer are the server and the CA as they are reached by a
// process that ends.
type poweredKeys struct {
	accounts.Keys
	*power
}

func (k poweredKeys) ChallengeEnroll(ctx context.Context) (protocol.KeyID, []byte, error) {
	if err := k.next(); err != nil {
		return protocol.KeyID{}, nil, err
	}
	return k.Keys.ChallengeEnroll(ctx)
}

func (k poweredKeys) Revoke(ctx context.Context, id protocol.KeyID, why string) error {
	if err := k.next(); err != nil {
		return err
	}
	return k.Keys.Revoke(ctx, id, why)
}

type poweredIssuer struct {
	ca.Issuer
	*power
}

func (i poweredIssuer) Issue(ctx context.Context, r ca.Request) ([]*x509.Certificate, error) {
	if err := i.next(); err != nil {
		return nil, err
	}
	return i.Issuer.Issue(ctx, r)
}

func (i poweredIssuer) Revoke(ctx context.Context, c *x509.Certificate, r ca.Reason) error {
	if err := i.next(); err != nil {
		return err
	}
	return i.Issuer.Revoke(ctx, c, r)
}

// everyCut has a process end at each step of what act does, one after another, each time
// in a new world that prepare has made ready. Then another process does act again, from
// the beginning, and sweeps; and check finds what is to be, as if nothing had been.
func everyCut(t *testing.T, prepare func(t *testing.T, w *world) (act func(w *world) error, check func(t *testing.T, w *world))) {
	every := durabletest.Times(1, 2, 4)
	for n := 1; ; n += every {
		address := databasetest.SQLite(t)
		p := new(power)
		file := strings.TrimPrefix(address, "sqlite:")
		powers.Store(file, p)
		w := newWorld(t, func() *database.DB { return databasetest.Open(t, address) }, func(c *accounts.Config) {
			c.Keys, c.Issuer = poweredKeys{c.Keys, p}, poweredIssuer{c.Issuer, p}
		})
		act, check := prepare(t, w)
		w.take(t)
		p.set(n)
		err := act(w)
		finished := !p.cut()
		if finished {
			require.NoError(t, err)
			require.Greater(t, n, 3, "nothing was cut")
		}
		p.set(0)
		// The next process.
		w.config.DB = w.open()
		w.Accounts, err = accounts.New(w.config)
		require.NoError(t, err)
		require.NoError(t, act(w), "after a cut at step %d", n)
		require.NoError(t, w.Sweep(t.Context()))
		check(t, w)
		powers.Delete(file)
		if finished {
			durabletest.Claim(t, "accounts: %s goes on after a process that ended at any of %d steps (every %d tried)", t.Name(), n-1, every)
			return
		}
	}
}

// certified counts the certificates of an account that are not revoked.
func (w *world) certified(t *testing.T, d identity.Document) (n int) {
	t.Helper()
	all, err := w.issued.Issued(t.Context(), d.String())
	require.NoError(t, err)
	for _, r := range all {
		if r.Revoked == nil {
			n++
		}
	}
	return n
}

// count counts rows.
func (w *world) count(t *testing.T, query string) (n int) {
	t.Helper()
	require.NoError(t, w.db.Read(t.Context(), func(tx *sql.Tx) error { return tx.QueryRowContext(t.Context(), query).Scan(&n) }))
	return n
}

// requireOne requires that mari has one account, which is whole, and that another has
// ended, with all that was its.
func (w *world) requireOne(t *testing.T, old accounts.Account) accounts.Account {
	t.Helper()
	all, err := w.ByPerson(t.Context(), mari.ID)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.NotEqual(t, old.Document, all[0].Document)
	require.Equal(t, alive, w.conditions(t, all[0]))
	require.Equal(t, [2]int{-1, -1}, w.revoked(t, all[0]))
	require.Equal(t, 2, w.certified(t, all[0].Document))
	w.requireEnded(t, old, accounts.Replaced, ca.Superseded)
	return all[0]
}

func (w *world) requireEnded(t *testing.T, old accounts.Account, cause accounts.Cause, reason ca.Reason) {
	t.Helper()
	got, err := w.ByDocument(t.Context(), old.Document)
	require.NoError(t, err)
	require.Equal(t, accounts.Deleted, got.State)
	require.Equal(t, cause, got.Cause)
	require.Equal(t, dead, w.conditions(t, old))
	require.Equal(t, [2]int{int(reason), int(reason)}, w.revoked(t, old))
	require.Zero(t, w.certified(t, old.Document))
	require.Zero(t, w.count(t, "SELECT count(*) FROM accounts WHERE ended > 0 AND cleaned = 0"))
}

// TestCutEnrolment: an enrolment that replaces an account, by a process that ends
// anywhere.
func TestCutEnrolment(t *testing.T) {
	t.Parallel()
	everyCut(t, func(t *testing.T, w *world) (func(*world) error, func(*testing.T, *world)) {
		old := w.openAccount(t)
		r, err := w.Register(t.Context(), accounts.Registration{Person: mari, Level: identity.Qualified, Replaces: []identity.Document{old.account.Document}})
		require.NoError(t, err)
		p := newPhone(w)
		act := func(w *world) error {
			e, err := w.Begin(t.Context(), r.Code, p.token, label, address)
			if err != nil {
				return err
			}
			p.enroll(t, e)
			o, err := w.Finish(t.Context(), p.token)
			p.code = o.RevocationCode
			return err
		}
		return act, func(t *testing.T, w *world) {
			w.requireOne(t, old.account)
			require.ElementsMatch(t, []notices.Kind{notices.AccountEnded, notices.NewPhone}, kinds(w.take(t)))
			require.Equal(t, 1, w.count(t, "SELECT count(*) FROM history WHERE document <> '"+old.account.Document.String()+"'"))
			d, err := w.EndByCode(t.Context(), p.code, address)
			require.NoError(t, err)
			require.NotEqual(t, old.account.Document, d)
		}
	})
}

// TestCutNewPhone: a new phone in place of an old one, by a process that ends anywhere.
func TestCutNewPhone(t *testing.T) {
	t.Parallel()
	everyCut(t, func(t *testing.T, w *world) (func(*world) error, func(*testing.T, *world)) {
		old := w.openAccount(t)
		p := newPhone(w)
		var signature []byte
		act := func(w *world) error {
			if _, err := w.Continue(t.Context(), p.token); errors.Is(err, accounts.ErrCode) || errors.Is(err, accounts.ErrNotApproved) {
				request, _, err := w.Ask(t.Context(), p.token, label, address)
				if err != nil {
					return err
				}
				n, err := w.NewPhone(t.Context(), old.account, request)
				if err != nil {
					return err
				}
				if signature, err = old.sign(t, 1, n.Challenge, n.Digest); err != nil {
					return err
				}
				if err := w.Approve(t.Context(), old.account, request, signature); err != nil {
					return err
				}
			}
			e, err := w.Continue(t.Context(), p.token)
			if err != nil {
				return err
			}
			p.enroll(t, e)
			_, err = w.Finish(t.Context(), p.token)
			return err
		}
		return act, func(t *testing.T, w *world) {
			w.requireOne(t, old.account)
			require.ElementsMatch(t, []notices.Kind{notices.PhoneApproved, notices.AccountEnded, notices.NewPhone}, kinds(w.take(t)))
		}
	})
}

// TestCutEnd: the end of an account, by a process that ends anywhere.
func TestCutEnd(t *testing.T) {
	t.Parallel()
	everyCut(t, func(t *testing.T, w *world) (func(*world) error, func(*testing.T, *world)) {
		old := w.openAccount(t)
		act := func(w *world) error { return w.End(t.Context(), old.account.Document, accounts.ByOwner) }
		return act, func(t *testing.T, w *world) {
			w.requireEnded(t, old.account, accounts.ByOwner, ca.CessationOfOperation)
			require.Equal(t, []notices.Kind{notices.AccountEnded}, kinds(w.take(t)))
		}
	})
}

// TestCutSweep: an account expires and another has a key that was destroyed, while the
// sweeping process ends anywhere.
func TestCutSweep(t *testing.T) {
	t.Parallel()
	everyCut(t, func(t *testing.T, w *world) (func(*world) error, func(*testing.T, *world)) {
		old, other := w.openAccount(t), w.openAccount(t)
		other.destroy(t, 0)
		_, err := w.db.Exec(t.Context(), "UPDATE accounts SET expires = $1 WHERE document = $2", w.clock.Now().UnixMilli(), old.account.Document.String())
		require.NoError(t, err)
		act := func(w *world) error { return w.Sweep(t.Context()) }
		return act, func(t *testing.T, w *world) {
			got, err := w.ByDocument(t.Context(), old.account.Document)
			require.NoError(t, err)
			require.Equal(t, accounts.Expired, got.State)
			require.Equal(t, dead, w.conditions(t, old.account))
			require.Equal(t, [2]int{int(ca.CessationOfOperation), int(ca.CessationOfOperation)}, w.revoked(t, old.account))
			require.Equal(t, [2]int{int(ca.KeyCompromise), -1}, w.revoked(t, other.account))
			require.Equal(t, []notices.Kind{notices.AccountEnded}, kinds(w.take(t)))
		}
	})
}
