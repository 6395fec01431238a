package deviceclient

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/device"
)

// listener is a phone that only listens.
func listener(url string, s Stream) *Phone {
	p := &Phone{client: client{base: url, stream: s}}
	p.devices[0] = new(device.Device)
	return p
}

// TestListen: a phone is told when the stream opens and of each event, and why it ends.
func TestListen(t *testing.T) {
	answer := func(status int, media, body string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, "/events", r.URL.Path)
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s
	}
	look := func(url string) (n int, err error) {
		err = listener(url, NewHTTPStream(&http.Client{Timeout: time.Nanosecond})).Listen(t.Context(), func() error { n++; return nil })
		return n, err
	}
	n, err := look(answer(200, eventStream, ":\n\ndata: look\n\n:\n\ndata: look\n\n").URL)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	n, err = look(answer(200, "text/html", "<p>log in to this network</p>\n\n").URL)
	require.ErrorIs(t, err, ErrResponse)
	require.LessOrEqual(t, n, 1)
	_, err = look(answer(200, eventStream, strings.Repeat("x", maxEvent+1)).URL)
	require.ErrorIs(t, err, ErrResponse)
	_, err = look(answer(403, "application/json", `{"error":"account_ended"}`).URL)
	require.True(t, Is(err, CodeEnded), "%v", err)
	_, err = look(answer(503, "text/html", "later").URL)
	require.ErrorIs(t, err, ErrResponse)
	gone := answer(200, eventStream, "")
	gone.Close()
	_, err = look(gone.URL)
	require.ErrorIs(t, err, ErrConnection)

	// The listener's own error ends it, and so does the context.
	mine := errors.New("mine")
	require.ErrorIs(t, listener(answer(200, eventStream, ":\n\n").URL, NewHTTPStream(nil)).Listen(t.Context(), func() error { return mine }), mine)
	ctx, stop := context.WithCancel(t.Context())
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", eventStream)
		_, _ = w.Write([]byte(":\n\n"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer open.Close()
	require.ErrorIs(t, listener(open.URL, NewHTTPStream(nil)).Listen(ctx, func() error { stop(); return nil }), context.Canceled)
	// So it does where the stream ends in order for that.
	ctx, stop = context.WithCancel(t.Context())
	inOrder := listener("https://id.example", func(_ context.Context, _ Request, part func([]byte) error) (*Response, error) {
		return &Response{Status: 200, MediaType: eventStream}, part([]byte(":\n\n"))
	})
	require.ErrorIs(t, inOrder.Listen(ctx, func() error { stop(); return nil }), context.Canceled)
}

// TestSilence: a stream that says nothing for long is given up: its connection may be
// dead.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, spoke := time.Now(), 0
		p := listener("https://id.example", func(ctx context.Context, _ Request, part func([]byte) error) (*Response, error) {
			for ; spoke < 10; spoke++ {
				time.Sleep(silence - time.Second)
				if err := part([]byte(":\n\n")); err != nil {
					return nil, err
				}
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		err := p.Listen(t.Context(), func() error { return nil })
		require.ErrorIs(t, err, ErrConnection)
		require.ErrorIs(t, err, errSilent)
		require.NotErrorIs(t, err, context.Canceled)
		require.Equal(t, 10, spoke)
		require.Equal(t, 10*(silence-time.Second)+silence, time.Since(began))
	})
}

// FuzzEvents: a stream means the same in whatever pieces it comes, and nothing but
// "look" is one.
func FuzzEvents(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string, size int) {
		var whole, pieces events
		want, wantErr := whole.read([]byte(text))
		got, rest := 0, text
		var err error
		for size = max(size, 1); rest != "" && err == nil; {
			n := min(size, len(rest))
			var looks int
			looks, err = pieces.read([]byte(rest[:n]))
			got += looks
			rest = rest[n:]
		}
		require.Equal(t, wantErr, err)
		if err == nil {
			require.Equal(t, want, got)
			require.LessOrEqual(t, want, 1+strings.Count(text, "data: look"))
		}
		require.LessOrEqual(t, len(pieces.line), maxEvent)
	})
}
