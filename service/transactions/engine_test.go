package transactions

import (
	"crypto"
	"crypto/rsa"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
)

// slots bounds how many tests use the one server of PostgreSQL at once.
var slots = make(chan struct{}, 4)

// run runs a test on both engines.
func run(t *testing.T, f func(t *testing.T, w *world)) {
	t.Parallel() // they wait for the disk
	slots <- struct{}{}
	t.Cleanup(func() { <-slots })
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) { f(t, newWorld(t, open)) })
}

// TestLogin: a login of version 2 on the only phone of a person.
func TestLogin(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		none, err := w.Poll(t.Context(), ada, "", 0)
		require.NoError(t, err)
		require.Nil(t, none, "no transaction found")

		r := login2(person(ada), rp.DisplayTextAndPIN)
		s := w.begin(r)
		require.Empty(t, s.Code, "a code that the relying party computes itself")
		require.Nil(t, w.status(s.ID).Outcome)
		p, err := w.Poll(t.Context(), ada, "", 0)
		require.NoError(t, err)
		require.Equal(t, &Pending{Session: s.ID, Kind: rp.Authentication, RelyingParty: "DEMO", Deadline: w.clock.Now().Add(DefaultLife)}, p)

		c := w.claim(ada, s.ID)
		require.Equal(t, rp.Interaction{Type: rp.DisplayTextAndPIN, Text: "Log in to Bank"}, c.Interaction)
		require.Equal(t, protocol.VerificationCode(r.Digest), c.Code)
		require.Equal(t, r.Digest, c.ToSign.Digest)
		require.False(t, c.Several)
		require.Empty(t, c.Codes)
		require.Equal(t, c, w.claim(ada, s.ID), "a phone that asks again gets the same")

		wrong, err := w.sign(ada, s.ID, c.ToSign, "wrong")
		require.NoError(t, err)
		require.Equal(t, &Signing{Response: []byte("wrong")}, wrong)
		right, err := w.sign(ada, s.ID, c.ToSign, "right")
		require.NoError(t, err)
		want := signatureOf(ada.Keys[0].ID, r.Digest)
		require.Equal(t, &Signing{Response: want, Done: true}, right)
		require.Equal(t, &rp.Outcome{
			End: rp.OK, Interaction: rp.DisplayTextAndPIN, Document: ada.Document, Certificate: ada.Keys[0].Certificate, Signature: want, Flow: rp.FlowNotification,
		}, w.status(s.ID).Outcome)
		again, err := w.sign(ada, s.ID, c.ToSign, "right")
		require.NoError(t, err)
		require.Equal(t, right, again)
		none, err = w.Poll(t.Context(), ada, "", 0)
		require.NoError(t, err)
		require.Nil(t, none)
	})
}

// problem returns why a request gets no session.
func (w *world) problem(r rp.Request) *rp.Problem {
	_, err := w.Begin(w.t.Context(), r, w.source)
	var p *rp.Problem
	require.ErrorAs(w.t, err, &p)
	return p
}

// TestLoginACSP: what is signed in a login of version 3 follows from what the phone
// shows, and is not known before it is claimed.
func TestLoginACSP(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		r := login3(rp.Notification, of(ada), rp.ConfirmationMessage, rp.DisplayTextAndPIN)
		s := w.begin(r)
		require.Empty(t, s.Code)
		challenge, err := base64.StdEncoding.DecodeString(r.Challenge)
		require.NoError(t, err)

		_, err = w.Claim(t.Context(), ada, ClaimRequest{Session: s.ID, Interactions: all})
		require.ErrorIs(t, err, ErrRequest, "no userChallenge")
		c, err := w.Claim(t.Context(), ada, ClaimRequest{Session: s.ID, UserChallenge: userChallenge, Interactions: []rp.InteractionType{rp.DisplayTextAndPIN}})
		require.NoError(t, err)
		require.Equal(t, protocol.VerificationCode(challenge), c.Code)
		p := c.ToSign.Payload
		require.Equal(t, acsp.Payload{
			Scheme: scheme, ServerRandom: p.ServerRandom, Challenge: r.Challenge, UserChallenge: userChallenge, RelyingPartyName: "DEMO",
			Interactions: r.InteractionsText, Interaction: rp.DisplayTextAndPIN, Flow: rp.FlowNotification,
		}, *p)
		digest, err := p.Digest(crypto.SHA3_512)
		require.NoError(t, err)
		require.Equal(t, digest, c.ToSign.Digest)
		require.Equal(t, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA3_512}, c.ToSign.Options())
		again := w.claim(ada, s.ID)
		require.Equal(t, c, again)

		_, err = w.sign(ada, s.ID, c.ToSign, "right")
		require.NoError(t, err)
		require.Equal(t, &rp.Outcome{
			End: rp.OK, Interaction: rp.DisplayTextAndPIN, Document: ada.Document, Certificate: ada.Keys[0].Certificate,
			Signature: signatureOf(ada.Keys[0].ID, digest), Flow: rp.FlowNotification, ServerRandom: p.ServerRandom, UserChallenge: userChallenge,
		}, w.status(s.ID).Outcome)
	})
}

// TestSalt: a signature with a salt that the relying party's check refuses is none.
func TestSalt(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		s := w.begin(signature3(rp.Notification, of(ada)))
		require.Len(t, s.Code, 4)
		c := w.claim(ada, s.ID)
		require.Equal(t, s.Code, c.Code)
		text, err := json.Marshal(phoneRequest{Challenge: c.ToSign.Challenge, PIN: "right", Salt: 20})
		require.NoError(t, err)
		done, err := w.Sign(t.Context(), ada, s.ID, text)
		require.NoError(t, err)
		require.Equal(t, rp.ProtocolFailure, done.End)
		require.Equal(t, rp.ProtocolFailure, w.end(s.ID))
	})
}

// TestThreeCodes: what the code follows from is given out after the right pick, and
// another one ends the session.
func TestThreeCodes(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		for _, r := range []rp.Request{
			login2(of(ada), rp.VerificationCodeChoice), login3(rp.Notification, of(ada), rp.ConfirmationMessageAndVerificationCodeChoice),
			signature3(rp.Notification, of(ada), rp.ConfirmationMessageAndVerificationCodeChoice),
		} {
			right := func(s rp.Session) string {
				switch {
				case r.Version == rp.V2:
					return protocol.VerificationCode(r.Digest)
				case r.Kind == rp.Signature:
					return s.Code
				}
				b, err := base64.StdEncoding.DecodeString(r.Challenge)
				require.NoError(t, err)
				return protocol.VerificationCode(b)
			}
			s := w.begin(r)
			c := w.claim(ada, s.ID)
			require.Nil(t, c.ToSign)
			require.Empty(t, c.Code)
			require.Len(t, c.Codes, 3)
			require.Contains(t, c.Codes, right(s))
			text, err := json.Marshal(c)
			require.NoError(t, err)
			if r.Digest != nil {
				require.NotContains(t, string(text), base64.StdEncoding.EncodeToString(r.Digest))
			}
			_, err = w.Sign(t.Context(), ada, s.ID, request(&ToSign{Challenge: []byte("x"), Algorithm: r.Algorithm}, "right"))
			require.ErrorIs(t, err, ErrOrder, "before the pick")
			toSign, err := w.Choose(t.Context(), ada, s.ID, right(s))
			require.NoError(t, err)
			again, err := w.Choose(t.Context(), ada, s.ID, right(s))
			require.NoError(t, err)
			require.Equal(t, toSign, again)
			require.Equal(t, c.Codes, w.claim(ada, s.ID).Codes)
			_, err = w.sign(ada, s.ID, toSign, "right")
			require.NoError(t, err)
			require.Equal(t, rp.OK, w.end(s.ID))
			require.Equal(t, r.Interactions[0].Type, w.status(s.ID).Outcome.Interaction)

			r.Key[0]++
			s = w.begin(r)
			c = w.claim(ada, s.ID)
			wrong := c.Codes[0]
			if wrong == right(s) {
				wrong = c.Codes[1]
			}
			_, err = w.Choose(t.Context(), ada, s.ID, wrong)
			require.ErrorIs(t, err, ErrWrongCode)
			require.Equal(t, rp.WrongVC, w.end(s.ID))
			_, err = w.Choose(t.Context(), ada, s.ID, right(s))
			require.ErrorIs(t, err, ErrGone)
		}
	})
}

// TestSeveralPhones: whoever signs first answers, and the others are told that it is
// gone.
func TestSeveralPhones(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		one, two := w.account("40504040001", identity.Qualified), w.account("40504040001", identity.Qualified)
		basic := w.account("40504040001", identity.Advanced)
		s := w.begin(login2(person(one)))
		c1, c2 := w.claim(one, s.ID), w.claim(two, s.ID)
		require.True(t, c1.Several)
		require.NotEqual(t, c1.ToSign.Challenge, c2.ToSign.Challenge)
		_, err := w.Claim(t.Context(), basic, ClaimRequest{Session: s.ID, Interactions: all})
		require.ErrorIs(t, err, ErrNotFound, "an account of a lower level was not asked")
		done, err := w.sign(two, s.ID, c2.ToSign, "right")
		require.NoError(t, err)
		require.True(t, done.Done)
		made := w.signer.made
		_, err = w.sign(one, s.ID, c1.ToSign, "right")
		require.ErrorIs(t, err, ErrGone)
		require.Equal(t, made, w.signer.made, "no PIN is tried for a session that is gone")
		require.Equal(t, two.Document, w.status(s.ID).Outcome.Document)

		// One that comes at the same time all the same.
		s = w.begin(login2(person(one)))
		c1, c2 = w.claim(one, s.ID), w.claim(two, s.ID)
		_, err = w.sign(one, s.ID, c1.ToSign, "right")
		require.NoError(t, err)
		_, err = w.signer.Handle(t.Context(), request(c2.ToSign, "right"))
		require.NoError(t, err)
		require.Equal(t, one.Document, w.status(s.ID).Outcome.Document)

		// A key that is locked leaves the other phone.
		s = w.begin(login2(person(one)))
		c1, c2 = w.claim(one, s.ID), w.claim(two, s.ID)
		locked, err := w.sign(one, s.ID, c1.ToSign, "lock")
		require.NoError(t, err)
		require.Equal(t, &Signing{Response: []byte("lock")}, locked)
		_, err = w.sign(one, s.ID, c1.ToSign, "right")
		var unusable *UnusableError
		require.ErrorAs(t, err, &unusable)
		require.Zero(t, w.end(s.ID))
		_, err = w.sign(two, s.ID, c2.ToSign, "destroy")
		require.NoError(t, err)
		require.Equal(t, rp.DocumentUnusable, w.end(s.ID))

		// Cancel where it is asked which account, on any phone.
		three, four := w.account("40504040002", identity.Qualified), w.account("40504040002", identity.Qualified)
		s = w.begin(signature2(person(three)))
		w.claim(four, s.ID)
		require.NoError(t, w.Refuse(t.Context(), four, s.ID, AccountScreen))
		require.Equal(t, rp.UserRefusedCertChoice, w.end(s.ID))
	})
}

// TestUnusable: keys that sign no more are found out when a session is opened, and an app
// that can do nothing of what is asked says so.
func TestUnusable(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		claim := func(a accounts.Account, id string, can ...rp.InteractionType) rp.End {
			_, err := w.Claim(t.Context(), a, ClaimRequest{Session: id, Interactions: can})
			var unusable *UnusableError
			require.ErrorAs(t, err, &unusable)
			return unusable.End
		}
		ada := w.account("40504040001", identity.Qualified)
		s := w.begin(login2(of(ada), rp.VerificationCodeChoice))
		require.Equal(t, rp.InteractionNotSupported, claim(ada, s.ID, rp.DisplayTextAndPIN))
		require.Equal(t, rp.InteractionNotSupported, w.end(s.ID))

		w.signer.status[ada.Keys[0].ID] = server.KeyStatus{Condition: server.Active, Attempts: limiter.Status{LockedUntil: w.clock.Now().Add(time.Hour)}}
		s = w.begin(login2(of(ada)))
		require.Equal(t, rp.DocumentUnusable, claim(ada, s.ID, all...))
		require.Equal(t, rp.DocumentUnusable, w.end(s.ID))
		s = w.begin(signature2(of(ada)))
		w.claim(ada, s.ID) // the other key is not locked

		bob := w.account("40504040003", identity.Qualified)
		w.signer.status[bob.Keys[1].ID] = server.KeyStatus{Condition: server.Destroyed}
		s = w.begin(signature2(of(bob)))
		require.Equal(t, rp.DocumentUnusable, claim(bob, s.ID, all...))
		s = w.begin(choice(rp.V2, rp.Notification, of(bob)))
		require.Equal(t, rp.DocumentUnusable, w.end(s.ID))
		delete(w.signer.status, bob.Keys[1].ID)
		s = w.begin(signature2(of(bob)))
		require.Equal(t, rp.DocumentUnusable, claim(bob, s.ID, all...))

		// An account that ends meanwhile.
		eve := w.account("40504040004", identity.Qualified)
		s = w.begin(login2(of(eve)))
		w.claim(eve, s.ID)
		require.NoError(t, w.db.Tx(t.Context(), func(tx *sql.Tx) error { return w.CloseAccount(t.Context(), tx, eve.Document) }))
		require.Equal(t, rp.DocumentUnusable, w.end(s.ID))
		w.edit(eve, func(a *accounts.Account) { a.State = accounts.Suspended })
		eve.State = accounts.Suspended
		require.Equal(t, rp.PersonShouldViewApp, w.problem(login2(of(eve))).Kind)
	})
}

// TestAccounts: which accounts a request finds.
func TestAccounts(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		none, err := identity.ParseDocument("PNOEE-60504040001-AAAA-Q")
		require.NoError(t, err)
		require.Equal(t, rp.NotFound, w.problem(login2(rp.Target{Document: &none})).Kind)
		require.Equal(t, rp.NotFound, w.problem(login2(rp.Target{Person: &none.ID})).Kind)
		basic := w.account("40504040001", identity.Advanced)
		for _, target := range []rp.Target{of(basic), person(basic)} {
			require.Equal(t, rp.NoSuitableAccount, w.problem(login2(target)).Kind)
			r := signature2(target)
			r.Level = rp.LevelAdvanced
			w.begin(r)
			r = signature2(target)
			r.Level = rp.LevelQSCD
			require.Equal(t, rp.NoSuitableAccount, w.problem(r).Kind)
		}
		r := choice(rp.V3, rp.DeviceLink, rp.Target{})
		r.Level = rp.LevelQSCD
		require.Equal(t, rp.NoSuitableAccount, w.problem(r).Kind)
		ada := w.account("40504040002", identity.Qualified)
		r = signature2(of(ada))
		r.Level = rp.LevelQSCD
		require.Equal(t, rp.NoSuitableAccount, w.problem(r).Kind, "no key is in a qualified device")
		w.qualifiedDevice = true
		w.begin(r)
		w.clock.Add(4 * 365 * 24 * time.Hour)
		require.Equal(t, rp.NotFound, w.problem(login2(of(ada))).Kind, "an account that has expired")
	})
}
