package transactions

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// TestQR: a QR code is taken while it is fresh, from the account that the relying party
// named, and once.
func TestQR(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada, bob := w.account("40504040001", identity.Qualified), w.account("50504040002", identity.Qualified)
		r := login3(rp.DeviceLink, rp.Target{})
		s := w.begin(r)
		p, err := w.Poll(t.Context(), ada, "", 0)
		require.NoError(t, err)
		require.Nil(t, p, "nobody is asked")
		w.clock.Add(30 * time.Second)
		for _, seconds := range []time.Duration{24, 33} {
			_, err = w.scan(ada, w.link(r, s, rp.FlowQR, seconds*time.Second))
			require.ErrorIs(t, err, devicelink.ErrOutdated)
		}
		link := w.link(r, s, rp.FlowQR, 29*time.Second)
		other := byte('A')
		if link[len(link)-2] == other {
			other = 'B'
		}
		_, err = w.scan(ada, link[:len(link)-2]+string(other)+link[len(link)-1:])
		require.ErrorIs(t, err, devicelink.ErrLink)
		_, err = w.scan(ada, "https://id.example/?x=1")
		require.ErrorIs(t, err, devicelink.ErrMalformed)
		_, err = w.scan(ada, strings.Replace(link, r.RelyingPartyName, "", 1)+"x")
		require.ErrorIs(t, err, devicelink.ErrMalformed)

		_, err = w.Claim(t.Context(), bob, ClaimRequest{Session: s.ID, UserChallenge: userChallenge, Interactions: all})
		require.ErrorIs(t, err, ErrNotFound, "a session that is known, without its link")
		c, err := w.scan(ada, link)
		require.NoError(t, err)
		require.Empty(t, c.Code, "there is none to compare")
		require.Equal(t, rp.FlowQR, c.Flow)
		require.Empty(t, c.Callback)
		require.Equal(t, w.clock.Now().Add(DefaultLife), c.Deadline)
		w.clock.Add(20 * time.Second)
		again, err := w.scan(ada, link)
		require.NoError(t, err)
		require.Equal(t, c, again, "the same phone, which did not hear the answer")
		_, err = w.scan(bob, w.link(r, s, rp.FlowQR, 50*time.Second))
		require.ErrorIs(t, err, ErrGone, "a link that another phone has opened")
		p, err = w.Poll(t.Context(), ada, "", 0)
		require.NoError(t, err)
		require.Equal(t, s.ID, p.Session)
		_, err = w.sign(ada, s.ID, c.ToSign, "right")
		require.NoError(t, err)
		o := w.status(s.ID).Outcome
		require.Equal(t, rp.OK, o.End)
		require.Equal(t, rp.FlowQR, o.Flow)

		r = signature3(rp.DeviceLink, of(ada))
		s = w.begin(r)
		_, err = w.scan(bob, w.link(r, s, rp.FlowQR, 0))
		require.ErrorIs(t, err, ErrWrongAccount)
		require.Zero(t, w.end(s.ID))
		_, err = w.scan(ada, w.link(r, s, rp.FlowQR, 0))
		require.NoError(t, err)

		s = w.begin(login3(rp.DeviceLink, rp.Target{}))
		w.clock.Add(DefaultLinkLife)
		require.Equal(t, rp.Timeout, w.end(s.ID), "a link that nobody opened")
	})
}

// same requires that two answers are equal, secrets and codes included.
func same(t *testing.T, a, b rp.Session) {
	all := func(s rp.Session) []string {
		token, secret, base := s.Link()
		return []string{s.ID, s.Code, token, secret, base}
	}
	require.Equal(t, all(a), all(b))
}

// TestQRAfterRepetition: a relying party that asks again counts the seconds from the
// answer that it got, the first or the last.
func TestQRAfterRepetition(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		r := signature3(rp.DeviceLink, of(ada))
		s := w.begin(r)
		w.clock.Add(12 * time.Second)
		same(t, s, w.begin(r))
		w.clock.Add(time.Second)
		_, err := w.scan(ada, w.link(r, s, rp.FlowQR, 7*time.Second))
		require.ErrorIs(t, err, devicelink.ErrOutdated)
		_, err = w.scan(ada, w.link(r, s, rp.FlowQR, time.Second))
		require.NoError(t, err)

		r = signature3(rp.DeviceLink, of(ada))
		s = w.begin(r)
		w.clock.Add(12 * time.Second)
		w.begin(r)
		_, err = w.scan(ada, w.link(r, s, rp.FlowQR, 12*time.Second))
		require.NoError(t, err)
	})
}

// TestSameDevice: a link that was opened on the same device leads back.
func TestSameDevice(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		for _, flow := range []rp.FlowType{rp.FlowWeb2App, rp.FlowApp2App} {
			r := login3(rp.DeviceLink, rp.Target{})
			r.CallbackURL = "https://bank.example/cb?value=x"
			s := w.begin(r)
			w.clock.Add(30 * time.Second) // such links have no age
			c, err := w.scan(ada, w.link(r, s, flow, 0))
			require.NoError(t, err)
			_, text, _ := s.Link()
			secret, err := devicelink.ParseSecret(text)
			require.NoError(t, err)
			require.Equal(t, r.CallbackURL, c.Callback)
			require.Equal(t, secret.Digest(), c.SecretDigest)
			require.Equal(t, r.CallbackURL, c.ToSign.Payload.CallbackURL)
			_, err = w.sign(ada, s.ID, c.ToSign, "right")
			require.NoError(t, err)
			require.Equal(t, flow, w.status(s.ID).Outcome.Flow)
		}
	})
}

// TestChoice: a choice of a certificate is answered at once if there is nothing to
// choose; else the phones ask.
func TestChoice(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		one := w.account("40504040001", identity.Qualified)
		for _, version := range []rp.Version{rp.V1, rp.V2, rp.V3} {
			s := w.begin(choice(version, rp.Notification, person(one)))
			require.Equal(t, &rp.Outcome{
				End: rp.OK, Document: one.Document, Certificate: one.Keys[1].Certificate, Flow: rp.FlowNotification,
			}, w.status(s.ID).Outcome)
		}
		two := w.account("40504040001", identity.Qualified)
		w.begin(choice(rp.V2, rp.Notification, of(two)))
		s := w.begin(choice(rp.V2, rp.Notification, person(one)))
		require.Zero(t, w.end(s.ID))
		c := w.claim(two, s.ID)
		require.Nil(t, c.ToSign)
		require.Empty(t, c.Interaction)
		nothing, err := w.Choose(t.Context(), two, s.ID, "")
		require.NoError(t, err)
		require.Nil(t, nothing)
		_, err = w.Choose(t.Context(), two, s.ID, "")
		require.NoError(t, err, "said again")
		require.Equal(t, two.Document, w.status(s.ID).Outcome.Document)
		require.Equal(t, two.Keys[1].Certificate, w.status(s.ID).Outcome.Certificate)

		outcome, err := w.Certificate(t.Context(), rp.Request{
			Version: rp.V3, Kind: rp.Certificate, Target: of(one), RelyingPartyUUID: bank, RelyingPartyName: "DEMO", Level: rp.LevelQualified,
		}, w.source)
		require.NoError(t, err)
		require.Equal(t, rp.Outcome{End: rp.OK, Document: one.Document, Certificate: one.Keys[1].Certificate}, outcome)
		delete(w.signer.status, one.Keys[1].ID)
		outcome, err = w.Certificate(t.Context(), rp.Request{
			Version: rp.V3, Kind: rp.Certificate, Target: of(one), RelyingPartyUUID: bank, RelyingPartyName: "DEMO", Level: rp.LevelQualified,
		}, w.source)
		require.NoError(t, err)
		require.Equal(t, rp.Outcome{End: rp.DocumentUnusable}, outcome)
	})
}

// TestLinked: after a choice by a device link the app waits for the signature, and for
// nothing else.
func TestLinked(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada, bob := w.account("40504040001", identity.Qualified), w.account("50504040002", identity.Qualified)
		choose := func() string {
			r := choice(rp.V3, rp.DeviceLink, rp.Target{})
			r.CallbackURL = "https://bank.example/cb"
			s := w.begin(r)
			c, err := w.scan(ada, w.link(r, s, rp.FlowWeb2App, 0))
			require.NoError(t, err)
			require.Equal(t, r.CallbackURL, c.Callback)
			_, err = w.Choose(t.Context(), ada, s.ID, "")
			require.NoError(t, err)
			o := w.status(s.ID).Outcome
			require.Equal(t, rp.OK, o.End)
			require.Equal(t, ada.Document, o.Document)
			return s.ID
		}
		linked := func(to string) rp.Request {
			r := signature3(rp.Linked, of(ada))
			r.LinkedSession = to
			return r
		}
		id := choose()
		// Something else comes to the app meanwhile.
		s := w.begin(login2(person(ada)))
		require.Equal(t, rp.ExpectedLinkedSession, w.end(s.ID))
		other := login3(rp.DeviceLink, rp.Target{})
		s = w.begin(other)
		_, err := w.scan(ada, w.link(other, s, rp.FlowQR, 0))
		var unusable *UnusableError
		require.ErrorAs(t, err, &unusable)
		require.Equal(t, rp.ExpectedLinkedSession, w.end(s.ID))

		for _, bad := range []func(*rp.Request){
			func(r *rp.Request) { r.LinkedSession = rp.NewSessionID() },
			func(r *rp.Request) { r.LinkedSession = s.ID },
			func(r *rp.Request) { r.RelyingPartyUUID = clinic },
			func(r *rp.Request) { r.Target = of(bob) },
		} {
			r := linked(id)
			bad(&r)
			p := w.problem(r)
			require.Equal(t, rp.Invalid, p.Kind)
			require.Equal(t, "/linkedSessionID", p.Pointer)
		}
		r := linked(id)
		s = w.begin(r)
		require.Empty(t, s.Code)
		require.Equal(t, "/linkedSessionID", w.problem(linked(id)).Pointer, "one signature follows a choice")
		c := w.claim(ada, s.ID)
		require.Equal(t, "https://bank.example/cb", c.Callback)
		require.NotEmpty(t, c.SecretDigest)
		_, err = w.sign(ada, s.ID, c.ToSign, "right")
		require.NoError(t, err)
		o := w.status(s.ID).Outcome
		require.Equal(t, rp.OK, o.End)
		require.Equal(t, rp.FlowNotification, o.Flow)
		w.begin(login2(person(ada)))

		// The app waits no more: it was told so, or the time is up.
		id = choose()
		require.NoError(t, w.Refuse(t.Context(), ada, id, NoScreen))
		s = w.begin(login2(person(ada)))
		require.Zero(t, w.end(s.ID))
		choose()
		w.clock.Add(DefaultLife)
		s = w.begin(login2(person(ada)))
		require.Zero(t, w.end(s.ID))
	})
}

// TestIdempotence: an equal request within 15 seconds is the same session, whatever
// became of it; a later one is another.
func TestIdempotence(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		r := signature3(rp.Notification, of(ada))
		s := w.begin(r)
		w.clock.Add(rp.IdempotencePeriod - time.Millisecond)
		same(t, s, w.begin(r))
		require.NoError(t, w.Refuse(t.Context(), ada, s.ID, NoScreen))
		same(t, s, w.begin(r))
		w.clock.Add(time.Millisecond)
		later := w.begin(r)
		require.NotEqual(t, s.ID, later.ID)
		same(t, later, w.begin(r))
		other := r
		other.Key[0]++
		require.NotEqual(t, later.ID, w.begin(other).ID)
		login := login3(rp.Notification, of(ada))
		require.NotEqual(t, w.begin(login).ID, w.begin(login).ID)

		// One that another node begins in between.
		r.Key[1]++
		var between rp.Session
		w.people.allow = func() { between = w.begin(r) }
		overtaken := w.begin(r)
		same(t, between, overtaken)

		// Two nodes at once.
		nodes := []*Engine{w.Engine, w.node()}
		r.Key[0]++
		ids := make(chan string, 8)
		for i := range cap(ids) {
			go func() {
				s, err := nodes[i%2].Begin(t.Context(), r, w.source)
				if err != nil {
					s.ID = err.Error()
				}
				ids <- s.ID
			}()
		}
		first := <-ids
		for range cap(ids) - 1 {
			require.Equal(t, first, <-ids)
		}
		require.Len(t, first, 36)
	})
}
