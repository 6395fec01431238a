package accounts_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/quota"
)

// TestHistory: the latest first, page by page, each line once, and nobody else's.
func TestHistory(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		d, err := identity.NewDocument(mari.ID, identity.Qualified)
		require.NoError(t, err)
		other, err := identity.NewDocument(identity.ID{Type: "PNO", Country: "EE", Number: "1"}, identity.Qualified)
		require.NoError(t, err)
		add := func(d identity.Document, e accounts.Entry) {
			require.NoError(t, w.db.Tx(t.Context(), func(tx *sql.Tx) error { return w.AddHistory(t.Context(), tx, d, e) }))
		}
		const n = 25
		for i := range n {
			if i%10 == 0 {
				w.clock.Advance(time.Second) // others are of the same millisecond
			}
			add(d, accounts.Entry{Kind: "signature", Text: strconv.Itoa(i), RelyingParty: "DEMO", Result: "OK"})
			add(other, accounts.Entry{Kind: "signature"})
		}
		var got []accounts.Entry
		before := ""
		for {
			page, err := w.History(t.Context(), mari.ID, before, 7)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			before = page[len(page)-1].ID
		}
		require.Len(t, got, n)
		seen := map[string]bool{}
		for i, e := range got {
			require.False(t, seen[e.Text])
			seen[e.Text] = true
			require.Equal(t, d.String(), e.Document)
			require.False(t, e.At.IsZero())
			if i > 0 {
				require.False(t, e.At.After(got[i-1].At))
			}
		}
		// A line that comes again, by its ID, is the same.
		e := accounts.Entry{ID: got[0].ID, Kind: "another"}
		add(d, e)
		page, err := w.History(t.Context(), mari.ID, "", 1000)
		require.NoError(t, err)
		require.Len(t, page, n)
		for _, bad := range []int{-1, 0, 1001} {
			_, err := w.History(t.Context(), mari.ID, "", bad)
			require.ErrorIs(t, err, accounts.ErrRequest)
			_, err = w.Page(t.Context(), "", bad)
			require.ErrorIs(t, err, accounts.ErrRequest)
		}
	})
}

// TestPage: all accounts, page by page.
func TestPage(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		want := map[identity.Document]bool{}
		for range 3 {
			want[w.openAccount(t).account.Document] = true
		}
		got := map[identity.Document]bool{}
		after := ""
		for {
			page, err := w.Page(t.Context(), after, 2)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, a := range page {
				got[a.Document] = true
				after = max(after, a.Document.String())
			}
		}
		require.Equal(t, want, got)
	})
}

// TestQuotas: too many tries get "later", before anything else is looked at: of codes, of
// new phones, of a relying party, and of PINs, whose devices hear it from the server.
func TestQuotas(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		one := []quota.Rule{{N: 1, Per: time.Hour}}
		p := w.openAccount(t)
		w.config.Quotas = accounts.Quotas{Begin: quota.Rules{Person: one}, PIN: quota.Rules{Person: one}, Code: quota.Rules{Source: one}}
		var err error
		w.Accounts, err = accounts.New(w.config)
		require.NoError(t, err)
		later := func(err error) {
			t.Helper()
			var l *quota.Later
			require.ErrorAs(t, err, &l)
		}
		// Codes.
		_, err = w.EndByCode(t.Context(), "7TRE-0A1B-9XYZ", "192.0.2.8")
		require.ErrorIs(t, err, accounts.ErrCode)
		_, err = w.EndByCode(t.Context(), p.code, "192.0.2.8")
		later(err)
		_, err = w.Begin(t.Context(), "7TRE-0A1B-9XYZ", accounts.NewToken(), label, "192.0.2.8")
		later(err)
		_, _, err = w.Ask(t.Context(), accounts.NewToken(), label, "192.0.2.8")
		later(err)
		// What a relying party begins.
		require.NoError(t, w.Allow(t.Context(), mari.ID, "a", "192.0.2.9"))
		later(w.Allow(t.Context(), mari.ID, "b", "192.0.2.10"))
		require.NoError(t, w.Allow(t.Context(), identity.ID{}, "b", "192.0.2.10"))
		require.NoError(t, w.Allow(t.Context(), identity.ID{}, "b", "192.0.2.10"))
		// PINs: of the person, whichever key it is.
		require.NoError(t, w.Admit(t.Context(), p.account.Keys[0].ID, protocol.OpSign))
		later(w.Admit(t.Context(), p.account.Keys[1].ID, protocol.OpSign))
		require.NoError(t, w.Admit(t.Context(), protocol.KeyID{1}, protocol.OpConfirm))

		w.config.Quotas.PIN = quota.Rules{Source: one}
		w.Accounts, err = accounts.New(w.config)
		require.NoError(t, err)
		here, there := accounts.WithSource(t.Context(), "192.0.2.8"), accounts.WithSource(t.Context(), "192.0.2.9")
		require.NoError(t, w.Admit(here, protocol.KeyID{1}, protocol.OpConfirm))
		later(w.Admit(here, protocol.KeyID{1}, protocol.OpConfirm))
		require.NoError(t, w.Admit(there, protocol.KeyID{1}, protocol.OpConfirm))
	})
	_, err := accounts.New(accounts.Config{})
	require.ErrorIs(t, err, accounts.ErrConfig)
}

// TestSourceOf: all addresses of an IPv6 network are one source, those of IPv4 each one.
func TestSourceOf(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		w.config.Quotas.Code.Source = []quota.Rule{{N: 1, Per: time.Hour}}
		a, err := accounts.New(w.config)
		require.NoError(t, err)
		for _, c := range []struct {
			source string
			later  bool
		}{
			{"192.0.2.1", false}, {"192.0.2.2", false}, {"::ffff:192.0.2.1", true},
			{"2001:db8:0:1::1", false}, {"2001:db8:0:1:ffff::1", true}, {"2001:db8:0:2::1", false},
			{"fe80::1%eth0", false}, {"fe80::2%eth1", true}, {"a word", false}, {"a word", true},
		} {
			_, err := a.EndByCode(t.Context(), "7TRE-0A1B-9XYZ", c.source)
			var l *quota.Later
			require.Equal(t, c.later, errors.As(err, &l), c.source)
		}
	})
}

// TestDefaultQuotas: the rules are such that New takes.
func TestDefaultQuotas(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		w.config.Quotas = accounts.DefaultQuotas()
		a, err := accounts.New(w.config)
		require.NoError(t, err)
		require.NoError(t, a.Allow(t.Context(), mari.ID, "a", "192.0.2.9"))
	})
}

// TestRun: Run revokes the certificate of a key that is destroyed, as soon as it hears of
// it, and ends with its context.
func TestRun(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		p := w.openAccount(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		p.destroy(t, 0)
		for deadline := time.Now().Add(time.Minute); w.revoked(t, p.account)[0] < 0; time.Sleep(10 * time.Millisecond) {
			require.True(t, time.Now().Before(deadline), "nothing is revoked")
		}
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// TestNothingSecretIsPrinted: nothing that has a code, a token or the secret prints it.
func TestNothingSecretIsPrinted(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		r, err := w.Register(t.Context(), accounts.Registration{Person: mari, Level: identity.Qualified})
		require.NoError(t, err)
		p := w.openAccount(t)
		o := accounts.Opened{Account: p.account, RevocationCode: p.code}
		config := w.config
		config.Secret = []byte("hunter2hunter2hunter2hunter2hunt")
		a, err := accounts.New(config)
		require.NoError(t, err)
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
			for _, value := range []any{r, &r, o, &o, config, &config, *a, a, p.account} {
				text := fmt.Sprintf(format, value)
				for _, secret := range []string{r.Code, p.code, "hunter2", "68756e74657232", "104 117 110 116", p.token} {
					require.NotContains(t, text, secret)
				}
			}
		}
	})
}

// TestNothingSecretIsStored: whoever reads the database finds no code and no token.
func TestNothingSecretIsStored(t *testing.T) {
	file := strings.TrimPrefix(databasetest.SQLite(t), "sqlite:")
	w := newWorld(t, func() *database.DB { return databasetest.Open(t, "sqlite:"+file) })
	r, err := w.Register(t.Context(), accounts.Registration{Person: mari, Level: identity.Qualified})
	require.NoError(t, err)
	p, asks := w.openAccount(t), newPhone(w)
	_, _, err = w.Ask(t.Context(), asks.token, label, address)
	require.NoError(t, err)
	var all []byte
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(file + end)
		require.NoError(t, err)
		all = append(all, b...)
	}
	require.True(t, bytes.Contains(all, []byte(label)), "what is stored is found")
	for _, secret := range []string{r.Code, p.code, p.token, asks.token} {
		for _, text := range []string{secret, strings.ReplaceAll(secret, "-", "")} {
			require.False(t, bytes.Contains(all, []byte(text)))
		}
		raw, err := base64.RawURLEncoding.DecodeString(secret)
		if err == nil && len(raw) == 32 {
			require.False(t, bytes.Contains(all, raw))
		}
	}
	// Not even by a hash that anybody can compute from a code.
	for _, code := range []string{r.Code, p.code} {
		for _, text := range []string{code, strings.ReplaceAll(code, "-", "")} {
			sum := sha256.Sum256([]byte(text))
			require.False(t, bytes.Contains(all, sum[:]))
		}
	}
}

// TestNothing: calls with nothing are errors and no panics.
func TestNothing(t *testing.T) {
	onSQLite(t, func(t *testing.T, w *world) {
		for name, change := range map[string]func(*accounts.Config){
			"database": func(c *accounts.Config) { c.DB = nil },
			"keys":     func(c *accounts.Config) { c.Keys = nil },
			"nil keys": func(c *accounts.Config) { c.Keys = (*server.Server)(nil) },
			"issuer":   func(c *accounts.Config) { c.Issuer = nil },
			"secret":   func(c *accounts.Config) { c.Secret = bytes.Repeat([]byte{1}, 31) },
			"life":     func(c *accounts.Config) { c.CodeLife = -1 },
			"long":     func(c *accounts.Config) { c.CodeLife = 91 * 24 * time.Hour },
			"quotas":   func(c *accounts.Config) { c.Quotas.PIN.All = []quota.Rule{{}} },
		} {
			c := w.config
			change(&c)
			_, err := accounts.New(c)
			require.ErrorIs(t, err, accounts.ErrConfig, name)
		}
		_, err := accounts.NewEvents(nil, nil, nil)
		require.ErrorIs(t, err, accounts.ErrConfig)
		var nothing context.Context
		var none *accounts.Accounts
		var events *accounts.Events
		require.ErrorIs(t, events.Record(t.Context(), server.Event{}), accounts.ErrConfig)
		require.ErrorIs(t, new(accounts.Events).Record(t.Context(), server.Event{}), accounts.ErrConfig)
		require.ErrorIs(t, w.events.Record(nothing, server.Event{}), accounts.ErrRequest)
		none.OnEnd(nil)
		w.OnEnd(nil)
		for _, c := range []struct {
			a    *accounts.Accounts
			ctx  context.Context
			want error
		}{{none, t.Context(), accounts.ErrConfig}, {new(accounts.Accounts), t.Context(), accounts.ErrConfig}, {w.Accounts, nothing, accounts.ErrRequest}} {
			var d identity.Document
			var account accounts.Account
			for n, f := range []func() error{
				func() error { _, err := c.a.Register(c.ctx, accounts.Registration{}); return err },
				func() error { _, err := c.a.Begin(c.ctx, "", "", "", ""); return err },
				func() error { _, err := c.a.Continue(c.ctx, ""); return err },
				func() error { _, err := c.a.Finish(c.ctx, ""); return err },
				func() error { _, _, err := c.a.Ask(c.ctx, "", "", ""); return err },
				func() error { _, err := c.a.NewPhone(c.ctx, account, ""); return err },
				func() error { return c.a.Approve(c.ctx, account, "", nil) },
				func() error { _, err := c.a.ByPerson(c.ctx, identity.ID{}); return err },
				func() error { _, err := c.a.AllByPerson(c.ctx, identity.ID{}); return err },
				func() error { _, err := c.a.ByDocument(c.ctx, d); return err },
				func() error { _, err := c.a.ByToken(c.ctx, ""); return err },
				func() error { _, err := c.a.ByKey(c.ctx, protocol.KeyID{}); return err },
				func() error { _, err := c.a.Page(c.ctx, "", 1); return err },
				func() error { return c.a.End(c.ctx, d, accounts.ByOwner) },
				func() error { _, err := c.a.EndByCode(c.ctx, "", ""); return err },
				func() error { return c.a.Suspend(c.ctx, d) },
				func() error { return c.a.Resume(c.ctx, d) },
				func() error { return c.a.Sweep(c.ctx) },
				func() error { return c.a.Run(c.ctx) },
				func() error { return c.a.AddHistory(c.ctx, nil, d, accounts.Entry{}) },
				func() error { _, err := c.a.History(c.ctx, identity.ID{}, "", 1); return err },
				func() error { return c.a.Allow(c.ctx, identity.ID{}, "", "") },
				func() error { return c.a.Admit(c.ctx, protocol.KeyID{}, 0) },
				func() error { _, err := c.a.RelyingParty(c.ctx, ""); return err },
				func() error { _, err := c.a.RelyingParties(c.ctx); return err },
				func() error { return c.a.SetRelyingParty(c.ctx, accounts.RelyingParty{}) },
				func() error { return c.a.DeleteRelyingParty(c.ctx, "") },
			} {
				require.ErrorIs(t, f(), c.want, n)
			}
		}
		// With nothing but a context.
		_, err = w.Register(t.Context(), accounts.Registration{})
		require.Error(t, err)
		_, err = w.ByDocument(t.Context(), identity.Document{})
		require.ErrorIs(t, err, accounts.ErrNotFound)
		_, err = w.ByKey(t.Context(), protocol.KeyID{})
		require.ErrorIs(t, err, accounts.ErrNotFound)
		require.ErrorIs(t, w.AddHistory(t.Context(), nil, identity.Document{}, accounts.Entry{}), accounts.ErrRequest)
		require.Error(t, w.Approve(t.Context(), accounts.Account{}, accounts.Request(accounts.NewToken()), nil))
		require.False(t, strings.Contains(accounts.NewToken(), "="))
	})
}
