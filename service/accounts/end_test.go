package accounts_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/notices"
)

// TestEnd: an account that ends has no key and no certificate left, whatever it ends
// of; the first cause stays.
func TestEnd(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		for cause, reason := range map[accounts.Cause]ca.Reason{
			accounts.ByOwner: ca.CessationOfOperation, accounts.ByRegistrar: ca.CessationOfOperation, accounts.ByMistake: ca.PrivilegeWithdrawn,
		} {
			p := w.openAccount(t)
			require.NoError(t, w.End(t.Context(), p.account.Document, cause))
			w.requireEnded(t, p.account, cause, reason)
			require.NoError(t, w.End(t.Context(), p.account.Document, accounts.ByOwner))
			w.requireEnded(t, p.account, cause, reason)
		}
		all, err := w.ByPerson(t.Context(), mari.ID)
		require.NoError(t, err)
		require.Empty(t, all)
		all, err = w.AllByPerson(t.Context(), mari.ID)
		require.NoError(t, err)
		require.Len(t, all, 3)
		for _, cause := range []accounts.Cause{"", "whim", accounts.Replaced, accounts.ByCode, accounts.ByAge} {
			require.ErrorIs(t, w.End(t.Context(), all[0].Document, cause), accounts.ErrRequest)
		}
		nobody := w.nobody(t)
		require.ErrorIs(t, w.End(t.Context(), nobody, accounts.ByOwner), accounts.ErrNotFound)
	})
}

// TestOnEnd: what is told of an account's end is told in the transaction that ends it,
// and can keep it from ending.
func TestOnEnd(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		p := w.openAccount(t)
		var told []identity.Document
		var refuse error
		w.OnEnd(func(ctx context.Context, tx *sql.Tx, d identity.Document) error {
			var state string
			require.NoError(t, tx.QueryRowContext(ctx, "SELECT state FROM accounts WHERE document = $1", d.String()).Scan(&state))
			require.Equal(t, "deleted", state)
			told = append(told, d)
			return refuse
		})
		refuse = errMine
		require.ErrorIs(t, w.End(t.Context(), p.account.Document, accounts.ByOwner), errMine)
		got, err := w.ByToken(t.Context(), p.token)
		require.NoError(t, err)
		require.Equal(t, accounts.Active, got.State)
		require.Equal(t, alive, w.conditions(t, p.account))
		refuse = nil
		told = nil
		require.NoError(t, w.End(t.Context(), p.account.Document, accounts.ByOwner))
		require.Equal(t, []identity.Document{p.account.Document}, told)
		require.NoError(t, w.End(t.Context(), p.account.Document, accounts.ByOwner))
		require.Len(t, told, 1)
	})
}

// brokenIssuer does not revoke.
type brokenIssuer struct {
	ca.Issuer
	err error
}

func (b *brokenIssuer) Revoke(ctx context.Context, c *x509.Certificate, r ca.Reason) error {
	if b.err != nil {
		return b.err
	}
	return b.Issuer.Revoke(ctx, c, r)
}

// TestUnfinished: an account ends although the CA is down, with its keys; its
// certificates are revoked later.
func TestUnfinished(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		p := w.openAccount(t)
		broken := &brokenIssuer{w.config.Issuer, errors.New("down")}
		w.config.Issuer = broken
		var err error
		w.Accounts, err = accounts.New(w.config)
		require.NoError(t, err)
		require.ErrorIs(t, w.End(t.Context(), p.account.Document, accounts.ByOwner), accounts.ErrUnfinished)
		_, err = w.ByToken(t.Context(), p.token)
		require.ErrorIs(t, err, accounts.ErrEnded)
		require.Equal(t, dead, w.conditions(t, p.account))
		require.Equal(t, [2]int{-1, -1}, w.revoked(t, p.account))
		require.ErrorIs(t, w.Sweep(t.Context()), accounts.ErrUnfinished)
		broken.err = nil
		require.NoError(t, w.Sweep(t.Context()))
		w.requireEnded(t, p.account, accounts.ByOwner, ca.CessationOfOperation)
	})
}

// TestSuspend: an account that is suspended is there, and cannot be used, until it is
// resumed; one that has ended is neither.
func TestSuspend(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		p := w.openAccount(t)
		d := p.account.Document
		id := p.account.Keys[1].ID
		for range 2 {
			require.NoError(t, w.Suspend(t.Context(), d))
			got, err := w.ByToken(t.Context(), p.token)
			require.NoError(t, err)
			require.Equal(t, accounts.Suspended, got.State)
			require.ErrorIs(t, w.Admit(t.Context(), id, protocol.OpSign), accounts.ErrSuspended)
		}
		// Its phone gets no signature, with a challenge from before either; nothing is
		// counted.
		digest := sha256.Sum256([]byte("x"))
		challenge, err := w.server.ChallengeSign(t.Context(), id, digest[:], crypto.SHA256)
		require.NoError(t, err)
		_, err = p.sign(t, 1, challenge, digest[:])
		require.ErrorIs(t, err, device.ErrUnanswered)
		require.NoError(t, w.Resume(t.Context(), d))
		require.NoError(t, w.Resume(t.Context(), d))
		require.NoError(t, w.Admit(t.Context(), id, protocol.OpSign))
		_, err = p.devices[1].Resume(t.Context())
		require.NoError(t, err)
		require.NoError(t, w.End(t.Context(), d, accounts.ByOwner))
		require.ErrorIs(t, w.Admit(t.Context(), id, protocol.OpSign), accounts.ErrEnded)
		require.ErrorIs(t, w.Suspend(t.Context(), d), accounts.ErrEnded)
		require.ErrorIs(t, w.Resume(t.Context(), d), accounts.ErrEnded)
		nobody := w.nobody(t)
		require.ErrorIs(t, w.Resume(t.Context(), nobody), accounts.ErrNotFound)
		require.ErrorIs(t, w.Suspend(t.Context(), nobody), accounts.ErrNotFound)
		require.NoError(t, w.Admit(t.Context(), protocol.KeyID{1}, protocol.OpConfirm), "a key of no account's")
	})
}

// TestExpiry: an account whose time is over is expired at once, and has no key after
// the next sweep.
func TestExpiry(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		p := w.openAccount(t)
		w.take(t)
		w.clock.Advance(p.account.Expires.Sub(w.clock.Now()) - time.Second)
		_, err := w.ByToken(t.Context(), p.token)
		require.NoError(t, err)
		w.clock.Advance(time.Second)
		got, err := w.ByToken(t.Context(), p.token)
		require.ErrorIs(t, err, accounts.ErrEnded)
		require.Equal(t, accounts.Expired, got.State)
		all, err := w.ByPerson(t.Context(), mari.ID)
		require.NoError(t, err)
		require.Empty(t, all)
		require.ErrorIs(t, w.Admit(t.Context(), p.account.Keys[0].ID, protocol.OpSign), accounts.ErrEnded)
		require.NoError(t, w.Sweep(t.Context()))
		require.Equal(t, dead, w.conditions(t, p.account))
		got, err = w.ByDocument(t.Context(), p.account.Document)
		require.NoError(t, err)
		require.Equal(t, accounts.Expired, got.State)
		require.Equal(t, accounts.ByAge, got.Cause)
		require.Equal(t, []notices.Kind{notices.AccountEnded}, kinds(w.take(t)))
	})
}

// TestAbandoned: an enrolment that came to nothing leaves no key.
func TestAbandoned(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		r, err := w.Register(t.Context(), accounts.Registration{Person: mari, Level: identity.Qualified})
		require.NoError(t, err)
		p := newPhone(w)
		e, err := w.Begin(t.Context(), r.Code, p.token, label, address)
		require.NoError(t, err)
		p.enroll(t, e)
		w.clock.Advance(23 * time.Hour)
		require.NoError(t, w.Sweep(t.Context()))
		s, err := w.server.Status(t.Context(), e.Offers[0].ID)
		require.NoError(t, err)
		require.Equal(t, alive[0], s.Condition)
		w.clock.Advance(3 * time.Hour)
		require.NoError(t, w.Sweep(t.Context()))
		s, err = w.server.Status(t.Context(), e.Offers[0].ID)
		require.NoError(t, err)
		require.Equal(t, dead[0], s.Condition)
		_, err = w.Finish(t.Context(), p.token)
		require.ErrorIs(t, err, accounts.ErrCode)
		require.Zero(t, w.count(t, "SELECT count(*) FROM enrolments"))
		require.Zero(t, w.count(t, "SELECT count(*) FROM account_keys"))
	})
}

// TestReplaces: a registrar names the accounts that the new one replaces; others stay,
// unless the person has another name now.
func TestReplaces(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		first, second := w.openAccount(t), w.openAccount(t)
		third := w.openAccount(t, first.account.Document)
		w.requireEnded(t, first.account, accounts.Replaced, ca.Superseded)
		_, err := w.ByToken(t.Context(), second.token)
		require.NoError(t, err)

		was := mari
		mari.Surname = "TAMM"
		defer func() { mari = was }()
		last := w.openAccount(t)
		w.requireEnded(t, second.account, accounts.Renamed, ca.AffiliationChanged)
		w.requireEnded(t, third.account, accounts.Renamed, ca.AffiliationChanged)
		require.Equal(t, "TAMM", last.account.Person.Surname)

		register := func(r accounts.Registration) error { _, err := w.Register(t.Context(), r); return err }
		good := accounts.Registration{Person: mari, Level: identity.Qualified}
		require.NoError(t, register(good))
		bad := good
		bad.Replaces = []identity.Document{first.account.Document}
		require.ErrorIs(t, register(bad), accounts.ErrEnded)
		bad.Replaces = []identity.Document{last.account.Document, last.account.Document}
		require.ErrorIs(t, register(bad), accounts.ErrRequest)
		other, err := identity.NewDocument(identity.ID{Type: "PNO", Country: "EE", Number: "1"}, identity.Qualified)
		require.NoError(t, err)
		bad.Replaces = []identity.Document{other}
		require.ErrorIs(t, register(bad), accounts.ErrRequest)
		nobody := w.nobody(t)
		bad.Replaces = []identity.Document{nobody}
		require.ErrorIs(t, register(bad), accounts.ErrNotFound)
		bad = good
		bad.Level = 0
		require.ErrorIs(t, register(bad), accounts.ErrRequest)
		for _, email := range []string{"nobody", "a@b\r\nBcc: c@d", "Mari <mari@example.org>", "a@b, c@d"} {
			bad = good
			bad.Email = email
			require.ErrorIs(t, register(bad), accounts.ErrRequest, email)
		}
		bad = good
		bad.Person.Given = ""
		var wrong *identity.Error
		require.ErrorAs(t, register(bad), &wrong)
	})
}

// TestEvents: locks, destroyed keys and copies are told once, and written into the
// history; the certificate of a key that was destroyed is revoked, and the account goes
// on with the other.
func TestEvents(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		p := w.openAccount(t)
		w.take(t)
		for range 3 {
			p.guess(t, 1)
		}
		sent := w.take(t)
		require.Equal(t, []notices.Kind{notices.KeyLocked}, kinds(sent))
		require.Equal(t, "signature", sent[0].Use)
		require.WithinDuration(t, w.clock.Now().Add(3*time.Hour), sent[0].Until, time.Minute)
		// The same events, as a node that crashed would tell them.
		w.redeliver(t, p)
		require.Empty(t, w.take(t))
		p.w.clock.Advance(25 * time.Hour)
		p.destroy(t, 1)
		require.Equal(t, notices.KeyDestroyed, kinds(w.take(t))[1])
		got, err := w.ByToken(t.Context(), p.token)
		require.NoError(t, err)
		require.True(t, got.Keys[0].Destroyed.IsZero())
		require.False(t, got.Keys[1].Destroyed.IsZero())
		require.NoError(t, w.Sweep(t.Context()))
		require.Equal(t, [2]int{-1, int(ca.KeyCompromise)}, w.revoked(t, p.account))
		history, err := w.History(t.Context(), mari.ID, "", 100)
		require.NoError(t, err)
		n := map[string]int{}
		for _, e := range history {
			n[e.Kind]++
			require.Equal(t, p.account.Document.String(), e.Document)
		}
		require.Equal(t, map[string]int{"account opened": 1, "wrong PIN": 9, "key locked": 2, "key destroyed": 1}, n)
		digest := sha256.Sum256([]byte("x"))
		challenge, err := w.server.ChallengeSign(t.Context(), p.account.Keys[0].ID, digest[:], crypto.SHA256)
		require.NoError(t, err)
		_, err = p.sign(t, 0, challenge, digest[:])
		require.NoError(t, err)

		// A copy.
		other := w.openAccount(t)
		w.take(t)
		other.copied(t, 0)
		require.Equal(t, []notices.Kind{notices.CloneDetected}, kinds(w.take(t)))
		require.NoError(t, w.Sweep(t.Context()))
		require.Equal(t, [2]int{int(ca.KeyCompromise), -1}, w.revoked(t, other.account))

		// What the service destroys itself is told as the end of the account only.
		require.NoError(t, w.End(t.Context(), other.account.Document, accounts.ByOwner))
		require.Equal(t, []notices.Kind{notices.AccountEnded}, kinds(w.take(t)))
		require.Equal(t, [2]int{int(ca.KeyCompromise), int(ca.CessationOfOperation)}, w.revoked(t, other.account))
	})
}
