package httptransport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*StatusError)(nil)}, Functions: map[string]any{"NewTransport": NewTransport}, Good: []any{"https://example.org/"},
		May: map[string]string{"NewTransport:1": "without a client it has one of its own"},
	})
	post, err := NewTransport("https://localhost/", nil)
	require.NoError(t, err)
	var none context.Context
	_, err = post(none, nil)
	require.ErrorIs(t, err, protocol.ErrConfig)
}

// TestURLs: what is not https is refused, but for this machine.
func TestURLs(t *testing.T) {
	for address, good := range map[string]bool{
		"https://example.org/device": true, "https://10.0.0.1:8443": true, "http://localhost:80/x": true, "http://127.0.0.1:8080/": true,
		"http://[::1]:8080/": true, "http://127.9.9.9/": true,
		"http://example.org/device": false, "http://10.0.0.1/": false, "http://localhost.example.org/": false, "http://127.0.0.1.example.org/": false,
		"ftp://localhost/": false, "/device": false, "example.org": false, "": false, "https:///device": false, "http://%zz/": false, "://": false,
	} {
		_, err := NewTransport(address, nil)
		if good {
			require.NoError(t, err, address)
		} else {
			require.ErrorIs(t, err, protocol.ErrConfig, address)
		}
	}
}

// to returns a transport to a handler on loopback, and its address.
func to(t *testing.T, client *http.Client, h http.HandlerFunc) (device.Transport, string) {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	post, err := NewTransport(s.URL+"/device", client)
	require.NoError(t, err)
	return post, s.URL
}

func ok(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	if w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	_, _ = w.Write(body)
}

// TestRequest: what travels is as docs/protocol.md says, and no more.
func TestRequest(t *testing.T) {
	sent := bytes.Repeat([]byte{1, 2, 3}, 700)
	post, _ := to(t, nil, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(body, sent) || r.Method != "POST" || r.URL.Path != "/device" || r.ContentLength != int64(len(sent)) {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		r.Header.Del("User-Agent")
		ok(w, fmt.Append(nil, r.Header))
	})
	response, err := post(t.Context(), sent)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(http.Header{
		"Accept": {mediaType}, "Accept-Encoding": {"identity"}, "Content-Length": {"2100"}, "Content-Type": {mediaType},
	}), string(response))
}

// TestResponses: nothing is taken for a response but what a server of tandem says.
func TestResponses(t *testing.T) {
	longest := bytes.Repeat([]byte{7}, protocol.MaxResponse)
	status := func(code int, retry string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if retry != "" {
				w.Header().Set("Retry-After", retry)
			}
			w.Header().Set("Content-Type", mediaType)
			w.WriteHeader(code)
		}
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want error
		n    int
	}{
		"the longest":  {func(w http.ResponseWriter, r *http.Request) { ok(w, longest) }, nil, protocol.MaxResponse},
		"the shortest": {func(w http.ResponseWriter, r *http.Request) { ok(w, nil) }, nil, 0},
		"too long": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Write(append(longest, 0))
		}, ErrResponse, 0},
		"too long, and says so": {func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "131073"); ok(w, nil) }, ErrResponse, 0},
		"without end":           {func(w http.ResponseWriter, r *http.Request) { endless(w, r) }, ErrResponse, 0},
		"a portal":              {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>log in</html>") }, ErrResponse, 0},
		"no type":               {func(w http.ResponseWriter, r *http.Request) { w.Header()["Content-Type"] = nil; w.Write([]byte("x")) }, ErrResponse, 0},
		"compressed": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			ok(w, []byte("x"))
		}, ErrResponse, 0},
		"cut off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9")
			ok(w, []byte("x"))
		}, io.ErrUnexpectedEOF, 0},
		"refused":                {status(403, ""), &StatusError{Status: 403}, 0},
		"later":                  {status(503, "2"), &StatusError{503, 2 * time.Second}, 0},
		"in a day":               {status(429, "86400"), &StatusError{429, time.Hour}, 0},
		"in ages":                {status(429, "4294967295"), &StatusError{429, time.Hour}, 0},
		"at a date":              {status(503, "Fri, 31 Dec 9999 23:59:59 GMT"), &StatusError{Status: 503}, 0},
		"in the past":            {status(503, "-1"), &StatusError{Status: 503}, 0},
		"nothing to say":         {status(204, ""), &StatusError{Status: 204}, 0},
		"not found":              {status(404, ""), &StatusError{Status: 404}, 0},
		"accepted for later":     {status(202, ""), &StatusError{Status: 202}, 0},
		"a gateway that failed":  {status(502, ""), &StatusError{Status: 502}, 0},
		"not modified, of a GET": {status(304, ""), &StatusError{Status: 304}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			post, _ := to(t, nil, c.h)
			response, err := post(t.Context(), []byte("request"))
			var want *StatusError
			switch {
			case c.want == nil:
				require.NoError(t, err)
				require.Len(t, response, c.n)
			case errors.As(c.want, &want):
				require.Equal(t, want, err)
				require.ErrorContains(t, err, fmt.Sprint("status ", want.Status))
			default:
				require.ErrorIs(t, err, c.want)
			}
			require.True(t, err == nil || response == nil)
		})
	}
}

// endless never ends, until the client hangs up.
func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", mediaType)
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 1<<12)); err != nil {
			return
		}
	}
}

// TestResponseIsBounded: of a response that goes on and on no more is read than one byte
// too many, and it is closed.
func TestResponseIsBounded(t *testing.T) {
	body := new(zeros)
	post, err := NewTransport("https://example.org/", &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {mediaType}}, ContentLength: -1, Body: body}, nil
	})})
	require.NoError(t, err)
	_, err = post(t.Context(), nil)
	require.ErrorIs(t, err, ErrResponse)
	require.Equal(t, protocol.MaxResponse+1, body.read)
	require.True(t, body.closed)
}

// zeros is a gigabyte of them, and counts what is read.
type zeros struct {
	read   int
	closed bool
}

func (z *zeros) Close() error {
	z.closed = true
	return nil
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.read >= 1<<30 {
		return 0, io.EOF
	}
	clear(p)
	z.read += len(p)
	return len(p), nil
}

// TestNoRedirect: no redirect is followed, of whatever kind and to wherever, also where
// the caller's client would; and the caller's client stays as it is.
func TestNoRedirect(t *testing.T) {
	followed := new(atomic.Int32)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { followed.Add(1); ok(w, nil) }))
	defer elsewhere.Close()
	mine := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, target := range []string{elsewhere.URL, "/elsewhere"} {
			post, _ := to(t, mine, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/device" {
					followed.Add(1)
				}
				http.Redirect(w, r, target, code)
			})
			_, err := post(t.Context(), []byte("request"))
			require.Equal(t, &StatusError{Status: code}, err)
		}
	}
	require.Zero(t, followed.Load())
	require.NoError(t, mine.CheckRedirect(nil, nil))
}

// TestNoCookies: cookies are neither kept nor sent, and the caller's jar is left alone.
func TestNoCookies(t *testing.T) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	mine := &http.Client{Jar: jar}
	post, address := to(t, mine, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "track", Value: "you"})
		ok(w, []byte(r.Header.Get("Cookie")))
	})
	u, err := url.Parse(address)
	require.NoError(t, err)
	jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: "mine"}})
	for range 2 {
		response, err := post(t.Context(), []byte("request"))
		require.NoError(t, err)
		require.Empty(t, response)
	}
	require.Len(t, jar.Cookies(u), 1)
	require.NotNil(t, mine.Jar)
}

// TestClientIsUsed: the caller's client is what carries the request.
func TestClientIsUsed(t *testing.T) {
	mine := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("on the way to %s: %w", r.URL.Host, protocoltest.ErrLost)
	})}
	post, err := NewTransport("https://example.org/device", mine)
	require.NoError(t, err)
	_, err = post(t.Context(), nil)
	require.ErrorIs(t, err, protocoltest.ErrLost)
	require.ErrorContains(t, err, "example.org")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestContext: a call ends with its context.
func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	post, _ := to(t, nil, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	_, err := post(ctx, []byte("request"))
	require.ErrorIs(t, err, context.Canceled)
}

// TestSentOnce: a server that takes a request, and hangs up, gets it once, also on a
// connection that was used before.
func TestSentOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	requests := new(atomic.Int32)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if requests.Add(1) == 1 {
			ok(w, nil)
			return
		}
		connection, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			connection.Close()
		}
	}))
	own := new(http.Transport)
	defer own.CloseIdleConnections()
	post, err := NewTransport("http://"+listener.Addr().String(), &http.Client{Transport: own})
	require.NoError(t, err)
	_, err = post(t.Context(), []byte("request"))
	require.NoError(t, err)
	_, err = post(t.Context(), []byte("request"))
	require.Error(t, err)
	require.EqualValues(t, 2, requests.Load())
}

// TestDeviceSeesTheStatus: under the device's own error an app finds what HTTP said, and
// the request is pending.
func TestDeviceSeesTheStatus(t *testing.T) {
	post, _ := to(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	private, err := wire.KEM.NewPrivateKey(bytes.Repeat([]byte{0x77}, 32))
	require.NoError(t, err)
	phone, err := device.New(device.Config{
		Storage: new(protocoltest.MemoryStorage), Transport: post, HPKEKey: private.PublicKey().Bytes(), Params: protocoltest.Cheapest,
	})
	require.NoError(t, err)
	client, share := protocoltest.Shares()
	err = phone.Enroll(t.Context(), device.EnrollOptions{
		Challenge: protocoltest.NewFixture().Challenge(wire.ForEnrolment, wire.Hash{}), PIN: protocoltest.RightPIN, Client: client, Server: share,
	})
	require.ErrorIs(t, err, device.ErrUnanswered)
	status, found := errors.AsType[*StatusError](err)
	require.True(t, found)
	require.Equal(t, &StatusError{503, 2 * time.Second}, status)
	_, err = phone.Resume(t.Context())
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.True(t, strings.HasSuffix(err.Error(), "httptransport: HTTP status 503"), err)
}
