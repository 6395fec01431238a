package rphttp_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
)

// begin starts a session by the first endpoint of version 2, and returns its id and the
// path of its status.
func begin(t testing.TB, s *service) (id, path string) {
	for _, e := range endpoints() {
		if e.version == rp.V2 {
			id = s.post(e.path, e.body).field(t, "sessionID").(string)
			return id, base + "/v2/session/" + id + "?timeoutMs=120000"
		}
	}
	return
}

// ask asks for a session in a goroutine.
func ask(s *service, path string) <-chan response {
	out := make(chan response, 1)
	go func() { out <- s.do("GET", path, nil) }()
	return out
}

// waited waits until the engine waits for a session, and returns for how long.
func (s *service) waited() time.Duration {
	s.t.Helper()
	select {
	case d := <-s.book.waits:
		return d
	case <-time.After(hang):
		require.Fail(s.t, "nobody waits")
		return 0
	}
}

// TestLongPoll: whoever waits learns the end when it comes.
func TestLongPoll(t *testing.T) {
	s := start(t, rphttp.Options{})
	id, path := begin(t, s)
	request, _ := s.book.last(t)
	var answers []<-chan response
	for range 3 {
		answers = append(answers, ask(s, path))
	}
	for range answers {
		require.Equal(t, 2*time.Minute, s.waited())
	}
	s.book.end(id, success(t, request))
	for _, a := range answers {
		r := <-a
		require.Equal(t, 200, r.status)
		require.Equal(t, "COMPLETE", r.field(t, "state"))
	}
}

// TestClientGone: the wait of a client who hung up ends.
func TestClientGone(t *testing.T) {
	gone := make(chan rphttp.Answered, 8)
	s := start(t, rphttp.Options{Observe: func(a rphttp.Answered) { gone <- a }})
	_, path := begin(t, s)
	<-gone
	ctx, hangUp := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL+path, nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { //nolint:bodyclose // there is none
		_, err := s.Client().Do(r)
		done <- err
	}()
	s.waited()
	hangUp()
	require.Error(t, <-done)
	select {
	case err := <-s.book.left:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(hang):
		require.Fail(t, "the engine still waits")
	}
	require.Equal(t, 499, (<-gone).Status)
	require.NotContains(t, s.log.String(), "level=ERROR")
}

// TestWaiters: no more wait at once than may, of all and of one source; those that were
// there go on, and whoever comes after one has left may wait.
func TestWaiters(t *testing.T) {
	for name, c := range map[string]struct {
		options rphttp.Options
		status  int
	}{
		"all": {rphttp.Options{Waiters: 2}, 503}, "one source": {rphttp.Options{WaitersPerSource: 2}, 429},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, c.options)
			id, path := begin(t, s)
			request, _ := s.book.last(t)
			answers := []<-chan response{ask(s, path), ask(s, path)}
			s.waited()
			s.waited()
			require.Equal(t, c.status, s.do("GET", path, nil).status)
			e := endpoints()[0]
			require.Equal(t, c.status, s.post(e.path, e.body).status, "a body is waited for as well")
			s.book.end(id, success(t, request))
			for _, a := range answers {
				require.Equal(t, 200, (<-a).status)
			}
			require.Equal(t, 200, s.do("GET", path, nil).status)
			require.Equal(t, 200, s.post(e.path, e.body).status)
		})
	}
}

// TestDrain: when the server shuts down, nobody waits any longer, and each learns how his
// session is.
func TestDrain(t *testing.T) {
	s := start(t, rphttp.Options{})
	_, path := begin(t, s)
	answers := []<-chan response{ask(s, path), ask(s, path)}
	s.waited()
	s.waited()
	ctx, cancel := context.WithTimeout(t.Context(), hang/2)
	defer cancel()
	require.NoError(t, s.Config.Shutdown(ctx))
	for _, a := range answers {
		r := <-a
		require.Equal(t, 200, r.status)
		require.Equal(t, "RUNNING", r.field(t, "state"))
	}
}

// TestDrained: who comes while others leave does not wait either.
func TestDrained(t *testing.T) {
	s := start(t, rphttp.Options{})
	_, path := begin(t, s)
	s.handler.Drain()
	r := s.do("GET", path, nil)
	require.Equal(t, 200, r.status)
	require.Equal(t, "RUNNING", r.field(t, "state"))
}

// slow is an engine that begins sessions when the test lets it.
type slow struct {
	*book
	began, goOn chan struct{}
}

func (s slow) Begin(ctx context.Context, r rp.Request, source rp.Source) (rp.Session, error) {
	select {
	case s.began <- struct{}{}:
	case <-ctx.Done():
		return rp.Session{}, ctx.Err()
	}
	select {
	case <-s.goOn:
	case <-ctx.Done():
		return rp.Session{}, ctx.Err()
	}
	return s.book.Begin(ctx, r, source)
}

// TestConcurrent: no more requests are worked on at once than may; questions for sessions
// do not count.
func TestConcurrent(t *testing.T) {
	engine := slow{newBook(), make(chan struct{}), make(chan struct{})}
	s := startWith(t, engine, engine.book, rphttp.Options{Concurrent: 2})
	e := endpoints()[0]
	answers := make(chan response, 2)
	for range 2 {
		go func() { answers <- s.post(e.path, e.body) }()
		<-engine.began
	}
	require.Equal(t, 503, s.post(e.path, e.body).status)
	require.Equal(t, 404, s.do("GET", fmt.Sprintf("%s/v2/session/%s", base, uuid), nil).status)
	for range 2 {
		engine.goOn <- struct{}{}
		require.Equal(t, 200, (<-answers).status)
	}
	go func() { answers <- s.post(e.path, e.body) }()
	select {
	case <-engine.began:
		engine.goOn <- struct{}{}
		require.Equal(t, 200, (<-answers).status)
	case r := <-answers:
		require.Equal(t, 200, r.status, "there is a place again")
	}
}
