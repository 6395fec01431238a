package transactions

import (
	"crypto/sha256"
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/quota"
	"github.com/tandem-rsa/tandem/service/rp"
)

// TestRelyingParty: who asks is known by all that was agreed on, and may ask for what
// was.
func TestRelyingParty(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		w.people.parties[bank] = accounts.RelyingParty{
			UUID: bank, Names: []string{"DEMO"}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Capabilities: []string{"a"},
		}
		good := signature2(of(ada))
		good.RelyingPartyName = "Demo"
		s := w.begin(good)
		for _, c := range []struct {
			kind    rp.ProblemKind
			pointer string
			change  func(*rp.Request, *rp.Source)
		}{
			{rp.Unauthorized, "", func(r *rp.Request, _ *rp.Source) { r.RelyingPartyUUID = rp.NewSessionID() }},
			{rp.Unauthorized, "", func(_ *rp.Request, s *rp.Source) { s.Address = netip.MustParseAddr("198.51.100.1") }},
			{rp.Unauthorized, "", func(_ *rp.Request, s *rp.Source) { s.Address = netip.Addr{} }},
			{rp.Forbidden, "/relyingPartyName", func(r *rp.Request, _ *rp.Source) { r.RelyingPartyName = "Bank" }},
			{rp.Forbidden, "/certificateLevel", func(r *rp.Request, _ *rp.Source) { r.Level = rp.LevelAdvanced }},
			{rp.Forbidden, "/requestProperties/shareMdClientIpAddress", func(r *rp.Request, _ *rp.Source) { r.ShareIP = true }},
			{rp.Forbidden, "/capabilities", func(r *rp.Request, _ *rp.Source) { r.Capabilities = []string{"a", "b"} }},
		} {
			r, source := good, w.source
			c.change(&r, &source)
			_, err := w.Begin(t.Context(), r, source)
			var p *rp.Problem
			require.ErrorAs(t, err, &p)
			require.Equal(t, c.kind, p.Kind)
			require.Equal(t, c.pointer, p.Pointer)
			r.Kind, r.Flow = rp.Certificate, 0
			_, err = w.Certificate(t.Context(), r, source)
			require.ErrorAs(t, err, &p)
			require.Equal(t, c.kind, p.Kind)
			if c.kind == rp.Unauthorized && source != w.source {
				_, err = w.Status(t.Context(), s.ID, 0, source)
				require.ErrorAs(t, err, &p)
				require.Equal(t, c.kind, p.Kind)
			}
		}
		// Another relying party does not get this one's answer.
		other := w.people.parties[bank]
		other.UUID, other.TokenHash = clinic, sha256.Sum256([]byte("token"))
		w.people.parties[clinic] = other
		r := signature2(of(ada))
		r.RelyingPartyUUID = clinic
		require.Equal(t, rp.Unauthorized, w.problem(r).Kind)
		w.source.TokenHash = sha256.Sum256([]byte("token"))
		s = w.begin(r)
		w.source.TokenHash = [32]byte{}
		_, err := w.Status(t.Context(), s.ID, 0, w.source)
		require.Error(t, err)
	})
}

// TestQuotas: a request counts once, for the person, the relying party and the source;
// one that is too early gets no session, and what is repeated does not count.
func TestQuotas(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		r := signature2(of(ada))
		s := w.begin(r)
		require.Equal(t, [][]string{{"PNOEE-40504040001", bank, "192.0.2.1"}}, w.people.taken)
		w.people.later = &quota.Later{}
		require.Equal(t, rp.TooManyRequests, w.problem(signature2(person(ada))).Kind)
		same(t, s, w.begin(r))
		w.people.later = nil
		same(t, s, w.begin(r))
		require.Len(t, w.people.taken, 1)
		w.people.later = errors.New("broken")
		_, err := w.Begin(t.Context(), signature2(of(ada)), w.source)
		require.EqualError(t, err, "broken")
	})
}

// TestNobody: a request for a person whom nobody knows takes the same steps and the same
// place in the quotas as one for a person whose account has ended, and hears the same.
// Who asks too often hears that before anybody is looked for.
func TestNobody(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ended, expired := w.account("40404040009", identity.Qualified), w.account("50001029996", identity.Qualified)
		w.edit(ended, func(a *accounts.Account) { a.State = accounts.Deleted })
		w.edit(expired, func(a *accounts.Account) { a.Expires = w.clock.Now() })
		nobody := accounts.Account{Document: identity.Document{ID: identity.ID{Type: "PNO", Country: "EE", Number: "40504040001"}, Label: "AAAA", Level: identity.Qualified}}
		certificate := func(a accounts.Account) rp.Request {
			return rp.Request{
				Version: rp.V3, Kind: rp.Certificate, Target: of(a), RelyingPartyUUID: bank, RelyingPartyName: "DEMO", Level: rp.LevelQualified,
			}
		}
		for name, c := range map[string]struct {
			request func(accounts.Account) rp.Request
			calls   []string
		}{
			"login2":             {func(a accounts.Account) rp.Request { return login2(person(a)) }, []string{"allow", "person"}},
			"signature2":         {func(a accounts.Account) rp.Request { return signature2(of(a)) }, []string{"allow", "document"}},
			"choice2":            {func(a accounts.Account) rp.Request { return choice(rp.V2, rp.Notification, person(a)) }, []string{"allow", "person"}},
			"login3":             {func(a accounts.Account) rp.Request { return login3(rp.Notification, person(a)) }, []string{"allow", "person"}},
			"login3 by a link":   {func(a accounts.Account) rp.Request { return login3(rp.DeviceLink, of(a)) }, []string{"allow", "document"}},
			"signature3":         {func(a accounts.Account) rp.Request { return signature3(rp.Notification, of(a)) }, []string{"allow", "document"}},
			"signature3, linked": {func(a accounts.Account) rp.Request { return signature3(rp.Linked, of(a)) }, []string{"allow", "document"}},
			"certificate":        {certificate, []string{"allow", "document"}},
		} {
			ask := func(a accounts.Account) *rp.Problem {
				r := c.request(a)
				var err error
				if w.people.calls = nil; r.Kind == rp.Certificate {
					_, err = w.Certificate(t.Context(), r, w.source)
				} else {
					_, err = w.Begin(t.Context(), r, w.source)
				}
				var p *rp.Problem
				require.ErrorAs(t, err, &p, name)
				return p
			}
			w.people.later = nil
			for _, a := range []accounts.Account{nobody, ended, expired} {
				require.Equal(t, &rp.Problem{Kind: rp.NotFound, Detail: "no such account"}, ask(a), name)
				require.Equal(t, c.calls, w.people.calls, name)
			}
			source := w.source
			w.source.Address = netip.MustParseAddr("198.51.100.1")
			require.Equal(t, rp.Unauthorized, ask(nobody).Kind, name)
			require.Empty(t, w.people.calls, name)
			w.source = source
			w.people.later = &quota.Later{}
			for _, a := range []accounts.Account{nobody, ended} {
				require.Equal(t, rp.TooManyRequests, ask(a).Kind, name)
				require.Equal(t, []string{"allow"}, w.people.calls, name)
			}
		}
	})
}

// TestHistory: what the owner of an account can read of a session.
func TestHistory(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		one, two, three := w.account("40504040001", identity.Qualified), w.account("40504040001", identity.Qualified), w.account("40504040001", identity.Qualified)
		r := login2(person(one))
		r.ShareIP = true
		s := w.begin(r)
		claim := func(a accounts.Account, from string) *Claimed {
			c, err := w.Claim(t.Context(), a, ClaimRequest{Session: s.ID, Interactions: all, Address: netip.MustParseAddr(from)})
			require.NoError(t, err)
			return c
		}
		c := claim(one, "198.51.100.1")
		claim(two, "::ffff:198.51.100.2")
		require.Empty(t, w.status(s.ID).DeviceIP)
		_, err := w.sign(one, s.ID, c.ToSign, "right")
		require.NoError(t, err)
		require.Equal(t, "198.51.100.1", w.status(s.ID).DeviceIP)
		entry := accounts.Entry{
			At: w.clock.Now(), Kind: "authentication", RelyingParty: "DEMO", Text: "Log in to Bank", Result: "OK", Flow: "Notification",
			Device: "Ada's phone", Address: "198.51.100.1",
		}
		require.Equal(t, []accounts.Entry{entry}, w.people.history[one.Document.String()])
		entry.Result, entry.Address = "OK, on another device", "198.51.100.2"
		require.Equal(t, []accounts.Entry{entry}, w.people.history[two.Document.String()])
		require.Equal(t, []accounts.Entry{{At: w.clock.Now(), Kind: "authentication", RelyingParty: "DEMO", Result: "OK, not opened"}}, w.people.history[three.Document.String()])

		s = w.begin(login2(of(one)))
		_, err = w.sign(one, s.ID, claim(one, "198.51.100.1").ToSign, "right")
		require.NoError(t, err)
		require.Empty(t, w.status(s.ID).DeviceIP, "nobody has asked for it")
		s = w.begin(choice(rp.V2, rp.Notification, of(one)))
		require.Len(t, w.people.history[one.Document.String()], 3)
		require.Empty(t, w.status(s.ID).DeviceIP)
	})
}
