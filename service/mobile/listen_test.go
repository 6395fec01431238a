package mobile_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/internal/phonetest"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/mobile"
	"github.com/tandem-rsa/tandem/service/push"
	"github.com/tandem-rsa/tandem/service/rp"
)

// ears are a Listener.
type ears struct {
	heard chan struct{}
	err   error
}

func (e *ears) Look() error {
	e.heard <- struct{}{}
	return e.err
}

// listens has a phone listen; the stream is open when it returns.
func listens(a *app, e *ears) <-chan *mobile.Outcome {
	ended := make(chan *mobile.Outcome, 1)
	go func() {
		o, _ := a.Listen(e)
		ended <- o
	}()
	<-e.heard
	return ended
}

// TestListenAndLook: a phone that listens hears of a transaction by itself, beside
// whatever else it does, until it is told to stop, or listens again.
func TestListenAndLook(t *testing.T) {
	w := newWorld(t)
	a := newApp(t, w)
	o, err := a.Listen(&ears{})
	require.NoError(t, err)
	require.Equal(t, mobile.CodeFresh, o.Code)
	a = enrolled(t, w)
	e := &ears{heard: make(chan struct{}, 10)}
	first := listens(a, e)
	s := w.Begin(phonetest.Login(rp.Notification, rp.DisplayTextAndPIN))
	<-e.heard
	o, err = a.Poll(0, "")
	require.NoError(t, err)
	require.Equal(t, s.ID, o.Found().Session)
	o, err = a.Open(s.ID)
	require.NoError(t, err)
	require.Equal(t, mobile.CodeOK, o.Code)

	second := listens(a, &ears{heard: make(chan struct{}, 10)})
	require.Equal(t, mobile.CodeCancelled, (<-first).Code)
	a.Hush()
	require.Equal(t, mobile.CodeCancelled, (<-second).Code)
	a.Hush()

	// The listener's own failure is the app's.
	mine := errors.New("mine")
	_, err = a.Listen(&ears{make(chan struct{}, 10), mine})
	require.Equal(t, mine, err)

	third := listens(a, &ears{heard: make(chan struct{}, 10)})
	w.Handler.Close()
	require.Equal(t, mobile.CodeOK, (<-third).Code)
	o, err = a.Listen(&ears{})
	require.NoError(t, err)
	require.Equal(t, mobile.CodeLater, o.Code)
}

// pushed is a push.Sender.
type pushed chan string

func (p pushed) Send(_ context.Context, address string) error {
	p <- address
	return nil
}

// TestSubscribe: a phone that does not listen is woken where it said, and one that
// listens is not.
func TestSubscribe(t *testing.T) {
	sent := make(pushed, 10)
	w := phonetest.NewWith(t, servicetest.Config{DB: databasetest.Open(t, databasetest.SQLite(t)), Senders: map[string]push.Sender{"apns": sent}}, nil)
	go func() { _ = w.Push.Run(t.Context()) }()
	a := newApp(t, w)
	o, err := a.Subscribe("apns", "token")
	require.NoError(t, err)
	require.Equal(t, mobile.CodeFresh, o.Code)
	a = enrolled(t, w)
	subscribe := func(outcome, kind, address string) {
		o, err := a.Subscribe(kind, address)
		require.NoError(t, err)
		require.Equal(t, outcome, o.Code)
	}
	begins := func() { w.Begin(phonetest.Login(rp.Notification, rp.DisplayTextAndPIN)) }
	subscribe(mobile.CodeInvalid, "fcm", "token")
	subscribe(mobile.CodeOK, "apns", "token")
	begins()
	require.Equal(t, "token", <-sent)
	e := &ears{heard: make(chan struct{}, 10)}
	ended := listens(a, e)
	<-e.heard // what waits
	begins()
	a.Hush()
	<-ended
	people, err := w.Accounts.ByPerson(t.Context(), servicetest.Mari.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !w.Handler.Listens(people[0].Document) }, time.Minute, 5*time.Millisecond)
	subscribe(mobile.CodeOK, "apns", "another")
	begins()
	require.Equal(t, "another", <-sent, "while it listened it was not woken")
	subscribe(mobile.CodeOK, "", "")
	begins()
	subscribe(mobile.CodeOK, "apns", "last")
	begins()
	require.Equal(t, "last", <-sent)
}
