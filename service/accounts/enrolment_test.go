package accounts_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/notices"
)

// TestEnrolment: from the registrar's code to an account whose keys sign, with
// certificates.
func TestEnrolment(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		p := w.openAccount(t)
		a := p.account
		require.Equal(t, accounts.Active, a.State)
		require.Equal(t, identity.Qualified, a.Level)
		require.Equal(t, mari, a.Person)
		require.Equal(t, label, a.Device)
		require.Equal(t, mari.ID, a.Document.ID)
		require.WithinDuration(t, time.Now().AddDate(3, 0, 0), a.Expires, 48*time.Hour)

		// Each way to it.
		for name, find := range map[string]func() (accounts.Account, error){
			"document": func() (accounts.Account, error) { return w.ByDocument(t.Context(), a.Document) },
			"token":    func() (accounts.Account, error) { return w.ByToken(t.Context(), p.token) },
			"key":      func() (accounts.Account, error) { return w.ByKey(t.Context(), a.Keys[1].ID) },
			"person": func() (accounts.Account, error) {
				all, err := w.ByPerson(t.Context(), mari.ID)
				require.Len(t, all, 1)
				return all[0], err
			},
			"page": func() (accounts.Account, error) {
				all, err := w.Page(t.Context(), "", 10)
				require.Len(t, all, 1)
				return all[0], err
			},
		} {
			got, err := find()
			require.NoError(t, err, name)
			require.Equal(t, a, got, name)
		}

		// The keys sign, and the certificates say so.
		for i, usage := range []x509.KeyUsage{x509.KeyUsageDigitalSignature, x509.KeyUsageContentCommitment} {
			digest := sha256.Sum256([]byte("the contract"))
			challenge, err := w.server.ChallengeSign(t.Context(), a.Keys[i].ID, digest[:], crypto.SHA256)
			require.NoError(t, err)
			signature, err := p.sign(t, i, challenge, digest[:])
			require.NoError(t, err)
			c, err := x509.ParseCertificate(a.Keys[i].Certificate)
			require.NoError(t, err)
			require.Equal(t, usage, c.KeyUsage)
			require.NoError(t, rsa.VerifyPKCS1v15(c.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest[:], signature))
			require.Equal(t, "MÄND,MARI", c.Subject.CommonName)
		}
		require.Equal(t, a.Keys[1], a.Key(ca.Signature))
		require.Equal(t, a.Keys[0], a.Key(ca.Authentication))

		// The person hears of it.
		sent := w.take(t)
		require.Equal(t, []notices.Kind{notices.AccountOpened}, kinds(sent))
		require.Equal(t, "mari@example.org", sent[0].Email)
		require.Equal(t, a.Document.String(), sent[0].Document)
		require.Equal(t, "MARI MÄND", sent[0].Name)
		history, err := w.History(t.Context(), mari.ID, "", 10)
		require.NoError(t, err)
		require.Len(t, history, 1)
	})
}

// TestCode: a registrar's code works once, for the phone that came first, however it is
// typed, and not after its time.
func TestCode(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		register := func() accounts.Registered {
			r, err := w.Register(t.Context(), accounts.Registration{Person: mari, Level: identity.Advanced})
			require.NoError(t, err)
			return r
		}
		begin := func(code, token string) error {
			_, err := w.Begin(t.Context(), code, token, label, address)
			return err
		}
		r := register()
		mine, other := accounts.NewToken(), accounts.NewToken()
		for _, code := range []string{"", "7TRE", "7TRE-0A1B-9XYZ", r.Code + "0", strings.Repeat("-", 1000), "u" + r.Code[1:]} {
			require.ErrorIs(t, begin(code, mine), accounts.ErrCode, code)
		}
		require.NoError(t, begin(" "+strings.ToLower(strings.ReplaceAll(r.Code, "-", " "))+" ", mine))
		require.NoError(t, begin(r.Code, mine), "the same phone, again")
		require.ErrorIs(t, begin(r.Code, other), accounts.ErrCode, "another phone")
		require.ErrorIs(t, begin(register().Code, mine), accounts.ErrRequest, "a phone with a token that is in use")
		// Confusable letters.
		r = register()
		for !strings.ContainsAny(r.Code, "01") {
			r = register()
		}
		require.NoError(t, begin(strings.NewReplacer("0", "o", "1", "l").Replace(r.Code), other))
		r = register()
		w.clock.Advance(72*time.Hour - time.Millisecond)
		require.NoError(t, begin(r.Code, accounts.NewToken()))
		r = register()
		w.clock.Advance(72 * time.Hour)
		require.ErrorIs(t, begin(r.Code, accounts.NewToken()), accounts.ErrCode)
	})
}

// TestBeginRefuses: tokens and labels that no phone should have.
func TestBeginRefuses(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		r, err := w.Register(t.Context(), accounts.Registration{Person: mari, Level: identity.Qualified})
		require.NoError(t, err)
		good := accounts.NewToken()
		for _, token := range []string{"", "short", good + "=", good[:42], good + "A", good[:42] + "\n", "!" + good[1:]} {
			_, err := w.Begin(t.Context(), r.Code, token, label, address)
			require.ErrorIs(t, err, accounts.ErrRequest, token)
			_, _, err = w.Ask(t.Context(), token, label, address)
			require.ErrorIs(t, err, accounts.ErrRequest, token)
			_, err = w.Continue(t.Context(), token)
			require.ErrorIs(t, err, accounts.ErrCode)
			_, err = w.Finish(t.Context(), token)
			require.ErrorIs(t, err, accounts.ErrCode)
			_, err = w.ByToken(t.Context(), token)
			require.ErrorIs(t, err, accounts.ErrNotFound)
		}
		for _, device := range []string{"", " a", "a\n", "a\u202eb", strings.Repeat("a", 41), "\xff"} {
			_, err := w.Begin(t.Context(), r.Code, good, device, address)
			require.ErrorIs(t, err, accounts.ErrRequest, device)
			_, _, err = w.Ask(t.Context(), good, device, address)
			require.ErrorIs(t, err, accounts.ErrRequest, device)
		}
		_, err = w.Begin(t.Context(), r.Code, good, strings.Repeat("ä", 40), address)
		require.NoError(t, err)
	})
}

// TestFinishTooEarly: without two confirmed keys there is no account.
func TestFinishTooEarly(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		r, err := w.Register(t.Context(), accounts.Registration{Person: mari, Level: identity.Qualified})
		require.NoError(t, err)
		p := newPhone(w)
		finish := func() error {
			_, err := w.Finish(t.Context(), p.token)
			return err
		}
		require.ErrorIs(t, finish(), accounts.ErrCode)
		e, err := w.Begin(t.Context(), r.Code, p.token, label, address)
		require.NoError(t, err)
		require.ErrorIs(t, finish(), accounts.ErrUnconfirmed)
		first := e
		first.Offers[1].Challenge = nil
		p.enroll(t, first)
		require.ErrorIs(t, finish(), accounts.ErrUnconfirmed)
		// What is there stays, and what is missing is offered anew.
		again, err := w.Continue(t.Context(), p.token)
		require.NoError(t, err)
		require.Equal(t, accounts.Offer{ID: e.Offers[0].ID, Confirmed: true}, again.Offers[0])
		require.NotEqual(t, e.Offers[1].ID, again.Offers[1].ID)
		require.NotNil(t, again.Offers[1].Challenge)
		// A key that dies before the account begins is offered anew.
		require.NoError(t, w.server.Revoke(t.Context(), e.Offers[0].ID, "test"))
		p.enroll(t, again)
		require.ErrorIs(t, finish(), accounts.ErrUnconfirmed)
		again, err = w.Continue(t.Context(), p.token)
		require.NoError(t, err)
		require.NotNil(t, again.Offers[0].Challenge)
		require.Nil(t, again.Offers[1].Challenge)
		p.enroll(t, again)
		p.finish(t)
		require.Equal(t, again.Offers[0].ID, p.account.Keys[0].ID)
		// The keys that came to nothing are destroyed once nobody can enrol them.
		w.clock.Advance(3 * time.Hour)
		require.NoError(t, w.Sweep(t.Context()))
		require.Equal(t, alive, w.conditions(t, p.account))
	})
}

// meddler does something before it issues a certificate.
type meddler struct {
	ca.Issuer
	before func()
}

func (m *meddler) Issue(ctx context.Context, r ca.Request) ([]*x509.Certificate, error) {
	if f := m.before; f != nil {
		m.before = nil
		f()
	}
	return m.Issuer.Issue(ctx, r)
}

// meddled has a phone whose keys are enrolled and not yet certified, by an issuer that a
// test meddles with.
func (w *world) meddled(t *testing.T) (m *meddler, p *phone, e accounts.Enrolment) {
	m = &meddler{Issuer: w.config.Issuer}
	w.config.Issuer = m
	var err error
	w.Accounts, err = accounts.New(w.config)
	require.NoError(t, err)
	r, err := w.Register(t.Context(), accounts.Registration{Person: mari, Level: identity.Qualified})
	require.NoError(t, err)
	p = newPhone(w)
	e, err = w.Begin(t.Context(), r.Code, p.token, label, address)
	require.NoError(t, err)
	p.enroll(t, e)
	return m, p, e
}

// TestFinishOvertaken: a key that dies while it is certified, and has another in its
// place, is not the account's, and loses its certificate.
func TestFinishOvertaken(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		m, p, e := w.meddled(t)
		var again accounts.Enrolment
		var err error
		m.before = func() {
			require.NoError(t, w.server.Revoke(t.Context(), e.Offers[0].ID, "test"))
			again, err = w.Continue(t.Context(), p.token)
			require.NoError(t, err)
		}
		_, err = w.Finish(t.Context(), p.token)
		require.ErrorIs(t, err, accounts.ErrUnconfirmed)
		require.NotEqual(t, e.Offers[0].ID, again.Offers[0].ID)
		p.enroll(t, again)
		p.finish(t)
		require.Equal(t, again.Offers[0].ID, p.account.Keys[0].ID)
		require.Equal(t, 3, w.certified(t, p.account.Document))
		w.clock.Advance(3 * time.Hour)
		require.NoError(t, w.Sweep(t.Context()))
		require.Equal(t, 2, w.certified(t, p.account.Document))
		require.Equal(t, [2]int{-1, -1}, w.revoked(t, p.account))
		require.Equal(t, alive, w.conditions(t, p.account))
		require.Equal(t, 2, w.count(t, "SELECT count(*) FROM account_keys"))
	})
}

// TestCertifiedForNothing: certificates of an enrolment that nobody went on with are
// revoked, also one that no key is known for.
func TestCertifiedForNothing(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		m, p, e := w.meddled(t)
		ctx, cancel := context.WithCancel(t.Context())
		m.before = func() {
			// The process ends with the certificate issued and not written down.
			s, err := w.server.Status(t.Context(), e.Offers[0].ID)
			require.NoError(t, err)
			_, err = w.authority.Issue(t.Context(), ca.Request{Use: ca.Authentication, Person: mari, Document: e.Document, Key: s.PublicKey})
			require.NoError(t, err)
			cancel()
		}
		_, err := w.Finish(ctx, p.token)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, w.certified(t, e.Document))
		w.clock.Advance(26 * time.Hour)
		require.NoError(t, w.Sweep(t.Context()))
		require.Zero(t, w.certified(t, e.Document))
		require.Zero(t, w.count(t, "SELECT count(*) FROM account_keys"))
	})
}

// TestRevocationCode: Finish gives another code as long as the first may have been lost;
// the last one counts; then none.
func TestRevocationCode(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		p := w.openAccount(t)
		first := p.code
		require.Len(t, first, 14)
		w.clock.Advance(15*time.Minute - time.Second)
		p.finish(t)
		require.NotEqual(t, first, p.code)
		last := p.code
		w.clock.Advance(time.Second)
		_, err := w.Finish(t.Context(), p.token)
		require.ErrorIs(t, err, accounts.ErrCode)
		_, err = w.EndByCode(t.Context(), first, address)
		require.ErrorIs(t, err, accounts.ErrCode)
		d, err := w.EndByCode(t.Context(), strings.ToLower(last), address)
		require.NoError(t, err)
		require.Equal(t, p.account.Document, d)
		require.Equal(t, dead, w.conditions(t, p.account))
		require.Equal(t, [2]int{int(ca.CessationOfOperation), int(ca.CessationOfOperation)}, w.revoked(t, p.account))
		_, err = w.EndByCode(t.Context(), last, address)
		require.ErrorIs(t, err, accounts.ErrCode)
		got, err := w.ByToken(t.Context(), p.token)
		require.ErrorIs(t, err, accounts.ErrEnded)
		require.Equal(t, accounts.ByCode, got.Cause)
		require.Equal(t, []notices.Kind{notices.AccountOpened, notices.AccountEnded}, kinds(w.take(t)))
	})
}
