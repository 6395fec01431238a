package mobile_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/internal/phoneops"
	"github.com/tandem-rsa/tandem/service/internal/phonetest"
	"github.com/tandem-rsa/tandem/service/mobile"
	"github.com/tandem-rsa/tandem/service/rp"
)

// TestScenarios: what every phone must do.
func TestScenarios(t *testing.T) {
	for _, s := range phonetest.Scenarios {
		t.Run(s.Name, func(t *testing.T) {
			w := newWorld(t)
			s.Run(&phonetest.Player{T: t, World: w, Fresh: func() phonetest.Phone { return newApp(t, w) }})
		})
	}
}

// opens has a session wait, and opens it.
func opens(t *testing.T, w *phonetest.World, a *app) string {
	s := w.Begin(phonetest.Login(rp.Notification, rp.DisplayTextAndPIN))
	o, err := a.Open(s.ID)
	require.NoError(t, err)
	require.Equal(t, mobile.CodeOK, o.Code)
	return s.ID
}

func code(o *mobile.Outcome, err error) string {
	if err != nil {
		return err.Error()
	}
	return o.Code
}

// interceptor sees and holds what the phone asks.
type interceptor struct {
	mu     sync.Mutex
	tokens []string
	hold   string // the end of a path, whose requests wait until they are cancelled
	held   chan struct{}
}

func (i *interceptor) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token != "" && !slices.Contains(i.tokens, token) {
		i.tokens = append(i.tokens, token)
	}
	hold := i.hold != "" && strings.HasSuffix(r.URL.Path, i.hold)
	i.mu.Unlock()
	if hold {
		if r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		i.held <- struct{}{}
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (i *interceptor) holds(path string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hold = path
}

func newInterceptor() *interceptor { return &interceptor{held: make(chan struct{})} }

// TestSealed: what is stored is readable with the storage key only: neither the token nor
// what a transaction holds is in it, and no value is taken for another one.
func TestSealed(t *testing.T) {
	w := newWorld(t)
	if !sealing(t, w) {
		return
	}
	a := newApp(t, w)
	net := newInterceptor()
	a.storage.http = net
	a.Restart()
	require.Equal(t, mobile.CodeOK, code(a.Enrol(w.Register(), "Mari's phone", []byte(pin1), []byte(pin2))))
	session := opens(t, w, a)
	require.Len(t, net.tokens, 1)
	require.Len(t, a.storage.values, 4)
	for name, value := range a.storage.values {
		for _, hidden := range []string{net.tokens[0], session, `"DEMO"`} {
			require.NotContains(t, string(value), hidden, name)
		}
	}

	good := a.storage.values["transaction"]
	for _, bad := range [][]byte{a.storage.values["token"], append([]byte{1}, `{"token":"x"}`...), good[:20], append(slices.Clone(good), 0), {2}} {
		a.storage.values["transaction"] = bad
		require.Equal(t, mobile.CodeDamaged, code(a.Sign(session, []byte(pin1))))
	}
	a.storage.values["transaction"] = good
	own := a.keys
	a.keys = newKeys(t)
	a.Restart()
	require.Equal(t, mobile.CodeDamaged, code(a.Status()))
	a.keys = own
	a.Restart()
	require.Equal(t, mobile.CodeOK, code(a.Sign(session, []byte(pin1))))
	require.Empty(t, a.storage.values["transaction"])

	// A damaged storage can be left behind.
	a.storage.values["token"] = []byte{9}
	require.Equal(t, mobile.CodeDamaged, code(a.Home()))
	require.Equal(t, mobile.CodeOK, code(a.Forget()))
	require.Equal(t, mobile.CodeFresh, code(a.Home()))
}

// TestRequestKey: the platform signs each request of the keys, and without it there is
// none.
func TestRequestKey(t *testing.T) {
	w := newWorld(t)
	if !sealing(t, w) {
		return
	}
	a := enrolled(t, w)
	require.Equal(t, 4, a.keys.signed, "two enrolments, two confirmations")
	session := opens(t, w, a)
	broken := errors.New("the Secure Enclave is not there")
	a.keys.fail = broken
	_, err := a.Sign(session, []byte(pin1))
	require.ErrorIs(t, err, broken)
	a.keys.fail = nil
	require.Equal(t, mobile.CodeOK, code(a.Sign(session, []byte(pin1))))
	require.Equal(t, 5, a.keys.signed)

	// Another phone's key does not do for what this phone has stored.
	own := a.keys
	a.keys = newKeys(t)
	a.keys.storage = own.storage
	a.Restart()
	session = opens(t, w, a)
	_, err = a.Sign(session, []byte(pin1))
	require.ErrorContains(t, err, "another key's")
}

// TestOneAtATime: two phones that an app has made of one storage are one phone; a call
// while another one runs is told so, and reading goes on beside both.
func TestOneAtATime(t *testing.T) {
	w := newWorld(t)
	a := enrolled(t, w)
	net := newInterceptor()
	a.storage.http = net
	a.Restart()
	session := opens(t, w, a)
	first := a.Phone
	net.holds("/sign")
	signed := make(chan string, 1)
	go func() { signed <- code(first.Sign(session, []byte(pin1))) }()
	<-net.held
	require.Equal(t, mobile.CodeBusy, code(first.Status()))
	require.Equal(t, mobile.CodeOK, code(first.Home()))
	net.holds("") // the others
	a.Restart()
	require.Equal(t, mobile.CodeBusy, code(a.Sign(session, []byte(pin1))))
	require.Equal(t, mobile.CodeBusy, code(a.Forget()))
	first.Cancel()
	require.Equal(t, mobile.CodeUnanswered, <-signed)
	require.Equal(t, mobile.CodeOK, code(a.Resume()))
}

// TestCancel: nothing was sent, or it is not known.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	a := enrolled(t, w)
	net := newInterceptor()
	a.storage.http = net
	a.Restart()
	for path, call := range map[string]func() (*mobile.Outcome, error){
		"/poll":    func() (*mobile.Outcome, error) { return a.Poll(60, "") },
		"/account": a.Home,
		"/challenge": func() (*mobile.Outcome, error) {
			return a.ChangePIN(mobile.KeySignature, []byte(pin2), []byte("51834"))
		},
	} {
		net.holds(path)
		done := make(chan string)
		go func() { done <- code(call()) }()
		<-net.held
		a.Cancel()
		require.Equal(t, mobile.CodeCancelled, <-done, path)
	}
	(*mobile.Phone)(nil).Cancel()
}

// locked is a storage that several processes share.
type locked struct {
	*storage
	err      error
	unlocked int
}

func (l *locked) Lock(string) (func(), error) {
	if l.err != nil {
		return nil, l.err
	}
	return func() { l.unlocked++ }, nil
}

// TestLock: a storage with a lock is locked for what changes a key, and then not.
func TestLock(t *testing.T) {
	w := newWorld(t)
	a := enrolled(t, w)
	c, err := mobile.ReadConfig(a.json)
	require.NoError(t, err)
	shared := &locked{storage: a.storage}
	p, err := mobile.NewPhone(c, shared, a.keys)
	require.NoError(t, err)
	require.Equal(t, mobile.CodeOK, code(p.Status()))
	require.Equal(t, 2, shared.unlocked)
	shared.err = errors.New("no locks here")
	_, err = p.Status()
	require.ErrorIs(t, err, shared.err)
	_, err = p.Forget()
	require.ErrorIs(t, err, shared.err)
	require.NotEmpty(t, a.storage.values["token"])
	shared.err = nil
	require.Equal(t, mobile.CodeOK, code(p.Forget()))
}

// TestStorageFails: what the app's storage says is an error, and no outcome.
func TestStorageFails(t *testing.T) {
	w := newWorld(t)
	a := newApp(t, w)
	c, err := mobile.ReadConfig(a.json)
	require.NoError(t, err)
	full := &failing{storage: a.storage, save: context.DeadlineExceeded}
	p, err := mobile.NewPhone(c, full, nil)
	require.NoError(t, err)
	_, err = p.Enrol("x", "x", []byte(pin1), []byte(pin2))
	require.ErrorIs(t, err, full.save)
	full.load = io.ErrUnexpectedEOF
	_, err = p.Home()
	require.ErrorIs(t, err, full.load)
}

type failing struct {
	*storage
	load, save error
}

func (f *failing) Load(name string) ([]byte, error) {
	if f.load != nil {
		return nil, f.load
	}
	return f.storage.Load(name)
}

func (f *failing) Save(name string, value []byte) error { return f.save }

// TestOps: the operations are the methods of a phone, and those with a PIN, or that
// change the phone, are marked.
func TestOps(t *testing.T) {
	require.Len(t, phoneops.Ops, 24)
	_, err := phoneops.Call(nil, "frobnicate", phonetest.Args{})
	require.ErrorContains(t, err, `no operation "frobnicate"`)
	for name, op := range phoneops.Ops {
		if name != "checkPIN" && name != "hush" {
			_, err := phoneops.Call(nil, name, phonetest.Args{})
			require.Error(t, err, name)
		}
		require.Equal(t, !slices.Contains([]string{"home", "poll", "listen", "hush", "subscribe", "readHistory", "checkPIN"}, name), op.Changes, name)
		require.Equal(t, slices.Contains([]string{"enrol", "resumeEnrolment", "approve", "changePIN", "sign", "checkPIN"}, name), op.PIN, name)
	}
}
