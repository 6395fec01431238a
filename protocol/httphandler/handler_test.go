package httphandler

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/httptransport"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{Functions: map[string]any{"NewHandler": NewHandler}, Types: []any{(*Options)(nil)}})
	_, err := NewHandler(new(server.Server), Options{})
	require.ErrorIs(t, err, protocol.ErrConfig)
	s := newService(t)
	for _, options := range []Options{{ReadTimeout: -1}, {WriteTimeout: -1}, {Concurrent: -1}} {
		_, err := NewHandler(s.Server, options)
		require.ErrorIs(t, err, protocol.ErrConfig)
	}
}

// TestPhone: a phone enrols, confirms and signs over HTTP/1 and HTTP/2, with one PIN for
// many documents, and hears of a wrong PIN.
func TestPhone(t *testing.T) {
	for _, version := range []int{1, 2} {
		s := newService(t)
		seen := new(atomic.Int64)
		h := s.handler(t, Options{})
		https := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == version {
				seen.Add(1)
			}
			h.ServeHTTP(w, r)
		}))
		https.EnableHTTP2 = version == 2
		https.StartTLS()
		defer https.Close()
		post, err := httptransport.NewTransport(https.URL+"/device", https.Client())
		require.NoError(t, err)
		p := newPhone(t, s, post)
		require.NoError(t, p.sign(t, protocoltest.RightPIN, "contract"))
		require.NoError(t, p.sign(t, protocoltest.RightPIN, strings.Fields(strings.Repeat("annex ", protocol.MaxDocuments))...))
		var wrong *limiter.WrongPINError
		require.ErrorAs(t, p.sign(t, protocoltest.WrongPIN, "contract"), &wrong)
		require.EqualValues(t, 5, seen.Load())
		require.Empty(t, s.refusals())
	}
}

// TestGoodRequests: what is right in another form is answered.
func TestGoodRequests(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	good := p.lost(t)
	address := serve(t, s.handler(t, Options{}))
	for name, text := range map[string]string{
		"chunked":          chunked(good, "0\r\n\r\n", "Connection: close"),
		"with a trailer":   chunked(good, "0\r\nX-A: b\r\n\r\n", "Connection: close", "Trailer: X-A"),
		"huge headers":     post(good, "Connection: close", "X-A: "+strings.Repeat("a", 256<<10)),
		"another path":     strings.Replace(post(good, "Connection: close"), "/device", "/x?y=z", 1),
		"a small chunk":    chunked(good[:1], "1\r\n"+string(good[1:2])+"\r\n"+chunk(good[2:])+"0\r\n\r\n", "Connection: close"),
		"asks to continue": post(good, "Connection: close", "Expect: 100-continue"),
	} {
		answer := strings.TrimPrefix(say(t, address, text), "HTTP/1.1 100 Continue\r\n\r\n")
		require.True(t, strings.HasPrefix(answer, "HTTP/1.1 200 OK\r\n"), "%s: %q", name, answer)
	}
	// One connection takes many requests.
	c := dial(t, address)
	c.send(post(good) + post(good) + post(good, "Connection: close"))
	require.Equal(t, 3, strings.Count(c.rest(), "HTTP/1.1 200 OK\r\n"))
}

func chunk(body []byte) string {
	_, text, _ := strings.Cut(chunked(body, ""), "\r\n\r\n")
	return text
}

// TestNothingIsReadOfWhatIsNoRequest: headers that tell enough cost no body.
func TestNothingIsReadOfWhatIsNoRequest(t *testing.T) {
	h := newService(t).handler(t, Options{})
	for name, change := range map[string]func(*http.Request){
		"method":     func(r *http.Request) { r.Method = "PUT" },
		"media type": func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"encoding":   func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
		"length":     func(r *http.Request) { r.ContentLength = protocol.MaxRequest + 1 },
	} {
		body := &counted{left: 4 * protocol.MaxRequest}
		r := httptest.NewRequest("POST", "/device", body)
		r.Header.Set("Content-Type", mediaType)
		r.ContentLength = -1
		change(r)
		w := newRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusForbidden, w.Code, name)
		require.Zero(t, body.read, name)
	}
	body := &counted{left: 4 * protocol.MaxRequest}
	r := httptest.NewRequest("POST", "/device", body)
	r.Header.Set("Content-Type", mediaType)
	r.ContentLength = -1
	w := newRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, protocol.MaxRequest+1, body.read, "a body of unknown length is read until it is too long")
}

// counted is a body of zeros that counts what is read of it.
type counted struct{ left, read int }

func (c *counted) Read(p []byte) (int, error) {
	n := min(len(p), c.left)
	clear(p[:n])
	c.left, c.read = c.left-n, c.read+n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// recorder is a ResponseWriter with deadlines, which it remembers.
type recorder struct {
	*httptest.ResponseRecorder
	read, write []time.Time
}

func newRecorder() *recorder { return &recorder{ResponseRecorder: httptest.NewRecorder()} }

func (r *recorder) SetReadDeadline(t time.Time) error {
	r.read = append(r.read, t)
	return nil
}

func (r *recorder) SetWriteDeadline(t time.Time) error {
	r.write = append(r.write, t)
	return nil
}

// TestDeadlines: the body has a deadline before it is read, and every answer one.
func TestDeadlines(t *testing.T) {
	s := newService(t)
	good := newPhone(t, s, nil).lost(t)
	for name, c := range map[string]struct {
		body string
		code int
	}{"answered": {string(good), 200}, "refused": {"x", 403}, "too long": {strings.Repeat("x", protocol.MaxRequest+1), 403}} {
		r := httptest.NewRequest("POST", "/device", strings.NewReader(c.body))
		r.Header.Set("Content-Type", mediaType)
		w, before := newRecorder(), time.Now()
		s.handler(t, Options{ReadTimeout: time.Hour, WriteTimeout: 2 * time.Hour}).ServeHTTP(w, r)
		require.Equal(t, c.code, w.Code, name)
		require.Len(t, w.read, 1, name)
		require.WithinRange(t, w.read[0], before.Add(time.Hour), time.Now().Add(time.Hour), name)
		require.Len(t, w.write, 1, name)
		require.WithinRange(t, w.write[0], before.Add(2*time.Hour), time.Now().Add(2*time.Hour), name)
	}
}

// TestNoDeadlines: where there are none, nothing is answered, and the log says why.
func TestNoDeadlines(t *testing.T) {
	s := newService(t)
	good := newPhone(t, s, nil).lost(t)
	r := httptest.NewRequest("POST", "/device", strings.NewReader(string(good)))
	r.Header.Set("Content-Type", mediaType)
	w := httptest.NewRecorder()
	s.handler(t, Options{}).ServeHTTP(w, r)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, []string{"no deadlines"}, s.refusals())
	require.Contains(t, s.logged(), `cause="no deadlines"`)
}

// slowStore tells when a Load began, and lets it go on when it is let.
type slowStore struct {
	limiter.Store
	slow  atomic.Bool
	began chan context.Context
	going chan struct{}
	ended <-chan struct{} // of the test
}

func (s *slowStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if s.slow.Load() {
		s.began <- ctx
		select {
		case <-s.going:
		case <-s.ended:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	return s.Store.Load(ctx, id)
}

func newSlowService(t *testing.T) (*service, *slowStore, []byte) {
	store := &slowStore{began: make(chan context.Context, 10), going: make(chan struct{}), ended: t.Context().Done()}
	s := newService(t, func(c *server.Config) { store.Store = c.Store; c.Store = store })
	good := newPhone(t, s, nil).lost(t)
	store.slow.Store(true)
	return s, store, good
}

// await returns what a channel gives, and ends the test if it gives nothing.
func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing happened")
		panic("not reached")
	}
}

// TestSlowStore: what takes longer than the body may is answered all the same.
func TestSlowStore(t *testing.T) {
	for _, version := range []int{1, 2} {
		s, store, good := newSlowService(t)
		const readTimeout = time.Second
		https := httptest.NewUnstartedServer(s.handler(t, Options{ReadTimeout: readTimeout, WriteTimeout: patience}))
		https.EnableHTTP2 = version == 2
		https.StartTLS()
		t.Cleanup(https.Close)
		post, err := httptransport.NewTransport(https.URL, https.Client())
		require.NoError(t, err)
		answered := make(chan error, 1)
		go func() {
			_, err := post(t.Context(), good)
			answered <- err
		}()
		ctx := await(t, store.began)
		select {
		case <-ctx.Done():
			require.FailNow(t, "the deadline of the body ended the request")
		case <-time.After(2 * readTimeout):
		}
		store.slow.Store(false)
		close(store.going)
		require.NoError(t, await(t, answered))
	}
}

// TestContext: the store gets the context of the request, with what the service's own
// middleware put there and the request's id; and it ends when the client hangs up.
func TestContext(t *testing.T) {
	s, store, good := newSlowService(t)
	type user struct{}
	h := s.handler(t, Options{RequestIDHeader: "X-Request-Id"})
	address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), user{}, "anna")))
	}))
	c := dial(t, address)
	c.send(post(good, "X-Request-Id: r-17"))
	ctx := await(t, store.began)
	require.Equal(t, "anna", ctx.Value(user{}))
	require.Equal(t, "r-17", observe.RequestID(ctx))
	require.NoError(t, ctx.Err())
	require.NoError(t, c.Close())
	await(t, ctx.Done())
}

// TestRequestIDs: a proxy's id is used if it can stand in a log; else one is drawn. No
// answer has it.
func TestRequestIDs(t *testing.T) {
	s := newService(t)
	const ours = `[A-Z2-7]{26}`
	for name, c := range map[string]struct{ option, header, want string }{
		"of the proxy":    {"X-Request-Id", "X-Request-Id: r-17_a.Bz-AZ-09", `r-17_a\.Bz-AZ-09`},
		"not asked for":   {"", "X-Request-Id: r-17", ours},
		"another header":  {"X-Trace", "X-Request-Id: r-17", ours},
		"with a space":    {"X-Request-Id", "X-Request-Id: r 17", ours},
		"with a quote":    {"X-Request-Id", `X-Request-Id: r"17`, ours},
		"empty":           {"X-Request-Id", "X-Request-Id:", ours},
		"the longest":     {"X-Request-Id", "X-Request-Id: " + strings.Repeat("a", 64), strings.Repeat("a", 64)},
		"longer than 64":  {"X-Request-Id", "X-Request-Id: " + strings.Repeat("a", 65), ours},
		"nothing is sent": {"X-Request-Id", "X-A: b", ours},
	} {
		before := len(s.logged())
		answer := say(t, serve(t, s.handler(t, Options{RequestIDHeader: c.option})), post([]byte("x"), c.header))
		require.Equal(t, refusal, undated(answer), name)
		require.Regexp(t, "^[^\n]*msg=\"request refused\"[^\n]* request="+c.want+"\n$", s.logged()[before:], name)
	}
}

// TestTooManyAtOnce: whoever comes when too many are at work hears so, whatever he sent,
// and when to come again.
func TestTooManyAtOnce(t *testing.T) {
	s, store, good := newSlowService(t)
	address := serve(t, s.handler(t, Options{Concurrent: 1, WriteTimeout: patience}))
	first := dial(t, address)
	first.send(post(good, "Connection: close"))
	await(t, store.began)
	for name, body := range map[string][]byte{"a good request": good, "garbage": make([]byte, 2000)} {
		require.Equal(t, "HTTP/1.1 503 Service Unavailable\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 2\r\nDate: NOW\r\n\r\n",
			undated(say(t, address, post(body))), name)
	}
	require.Equal(t, refusal, undated(say(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")))
	require.Equal(t, []string{"too many at once", "too many at once", "method"}, s.refusals())
	store.slow.Store(false)
	close(store.going)
	require.True(t, strings.HasPrefix(first.rest(), "HTTP/1.1 200 OK\r\n"))
	require.True(t, strings.HasPrefix(say(t, address, post(good, "Connection: close")), "HTTP/1.1 200 OK\r\n"), "the place is free again")
	require.Equal(t, refusal, undated(say(t, address, post(nil))), "also after a refusal")
	require.Equal(t, refusal, undated(say(t, address, post(nil))))
}
