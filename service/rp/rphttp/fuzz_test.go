package rphttp_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
)

// recorder is an http.ResponseWriter with deadlines that never come.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetReadDeadline(time.Time) error  { return nil }
func (recorder) SetWriteDeadline(time.Time) error { return nil }

var writeCorpus = flag.Bool("corpus", false, "write the corpus of FuzzHandler")

const corpus = "testdata/fuzz/FuzzHandler"

// request is the bytes of a POST.
func request(path, body string, headers ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n\r\n%s", path, len(body), strings.Join(append(headers, asJSON), "\r\n"), body)
}

// seeds are a good request for each endpoint, and some of each kind that is not.
func seeds(t testing.TB) map[string]string {
	out := map[string]string{}
	for _, e := range endpoints() {
		body, err := json.Marshal(e.body)
		require.NoError(t, err)
		name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(e.String()[1:], "-")
		out["good-"+strings.Trim(name, "-")] = request(e.path, string(body))
		if e.pattern == "authentication/notification/etsi/{id}" {
			out["slashes"] = request("/"+strings.ReplaceAll(e.path, "/", "//"), string(body))
			out["escapes"] = request(strings.ReplaceAll(e.path, "-4050", "%2D4%30%350"), string(body))
			out["cut"] = request(e.path, string(body))[:500]
			out["chunked"] = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n%s\r\n\r\n%x\r\n%s\r\n0\r\nX-A: b\r\n\r\n", e.path, asJSON, len(body), body)
			out["twice"] = request(e.path, `{"relyingPartyName":"DEMO",`+string(body[1:]))
			out["deep"] = request(e.path, strings.Repeat(`{"a":[`, 20))
			out["long"] = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 1048576\r\n\r\n{}", e.path, asJSON)
			out["form"] = strings.Replace(request(e.path, "a=b"), "json", "x-www-form-urlencoded", 1)
			out["bidi"] = request(e.path, strings.Replace(string(body), `"DEMO"`, `"DE\u202eMO"`, 1))
			out["forwarded"] = request(e.path, string(body), "X-Forwarded-For: 192.0.2.1, 10.0.0.1", "Authorization: Bearer a", "X-Proxy-Id: r-17")
		}
	}
	for v := 1; v <= 3; v++ {
		out[fmt.Sprintf("session-v%d", v)] = fmt.Sprintf("GET %s/v%d/session/%s?timeoutMs=1000 HTTP/1.1\r\nHost: x\r\n\r\n", base, v, uuid)
	}
	out["openapi"] = "GET " + base + "/openapi.yaml HTTP/1.0\r\n\r\n"
	out["delete"] = "DELETE " + base + "/v3/session/x HTTP/1.1\r\nHost: x\r\n\r\n"
	out["star"] = "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
	out["absolute"] = "GET http://x" + base + "/v2/session/%00?timeoutMs=x HTTP/1.1\r\nHost: x\r\n\r\n"
	return out
}

// TestCorpus: the corpus has these, and what is called good in it is answered.
func TestCorpus(t *testing.T) {
	engine := newBook()
	h, err := rphttp.NewHandler(engine, rphttp.Options{Base: base})
	require.NoError(t, err)
	good := 0
	for name, text := range seeds(t) {
		file := filepath.Join(corpus, name)
		want := "go test fuzz v1\n[]byte(" + strconv.Quote(text) + ")\n"
		if *writeCorpus {
			require.NoError(t, os.MkdirAll(corpus, 0o755))
			require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		}
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		if strings.HasPrefix(name, "good-") {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
			require.NoError(t, err)
			w := recorder{httptest.NewRecorder()}
			h.ServeHTTP(w, r)
			require.Equal(t, 200, w.Code, name)
			good++
		}
	}
	require.Equal(t, 28, good)
}

// FuzzHandler: bytes of HTTP/1, as net/http reads them. Whatever they are, the answer is
// one that the OpenAPI document has, an internal error is none, what reaches the engine
// is within its limits, and the log has a line without the body.
func FuzzHandler(f *testing.F) {
	engine := newBook()
	known := rp.Request{Version: rp.V2, Kind: rp.Signature, Flow: rp.Notification}
	ended := &entry{request: known, ended: make(chan struct{})}
	close(ended.ended)
	engine.sessions[uuid] = ended
	var log bytes.Buffer
	h, err := rphttp.NewHandler(engine, rphttp.Options{Base: base, Log: slog.New(slog.NewTextHandler(&log, nil)), RatePerSource: 1e6, BurstPerSource: 1e6})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return
		}
		log.Reset()
		engine.requests = nil
		w := recorder{httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		_, _ = io.Copy(io.Discard, r.Body)
		answer := response{w.Code, w.Header(), w.Body.Bytes()}
		require.NoError(t, described(r.Method, r.URL.EscapedPath(), answer), "%d %s", w.Code, w.Body)
		require.NotEqual(t, 500, w.Code)
		require.Equal(t, 1, strings.Count(log.String(), "\n"))
		require.Less(t, log.Len(), 600)
		for _, request := range engine.requests {
			require.Equal(t, 200, w.Code)
			require.NotEmpty(t, request.RelyingPartyUUID)
			require.Empty(t, rp.DisplayProblem(request.RelyingPartyName, 32))
			require.LessOrEqual(t, len(request.CallbackURL), 1800)
			require.LessOrEqual(t, len(request.Digest), 64)
			for _, i := range request.Interactions {
				most, _ := i.Type.MaxText()
				require.Empty(t, rp.DisplayProblem(i.Text, most))
			}
		}
	})
}
