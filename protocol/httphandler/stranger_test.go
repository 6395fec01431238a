package httphandler

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// refusal is all that a stranger hears on HTTP/1.1.
const refusal = "HTTP/1.1 403 Forbidden\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: 0\r\nDate: NOW\r\n\r\n"

var date = regexp.MustCompile(`Date: [^\r]*\r`)

func undated(response string) string { return date.ReplaceAllString(response, "Date: NOW\r") }

// post is a request by hand, with headers of its own.
func post(body []byte, headers ...string) string {
	return fmt.Sprintf("POST /device HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n%s\r\n%s",
		len(body), lines(headers), body)
}

func lines(headers []string) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

// forge is a well-formed request of somebody who has the server's challenge and no K_dev.
func forge(t *testing.T, s *service, id, challengeFor protocol.KeyID) []byte {
	raw, err := s.ChallengeSign(t.Context(), challengeFor, protocoltest.DigestOf("loot"), crypto.SHA256)
	require.NoError(t, err)
	r := &wire.Request{Op: protocol.OpSign, Number: 1, Token: wire.DrawSecret(), Target: wire.DrawSecret().Commitment(),
		Salts: [][]byte{nil}, Partials: [][]byte{bytes.Repeat([]byte{2}, 256)}}
	r.Messages, err = wire.NewMessages([][]byte{protocoltest.DigestOf("loot")}, crypto.SHA256)
	require.NoError(t, err)
	r.Challenge, err = wire.ParseChallenge(raw)
	require.NoError(t, err)
	plaintext, err := r.Encode(wire.DrawSecret(), id, nil)
	require.NoError(t, err)
	pub, err := wire.KEM.NewPublicKey(s.HPKEKey())
	require.NoError(t, err)
	ticket := r.Challenge.Ticket()
	if id != challengeFor {
		raw, err := s.Challenge(t.Context(), id)
		require.NoError(t, err)
		c, err := wire.ParseChallenge(raw)
		require.NoError(t, err)
		ticket = c.Ticket()
	}
	request, _, err := wire.SealRequest(pub, r.Op, ticket, plaintext)
	require.NoError(t, err)
	return request
}

// strangers are bodies that the server refuses, by what is wrong with them. request is
// one that it does not.
func strangers(t *testing.T, s *service, p *phone, request []byte) map[string][]byte {
	change := func(at int) []byte {
		b := bytes.Clone(request)
		b[at] ^= 1
		return b
	}
	elsewhere := newService(t, func(c *server.Config) { c.ChallengeKey = bytes.Repeat([]byte{1}, 32) })
	unknown := protocol.KeyID{9, 9}
	return map[string][]byte{
		"nothing": nil, "garbage": bytes.Repeat([]byte{0xa5}, 2000), "a truncated request": request[:len(request)-1],
		"a longer request": append(bytes.Clone(request), 0), "another version": change(0), "another operation": change(1),
		"another HPKE key": change(2), "another key's": change(10), "another encapsulation": change(30), "damaged": change(len(request) - 1),
		"an unknown key": forge(t, s, unknown, unknown), "a wrong MAC": forge(t, s, p.id, p.id), "another key's challenge": forge(t, s, p.id, unknown),
		"another server's challenge": forge(t, elsewhere, p.id, p.id), "the longest": make([]byte, protocol.MaxRequest),
	}
}

// TestStrangersHearOneRefusal: whatever a stranger sends, and however far it gets, he
// hears the same bytes: of the server's refusals, and of what never reaches the server.
func TestStrangersHearOneRefusal(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	address := serve(t, s.handler(t, Options{ReadTimeout: patience}))
	impatient := serve(t, s.handler(t, Options{ReadTimeout: 100 * time.Millisecond}))
	good := p.lost(t)
	for name, c := range map[string]struct {
		text  string
		cause string
	}{
		"GET":                {"GET /device HTTP/1.1\r\nHost: x\r\n\r\n", "method"},
		"HEAD":               {"HEAD /device HTTP/1.1\r\nHost: x\r\n\r\n", "method"},
		"OPTIONS":            {"OPTIONS /device HTTP/1.1\r\nHost: x\r\n\r\n", "method"},
		"CONNECT":            {"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", "method"},
		"a method of his":    {"FROB /device HTTP/1.1\r\nHost: x\r\n\r\n", "method"},
		"PUT, a good body":   {strings.Replace(post(good), "POST", "PUT", 1), "method"},
		"another path":       {strings.Replace(post(nil), "/device", "/etc/passwd?x=1", 1), "malformed"},
		"no path":            {strings.Replace(post(nil), "/device", "//../%2e", 1), "malformed"},
		"no media type":      {"POST /device HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", "media type"},
		"another media type": {strings.Replace(post(good), "octet-stream", "json", 1), "media type"},
		"a form":             {strings.Replace(post(good), "application/octet-stream", "multipart/form-data; boundary=x", 1), "media type"},
		"compressed":         {post(good, "Content-Encoding: gzip"), "media type"},
		"a byte too long":    {post(make([]byte, protocol.MaxRequest+1)), "too long"},
		"ten GiB announced":  {"POST /device HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 10737418240\r\n\r\nx", "too long"},
		"too long in chunks": {chunked(make([]byte, protocol.MaxRequest+1), "0\r\n\r\n"), "too long"},
		"chunks without end": {chunked(make([]byte, 400<<10), ""), "too long"},
		"a broken chunk":     {chunked(good, "zz\r\n"), "cut off"},
		"too slow":           {post(good)[:1500], "too slow"},
		"too slow in chunks": {chunked(good, ""), "too slow"},
		"huge headers":       {post(nil, "X-A: "+strings.Repeat("a", 256<<10)), "malformed"},
		"many headers":       {post(nil, slices.Repeat([]string{"X-A: a"}, 5000)...), "malformed"},
		"a trailer":          {chunked([]byte("x"), "0\r\nX-A: b\r\n\r\n", "Trailer: X-A"), "malformed"},
		"asks to continue":   {strings.Replace(post(good, "Expect: 100-continue"), "octet-stream", "json", 1), "media type"},
		"asks to continue with too much": {"POST /device HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nExpect: 100-continue\r\n" +
			"Content-Length: 131073\r\n\r\n", "too long"},
		"wants to close": {post([]byte("x"), "Connection: close"), "malformed"},
		"wants to stay":  {post([]byte("x"), "Connection: keep-alive"), "malformed"},
		"wants h2c":      {post([]byte("x"), "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			s.refusals()
			to := address
			if c.cause == "too slow" || strings.Contains(name, "too much") { // it waits for the body
				to = impatient
			}
			require.Equal(t, refusal, undated(say(t, to, c.text)))
			require.Equal(t, []string{c.cause}, s.refusals())
		})
	}
	for name, body := range strangers(t, s, p, good) {
		t.Run(name, func(t *testing.T) {
			s.refusals()
			require.Equal(t, refusal, undated(say(t, address, post(body))))
			require.NotEmpty(t, s.refusals())
			// The server asks for the body, and then says the same.
			answer, asked := strings.CutPrefix(say(t, address, post(body, "Expect: 100-continue")), "HTTP/1.1 100 Continue\r\n\r\n")
			require.Equal(t, len(body) > 0, asked)
			require.Equal(t, refusal, undated(answer))
		})
	}
	t.Run("cut off", func(t *testing.T) {
		s.refusals()
		c := dial(t, address)
		c.send(post(good)[:1500])
		require.NoError(t, c.CloseWrite())
		require.Equal(t, refusal, undated(c.rest()))
		require.Equal(t, []string{"cut off"}, s.refusals())
	})
	t.Run("the store is away", func(t *testing.T) {
		away := serve(t, newService(t, func(c *server.Config) { c.Store = awayStore{c.Store} }).handler(t, Options{}))
		require.Equal(t, refusal, undated(say(t, away, post(good))))
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		answer := say(t, address, strings.Replace(post(nil), "HTTP/1.1", "HTTP/1.0", 1))
		require.Equal(t, strings.Replace(refusal, "HTTP/1.1", "HTTP/1.0", 1), undated(answer))
	})
	t.Run("answered", func(t *testing.T) { // by which all of this is known to be said to strangers
		answer := say(t, serve(t, s.handler(t, Options{})), post(good, "Connection: close"))
		require.Regexp(t, "^HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: [0-9]+\r\nContent-Type: application/octet-stream\r\n", answer)
	})
}

// chunked sends a body in one chunk, and then an end.
func chunked(body []byte, end string, headers ...string) string {
	return fmt.Sprintf("POST /device HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n%s\r\n%x\r\n%s\r\n%s",
		lines(headers), len(body), body, end)
}

// TestHTTPTellsApart: what HTTP itself answers, before there is a request for the
// handler, is the same for all keys, since it has not looked at a body.
func TestHTTPTellsApart(t *testing.T) {
	s := newService(t)
	address := serve(t, s.handler(t, Options{}))
	for text, want := range map[string]string{
		"no HTTP\r\n\r\n":                                                     "400 Bad Request",
		"POST /device HTTP/1.1\r\n\r\n":                                       "400 Bad Request: missing required Host header",
		post(nil, "X-A: "+strings.Repeat("a", 2<<20)):                         "431 Request Header Fields Too Large",
		post(nil, "Expect: miracles"):                                         "417 Expectation Failed",
		"POST /device HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: frob\r\n\r\n": "501 Not Implemented",
	} {
		answer := say(t, address, text)
		require.True(t, strings.HasPrefix(answer, "HTTP/1.1 "+want+"\r\n"), "%q", answer)
	}
	require.Empty(t, s.refusals())
}

// TestStrangersOverHTTP2: the same on HTTP/2, where a refusal ends a stream and no
// connection.
func TestStrangersOverHTTP2(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	good := p.lost(t)
	https := httptest.NewUnstartedServer(s.handler(t, Options{}))
	https.EnableHTTP2 = true
	connections := new(atomic.Int32)
	https.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	https.StartTLS()
	defer https.Close()
	ask := func(method, mediaType string, body io.Reader) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), method, https.URL+"/device", body)
		require.NoError(t, err)
		if mediaType != "" {
			r.Header.Set("Content-Type", mediaType)
		}
		response, err := https.Client().Do(r)
		require.NoError(t, err)
		require.Equal(t, 2, response.ProtoMajor)
		all, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		if response.StatusCode != http.StatusOK {
			require.Empty(t, all)
		}
		return response
	}
	var responses []*http.Response
	for _, body := range strangers(t, s, p, good) {
		responses = append(responses, ask("POST", mediaType, bytes.NewReader(body)))
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "FROB"} {
		responses = append(responses, ask(method, "", nil))
	}
	responses = append(responses, ask("POST", "text/plain", bytes.NewReader(good)), ask("POST", "", bytes.NewReader(good)),
		ask("POST", mediaType, bytes.NewReader(make([]byte, protocol.MaxRequest+1))),
		ask("POST", mediaType, io.MultiReader(bytes.NewReader(make([]byte, protocol.MaxRequest+1))))) // of unknown length
	for _, r := range responses {
		require.Equal(t, http.StatusForbidden, r.StatusCode)
		r.Header.Del("Date")
		require.Equal(t, http.Header{"Cache-Control": {"no-store"}, "Content-Length": {"0"}}, r.Header)
	}
	require.Len(t, responses, len(strangers(t, s, p, good))+8)
	require.Equal(t, http.StatusOK, ask("POST", mediaType, bytes.NewReader(good)).StatusCode)
	require.Equal(t, uint16(tls.VersionTLS13), ask("GET", "", nil).TLS.Version)
	require.EqualValues(t, 1, connections.Load())
}

// awayStore cannot be reached.
type awayStore struct{ limiter.Store }

func (awayStore) Load(context.Context, string) ([]byte, uint64, error) {
	return nil, 0, errors.New("10.0.0.7 is away")
}
