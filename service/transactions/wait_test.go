package transactions

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
)

// TestTimeout: a session that nobody answers ends at its time, and can be read for five
// minutes more.
func TestTimeout(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		s := w.begin(login2(of(ada)))
		c := w.claim(ada, s.ID)
		w.clock.Add(DefaultLife - time.Millisecond)
		require.Zero(t, w.end(s.ID))
		w.clock.Add(time.Millisecond)
		made := w.signer.made
		_, err := w.sign(ada, s.ID, c.ToSign, "right")
		require.ErrorIs(t, err, ErrGone)
		require.Equal(t, made, w.signer.made)
		_, err = w.signer.Handle(t.Context(), request(c.ToSign, "right"))
		require.NoError(t, err, "a signature that came too late is nobody's")
		require.Equal(t, &rp.Outcome{End: rp.Timeout}, w.status(s.ID).Outcome)
		w.clock.Add(Retention - time.Millisecond)
		require.Equal(t, rp.Timeout, w.end(s.ID))
		w.clock.Add(time.Millisecond)
		_, err = w.Status(t.Context(), s.ID, 0, w.source)
		var p *rp.Problem
		require.ErrorAs(t, err, &p)
		require.Equal(t, rp.NotFound, p.Kind)
		_, err = w.Claim(t.Context(), ada, ClaimRequest{Session: s.ID, Interactions: all})
		require.ErrorIs(t, err, ErrNotFound)
	})
}

// TestSweep: what nobody asks for ends and is forgotten all the same.
func TestSweep(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		s := w.begin(login2(of(ada)))
		w.claim(ada, s.ID)
		running := w.begin(login2(of(ada)))
		refused := w.begin(login2(of(ada)))
		require.NoError(t, w.Refuse(t.Context(), ada, refused.ID, NoScreen))
		rows := func() map[string]int {
			n := map[string]int{}
			for _, table := range []string{"sessions", "session_accounts"} {
				tx, err := w.db.Exec(t.Context(), "UPDATE "+table+" SET session = session")
				if table == "sessions" {
					tx, err = w.db.Exec(t.Context(), "UPDATE sessions SET state = state")
				}
				require.NoError(t, err)
				n[table] = int(tx)
			}
			return n
		}
		// What has ended is no account's any more, and is kept.
		require.Equal(t, map[string]int{"sessions": 3, "session_accounts": 2}, rows())
		w.clock.Add(DefaultLife)
		require.NoError(t, w.Sweep(t.Context()))
		require.Equal(t, map[string]int{"sessions": 3, "session_accounts": 0}, rows())
		w.clock.Add(Retention - time.Millisecond)
		require.NoError(t, w.Sweep(t.Context()))
		require.Equal(t, 2, rows()["sessions"])
		w.clock.Add(time.Millisecond)
		require.NoError(t, w.Sweep(t.Context()))
		require.Equal(t, map[string]int{"sessions": 0, "session_accounts": 0}, rows())
		_, err := w.Status(t.Context(), running.ID, 0, w.source)
		require.Error(t, err)

		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

const patience = time.Minute // only what hangs lasts as long

// TestWait: who waits for a session or a phone's work learns of it, on whatever node it
// happens.
func TestWait(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		other := w.Engine // SQLite's nodes are one process
		if strings.HasSuffix(t.Name(), "PostgreSQL") {
			other = w.node()
		}
		type polled struct {
			*Pending
			error
		}
		polls := make(chan polled, 1)
		poll := func(known string) {
			go func() {
				p, err := other.Poll(t.Context(), ada, known, patience)
				polls <- polled{p, err}
			}()
		}
		poll("")
		s := w.begin(login2(of(ada)))
		p := <-polls
		require.NoError(t, p.error)
		require.Equal(t, s.ID, p.Session)

		poll(s.ID)
		ends := make(chan rp.Status, 1)
		go func() {
			st, err := other.Status(t.Context(), s.ID, patience, w.source)
			if err == nil {
				ends <- st
			}
		}()
		c := w.claim(ada, s.ID)
		_, err := w.sign(ada, s.ID, c.ToSign, "right")
		require.NoError(t, err)
		require.Equal(t, rp.OK, (<-ends).Outcome.End)
		p = <-polls
		require.NoError(t, p.error)
		require.Nil(t, p.Pending, "what the phone shows has gone")

		// A wait that ends before anything happens.
		s = w.begin(login2(of(ada)))
		st, err := w.Status(t.Context(), s.ID, time.Millisecond, w.source)
		require.NoError(t, err)
		require.Nil(t, st.Outcome)
		known, err := w.Poll(t.Context(), ada, s.ID, time.Millisecond)
		require.NoError(t, err)
		require.Equal(t, s.ID, known.Session)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = w.Status(ctx, s.ID, patience, w.source)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// TestWaitForDeadline: a wait ends with the time of the session.
func TestWaitForDeadline(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ada := w.account("40504040001", identity.Qualified)
		w.Engine.clock, w.Engine.life = time.Now, 1500*time.Millisecond
		s := w.begin(login2(of(ada)))
		st, err := w.Status(t.Context(), s.ID, patience, w.source)
		require.NoError(t, err)
		require.Equal(t, rp.Timeout, st.Outcome.End)
		p, err := w.Poll(t.Context(), ada, s.ID, patience)
		require.NoError(t, err)
		require.Nil(t, p)
	})
}

// TestSignedFails: a signature that the database does not take is not answered as if it
// did.
func TestSignedFails(t *testing.T) {
	w := newWorld(t, func() *database.DB { return databasetest.Open(t, databasetest.SQLite(t)) })
	ada := w.account("40504040001", identity.Qualified)
	s := w.begin(login2(of(ada)))
	c := w.claim(ada, s.ID)
	signed := w.signer.issued[string(c.ToSign.Challenge)]
	signed.Signatures = [][]byte{{1}}
	require.NoError(t, w.db.Close())
	require.Error(t, w.Signed(t.Context(), signed))
}

// TestWake: each account that a session begins for is told of, once, and nobody else.
func TestWake(t *testing.T) {
	address := databasetest.SQLite(t)
	w := newWorld(t, func() *database.DB { return databasetest.Open(t, address) })
	var woken []string
	w.wake = func(d identity.Document) { woken = append(woken, d.String()) }
	const number = "40504040001"
	first, second := w.account(number, identity.Qualified), w.account(number, identity.Qualified)
	w.account("50001029996", identity.Qualified)
	person := rp.Target{Person: &first.Document.ID}
	r := login2(person)
	for range 2 { // the same request has the same session
		_, err := w.Begin(t.Context(), r, w.source)
		require.NoError(t, err)
	}
	require.ElementsMatch(t, []string{first.Document.String(), second.Document.String()}, woken)
	woken = nil
	for _, nobody := range []rp.Request{login3(rp.DeviceLink, rp.Target{}), login2(rp.Target{Person: &identity.ID{Type: "PNO", Country: "EE", Number: "30303039914"}})} {
		_, _ = w.Begin(t.Context(), nobody, w.source)
	}
	require.Empty(t, woken)
	w.edit(first, func(a *accounts.Account) { a.State = accounts.Suspended })
	_, err := w.Begin(t.Context(), login2(person), w.source)
	require.NoError(t, err)
	require.Equal(t, []string{second.Document.String()}, woken)

	// A choice among one is no question.
	woken = nil
	choice := login2(person)
	choice.Kind, choice.Interactions, choice.Digest = rp.CertificateChoice, nil, nil
	session, err := w.Begin(t.Context(), choice, w.source)
	require.NoError(t, err)
	status, err := w.Status(t.Context(), session.ID, 0, w.source)
	require.NoError(t, err)
	require.Equal(t, rp.OK, status.Outcome.End)
	require.Empty(t, woken)
}
