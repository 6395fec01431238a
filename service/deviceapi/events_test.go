package deviceapi_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca/catest"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/deviceapi"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/push"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/transactions"
)

// listener reads a stream of events.
type listener struct {
	t     *testing.T
	body  io.ReadCloser
	lines *bufio.Scanner
}

// listen opens a stream, which must be one.
func listen(t *testing.T, url, token string) *listener {
	t.Helper()
	answer := ask(t, url, token)
	require.Equal(t, 200, answer.StatusCode)
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	l := &listener{t, answer.Body, bufio.NewScanner(answer.Body)}
	require.Equal(t, ":", l.line(), "it is there")
	require.Empty(t, l.line())
	return l
}

func ask(t *testing.T, url, token string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+devicewire.Events, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func (l *listener) line() string {
	l.t.Helper()
	require.True(l.t, l.lines.Scan(), "the stream has ended: %v", l.lines.Err())
	return l.lines.Text()
}

// looks waits for an event, which must say nothing but "look".
func (l *listener) looks() {
	l.t.Helper()
	for {
		switch line := l.line(); line {
		case ":", "":
		default:
			require.Equal(l.t, "data: look", line)
			require.Empty(l.t, l.line())
			return
		}
	}
}

// ends waits for the end of the stream, which is at the next thing that is said, or a few
// that were on the way.
func (l *listener) ends() {
	l.t.Helper()
	for n := 0; l.lines.Scan(); n++ {
		require.Contains(l.t, []string{":", ""}, l.lines.Text())
		require.Less(l.t, n, 40, "it goes on")
	}
	require.NoError(l.t, l.lines.Err())
}

// begins has a relying party ask the person for a signature.
func begins(t *testing.T, s *servicetest.Service) rp.Session {
	digest := sha256.Sum256([]byte(rand.Text()))
	session, err := s.Engine.Begin(t.Context(), rp.Request{
		Version: rp.V2, Kind: rp.Signature, Flow: rp.Notification, Target: rp.Target{Person: &servicetest.Mari.ID}, RelyingPartyUUID: servicetest.Party,
		RelyingPartyName: "DEMO", Level: rp.LevelQualified, Digest: digest[:], Algorithm: rp.Algorithm{Hash: crypto.SHA256},
		Interactions: []rp.Interaction{{Type: rp.DisplayTextAndPIN, Text: "Sign"}},
	}, servicetest.Source)
	require.NoError(t, err)
	return session
}

// handler is one with a setting of its own, and where it answers.
func handler(t *testing.T, s *servicetest.Service, change func(*deviceapi.Config)) (*deviceapi.Handler, string) {
	config := deviceapi.Config{Engine: s.Engine, Accounts: s.Accounts, Server: s.Server, KeepAlive: time.Second, Log: slog.New(slog.DiscardHandler)}
	change(&config)
	h, err := deviceapi.NewHandler(config)
	require.NoError(t, err)
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return h, web.URL
}

// TestEvents: a phone hears of each session as soon as it begins, wherever it began, and
// nothing else of it.
func TestEvents(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		secrets, err := servicetest.NewSecrets()
		require.NoError(t, err)
		issuer, err := servicetest.NewIssuer(catest.NewMemoryStore())
		require.NoError(t, err)
		var nodes [2]*servicetest.Service
		for i := range nodes {
			nodes[i], err = servicetest.Open(servicetest.Config{DB: open(), Secrets: secrets, Issuer: issuer})
			require.NoError(t, err)
		}
		nodes[0].AddParty(t)
		p := nodes[0].Enrol(t, nodes[0].Serve(t), servicetest.Mari, identity.Qualified)
		l := listen(t, p.Config.URL, p.Config.Token)
		require.True(t, nodes[0].Handler.Listens(p.Account.Document))
		require.False(t, nodes[1].Handler.Listens(p.Account.Document))
		for _, at := range nodes {
			session := begins(t, at)
			l.looks()
			require.NoError(t, at.Engine.Refuse(t.Context(), p.Account, session.ID, transactions.NoScreen))
		}

		// What had begun before is said at once.
		require.NoError(t, l.body.Close())
		begins(t, nodes[1])
		l = listen(t, p.Config.URL, p.Config.Token)
		l.looks()

		// It ends with the account.
		require.NoError(t, nodes[1].Accounts.End(t.Context(), p.Account.Document, accounts.ByOwner))
		l.ends()
		answer := ask(t, p.Config.URL, p.Config.Token)
		require.Equal(t, 403, answer.StatusCode)
		require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	})
}

// TestStreams: an account has one stream, of all accounts there are as many as may be,
// and none when the node ends.
func TestStreams(t *testing.T) {
	c, s, p := newCaller(t)
	h, url := handler(t, s, func(c *deviceapi.Config) { c.Streams = 1 })
	first := listen(t, url, p.Config.Token)
	second := listen(t, url, p.Config.Token)
	first.ends()
	other := s.Enrol(t, p.Config.URL, servicetest.Mari, identity.Qualified)
	require.Equal(t, 503, ask(t, url, other.Config.Token).StatusCode)
	require.False(t, h.Listens(other.Account.Document))

	// Whoever leaves makes room.
	require.NoError(t, second.body.Close())
	require.Eventually(t, func() bool { return !h.Listens(p.Account.Document) }, time.Minute, time.Millisecond)
	third := listen(t, url, other.Config.Token)
	h.Close()
	third.ends()
	require.Equal(t, 503, ask(t, url, p.Config.Token).StatusCode)

	stranger := caller{t, c.handler, "x"}
	status, _ := stranger.do("GET", devicewire.Events, "")
	require.Equal(t, 401, status)
	status, _ = c.do("POST", devicewire.Events, "{}")
	require.Equal(t, 405, status)
}

// TestKeepAlive: a stream on which nothing happens says that it is there, now and then.
func TestKeepAlive(t *testing.T) {
	_, s, p := newCaller(t)
	_, url := handler(t, s, func(c *deviceapi.Config) { c.KeepAlive = time.Millisecond })
	l := listen(t, url, p.Config.Token)
	for range 3 {
		require.Equal(t, ":", l.line())
		require.Empty(t, l.line())
	}
}

// subscriptions notes what is subscribed.
type subscriptions struct {
	mu   sync.Mutex
	said []string
	err  error
}

func (s *subscriptions) Subscribe(_ context.Context, d identity.Document, kind, address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, d.String()+" "+kind+" "+address)
	return s.err
}

func (s *subscriptions) Unsubscribe(_ context.Context, d identity.Document) error {
	return s.Subscribe(context.Background(), d, "none", "")
}

// TestPush: a phone subscribes for its own account.
func TestPush(t *testing.T) {
	c, s, p := newCaller(t)
	subs := new(subscriptions)
	h, _ := handler(t, s, func(c *deviceapi.Config) { c.Subscriptions = subs })
	c.handler = h
	d := p.Account.Document.String()
	for _, v := range []struct{ body, want string }{{`{"kind":"web","address":"a"}`, d + " web a"}, {`{}`, d + " none "}} {
		status, _ := c.do("POST", devicewire.Push, v.body)
		require.Equal(t, 200, status)
		require.Equal(t, v.want, subs.said[len(subs.said)-1])
	}
	for _, v := range []struct {
		err    error
		status int
		code   string
	}{{push.ErrAddress, 400, devicewire.Invalid}, {push.ErrNoAccount, 403, devicewire.Ended}, {errors.New("x"), 500, devicewire.Internal}} {
		subs.err = v.err
		status, e := c.do("POST", devicewire.Push, `{"kind":"web","address":"a"}`)
		require.Equal(t, v.status, status)
		require.Equal(t, v.code, e.Code)
	}
	h, _ = handler(t, s, func(*deviceapi.Config) {})
	c.handler = h
	status, e := c.do("POST", devicewire.Push, `{"kind":"web","address":"a"}`)
	require.Equal(t, 404, status)
	require.Equal(t, devicewire.NotFound, e.Code)
}
