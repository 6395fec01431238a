package rphttp_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
)

// with returns the body of an endpoint with another value at a pointer.
func (e endpoint) with(t testing.TB, pointer string, value any) map[string]any {
	text, err := json.Marshal(e.body)
	require.NoError(t, err)
	var body map[string]any
	require.NoError(t, json.Unmarshal(text, &body))
	o := body
	names := strings.Split(pointer, "/")[1:]
	for _, name := range names[:len(names)-1] {
		o = o[name].(map[string]any)
	}
	o[names[len(names)-1]] = value
	return body
}

// TestBadInput: whatever is wrong with a body is refused with a status of 4xx, in the
// form of the version, by the name of the member; the engine never sees it, and the log
// has nothing of it.
func TestBadInput(t *testing.T) {
	s := start(t, rphttp.Options{})
	// It is in every bad value that can have it, and in no request's id: these have
	// letters and the digits 2 to 7.
	const mark = "38001085718"
	refuse := func(e endpoint, pointer string, body any) {
		t.Helper()
		r := s.post(e.path, body)
		require.Equal(t, 400, r.status, "%s %s: %s", e, pointer, r.body)
		got, text := r.detail(t, e.version)
		require.NotEmpty(t, text)
		if pointer != "" {
			require.Equal(t, pointer, got, "%s: %s", e, r.body)
		} else {
			require.Contains(t, text, "the body ")
		}
	}
	for _, e := range endpoints() {
		good, err := json.Marshal(e.body)
		require.NoError(t, err)

		// Wrong types, of each member.
		for name, value := range e.body {
			for _, bad := range []any{1, true, []any{mark}, map[string]any{mark: 1}, mark} {
				switch {
				case fmt.Sprintf("%T", bad) == fmt.Sprintf("%T", value) && name == "displayText", name == "relyingPartyName" && bad == mark, name == "nonce" && bad == mark:
					continue // that is as good as another
				}
				pointer := "/" + name
				body := e.with(t, pointer, bad)
				switch list, isList := bad.([]any); {
				case name == "allowedInteractionsOrder" && isList:
					pointer += "/0" // an array, of what is no interaction
					require.Len(t, list, 1)
				case name == "hashType" && bad == mark:
				case name == "signatureProtocolParameters" && fmt.Sprintf("%T", bad) == "map[string]interface {}":
					pointer += "/signatureAlgorithm"
				}
				refuse(e, pointer, body)
			}
		}
		for _, name := range []string{"relyingPartyUUID", "relyingPartyName"} {
			refuse(e, "/"+name, e.with(t, "/"+name, nil))
		}

		// Duplicate keys, depth, and what is no JSON object.
		refuse(e, "/relyingPartyName", `{"relyingPartyName":"`+mark+`",`+string(good[1:]))
		refuse(e, "/x/y", `{"x":{"y":1,"\u0079":2},`+string(good[1:]))
		refuse(e, "/x/0/0/0/0/0/0/0", `{"x":`+strings.Repeat("[", 30000)+strings.Repeat("]", 30000)+","+string(good[1:]))
		refuse(e, "/x/x/x/x/x/x/x/x", strings.Repeat(`{"x":`, 9)+"1"+strings.Repeat("}", 9))
		for _, bad := range []string{"", "null", "[]", `"` + mark + `"`, string(good[:len(good)-1]), string(good) + "x", string(good) + string(good), "\ufeff" + string(good), `{"` + mark + `":"` + "\xff" + `"}`, `{"a":"\ud800"}`, string(good) + "\x00"} {
			refuse(e, "", bad)
		}

		// Texts that show something else than they are.
		for _, bad := range []string{"\x00", "\u202e", "\u2066", "\u200f", "\r\n", "\u0085", "\u2028"} {
			refuse(e, "/relyingPartyName", e.with(t, "/relyingPartyName", "DEMO"+bad))
			if _, ok := e.body["nonce"]; ok {
				refuse(e, "/nonce", e.with(t, "/nonce", "a"+bad))
			}
			if _, ok := e.body["displayText"]; ok {
				refuse(e, "/displayText", e.with(t, "/displayText", "Log in "+bad))
			}
			if _, ok := e.body["allowedInteractionsOrder"]; ok {
				refuse(e, "/allowedInteractionsOrder/0/displayText60", e.with(t, "/allowedInteractionsOrder", []any{map[string]any{"type": "displayTextAndPIN", "displayText60": "Log in" + bad}}))
			}
			if _, ok := e.body["interactions"]; ok {
				text, err := json.Marshal([]any{map[string]any{"type": "displayTextAndPIN", "displayText60": "Log in" + bad}})
				require.NoError(t, err)
				refuse(e, "/interactions", e.with(t, "/interactions", base64.StdEncoding.EncodeToString(text)))
			}
		}

		// Base64 that is none, or not the only one for its bytes.
		if e.digest != "" {
			value := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 64))
			for _, bad := range []string{"", "!" + value[1:], value[:87], value + "\n", strings.ReplaceAll(value, "+", "-"), value[:85] + "x==", " " + value, value + value, "AAAA"} {
				refuse(e, e.digest, e.with(t, e.digest, bad))
			}
		}
		if _, ok := e.body["interactions"]; ok {
			refuse(e, "/interactions", e.with(t, "/interactions", "W10"))
			refuse(e, "/interactions", e.with(t, "/interactions", "@"))
		}
	}
	require.Zero(t, s.book.count(), "nothing of it reached the engine")
	require.NotContains(t, s.log.String(), mark)
	require.NotContains(t, s.log.String(), "Log in")
}

// TestLongBodies: more than 64 KiB are not read, whether the client says so before or
// not.
func TestLongBodies(t *testing.T) {
	s := start(t, rphttp.Options{})
	// send sends the beginning of a request, and returns the status that this gets.
	send := func(e endpoint, rest string) int {
		c := dial(t, s)
		_, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s", e.path, rest)
		require.NoError(t, err)
		out, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.NoError(t, out.Body.Close())
		return out.StatusCode
	}
	for _, e := range endpoints() {
		good, err := json.Marshal(e.body)
		require.NoError(t, err)
		fits := string(good) + strings.Repeat(" ", 64<<10-len(good))
		require.Equal(t, 200, s.post(e.path, fits).status)
		require.Equal(t, 413, s.post(e.path, fits+" ").status)
		require.Equal(t, 413, s.do("POST", e.path, io.MultiReader(strings.NewReader(fits+" ")), asJSON).status, "without its length")

		// The client learns it before it sends a byte of the body; where the body has no
		// length, its end does not matter.
		require.Equal(t, 413, send(e, fmt.Sprintf("Content-Length: %d\r\n\r\n", 1<<20)))
		require.Equal(t, 413, send(e, fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s ", 1<<20, fits)))
	}
}

// TestContentType: a body is JSON in UTF-8, and says so.
func TestContentType(t *testing.T) {
	s := start(t, rphttp.Options{})
	e := endpoints()[0]
	good, err := json.Marshal(e.body)
	require.NoError(t, err)
	for headers, want := range map[string]int{
		"Content-Type: application/json": 200, "content-type: Application/JSON; charset=UTF-8": 200, "Content-Type: application/json;charset=utf-8": 200, "Content-Type: application/json; charset=\"utf-8\"; x=y": 200,
		"": 415, "Content-Type: ": 415, "Content-Type: text/plain": 415, "Content-Type: application/x-www-form-urlencoded": 415, "Content-Type: application/json; charset=latin1": 415, "Content-Type: application/json; charset": 415,
		"Content-Type: application/jsonp": 415, "Content-Type: application/json\nContent-Encoding: gzip": 415, "Content-Type: application/json\nContent-Encoding: identity": 415,
	} {
		var list []string
		if headers != "" {
			list = strings.Split(headers, "\n")
		}
		require.Equal(t, want, s.do("POST", e.path, bytes.NewReader(good), list...).status, headers)
	}
}

func dial(t testing.TB, s *service) net.Conn {
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(hang)))
	return c
}

// TestSlowBody: a body that does not arrive ends the request, and one that ends too early
// is refused.
func TestSlowBody(t *testing.T) {
	s := start(t, rphttp.Options{ReadTimeout: 100 * time.Millisecond})
	e := endpoints()[0]
	c := dial(t, s)
	_, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", e.path)
	require.NoError(t, err)
	in := bufio.NewReader(c)
	out, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, 408, out.StatusCode)
	text, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	require.NoError(t, described("POST", e.path, response{out.StatusCode, withDropped(out.Header), text}))
	_, err = in.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the connection is over")

	c = dial(t, s)
	_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", e.path)
	require.NoError(t, err)
	out, err = http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, 400, out.StatusCode)
	require.Zero(t, s.book.count())
}

// withDropped returns headers as described wants them.
func withDropped(h http.Header) http.Header {
	h = h.Clone()
	h.Del("Connection")
	return h
}

// TestTimeoutMs: what is no number is refused by its name; what is none of the members
// waits as long as it may.
func TestTimeoutMs(t *testing.T) {
	s := start(t, rphttp.Options{})
	for v := rp.V1; v <= rp.V3; v++ {
		for _, bad := range []string{"x", "-1", "1.5", "1e3", "%00", "+1", "%D9%A1"} {
			r := s.do("GET", fmt.Sprintf("%s/v%d/session/%s?timeoutMs=%s", base, v, uuid, bad), nil)
			require.Equal(t, 400, r.status)
			_, text := r.detail(t, v)
			require.Contains(t, text, "timeoutMs")
		}
	}
	e := endpoints()[slices.IndexFunc(endpoints(), func(e endpoint) bool { return e.version == rp.V2 })]
	id := s.post(e.path, e.body).field(t, "sessionID").(string)
	request, _ := s.book.last(t)
	s.book.end(id, success(t, request))
	for query, want := range map[string]time.Duration{"": 60500 * time.Millisecond, "?timeoutMs=5000": 5 * time.Second, "?timeoutMs=1": time.Second, "?timeoutMs=999999": 2 * time.Minute, "?timeoutMs=": 60500 * time.Millisecond, "?x=%zz&timeoutMs=2000": 2 * time.Second} {
		require.Equal(t, 200, s.do("GET", base+"/v2/session/"+id+query, nil).status)
		require.Equal(t, want, <-s.book.waits, query)
	}
	for _, id := range []string{"x", "%00", uuid + "0", "{" + uuid + "}", strings.Repeat("0", 32)} {
		require.Equal(t, 404, s.do("GET", base+"/v2/session/"+id, nil).status)
	}
}
