package rphttp_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/rp/rphttp"
)

// BenchmarkRefuse is what strangers and garbage cost, without the connection; answered is
// a good request beside them, with an engine that does nothing.
func BenchmarkRefuse(b *testing.B) {
	e := endpoints()[0]
	good, err := json.Marshal(e.body)
	require.NoError(b, err)
	for _, c := range []struct {
		name, method, path, kind, body string
		status, rate                   int
	}{
		{"answered", "POST", e.path, "application/json", string(good), 200, 1e6},
		{"rate", "POST", e.path, "application/json", string(good), 429, 1},
		{"path", "GET", "/wp-login.php", "", "", 404, 1e6},
		{"method", "PUT", e.path, "application/json", string(good), 405, 1e6},
		{"type", "POST", e.path, "text/plain", string(good), 415, 1e6},
		{"long", "POST", e.path, "application/json", strings.Repeat(" ", 1<<20), 413, 1e6},
		{"json", "POST", e.path, "application/json", string(good[1:]), 400, 1e6},
		{"member", "POST", e.path, "application/json", strings.Replace(string(good), "SHA512", "SHA513", 1), 400, 1e6},
		{"person", "POST", e.path[:strings.LastIndexByte(e.path, '/')] + "/nobody", "application/json", string(good), 404, 1e6},
	} {
		b.Run(c.name, func(b *testing.B) {
			engine := newBook()
			h, err := rphttp.NewHandler(engine, rphttp.Options{Base: base, RatePerSource: c.rate, BurstPerSource: c.rate})
			require.NoError(b, err)
			text := []byte(c.body)
			body := bytes.NewReader(text)
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Header.Set("Content-Type", c.kind)
			r.ContentLength = int64(len(c.body))
			status := 0
			ask := func() {
				body.Reset(text)
				r.Body = io.NopCloser(body)
				w := discard{http.Header{}, &status}
				h.ServeHTTP(w, r)
				engine.requests, engine.sources = nil, nil
				clear(engine.sessions)
			}
			ask() // of a rate of one this is all
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
			require.Equal(b, c.status, status)
		})
	}
}

// discard is an http.ResponseWriter that keeps the status.
type discard struct {
	header http.Header
	status *int
}

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(status int)      { *d.status = status }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

func (d discard) SetReadDeadline(time.Time) error  { return nil }
func (d discard) SetWriteDeadline(time.Time) error { return nil }
