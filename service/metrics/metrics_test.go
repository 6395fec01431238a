package metrics

import (
	"bytes"
	"crypto"
	"crypto/hpke"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/httphandler"
	"github.com/tandem-rsa/tandem/protocol/httptransport"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
	"github.com/tandem-rsa/tandem/service/stores/etcd"
	"github.com/tandem-rsa/tandem/service/stores/postgres"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

func TestNothing(t *testing.T) {
	may := map[string]string{}
	for _, name := range []string{"Handled", "Called", "Happened", "Undelivered", "Pinged"} {
		may["Metrics."+name] = "it tells nobody anything"
	}
	niltest.Check(t, niltest.Package{Types: []any{(*Metrics)(nil)}, Functions: map[string]any{"New": New}, May: may})
	var none *Metrics
	none.Handled(observe.Handled{})
	new(Metrics).Pinged(nil)
}

// scraped returns what Prometheus would read, without the buckets and sums of times.
func scraped(t *testing.T, registry *prometheus.Registry) []string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		if !regexp.MustCompile(`^#|_bucket\{|_seconds_sum`).MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return lines
}

// memory is a device's storage.
type memory struct{ data []byte }

func (m *memory) Load() ([]byte, error) { return m.data, nil }

func (m *memory) Lock() (func(), error) { return func() {}, nil }

func (m *memory) Save(data []byte) error {
	m.data = bytes.Clone(data)
	return nil
}

// TestMetrics: a phone's life over HTTP, on a store on the disk, as Prometheus sees it.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m, err := New(registry)
	require.NoError(t, err)
	store, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
	require.NoError(t, err)
	defer store.Close()
	sealer, err := server.NewSoftwareSealer(bytes.Repeat([]byte{1}, server.SealerKeySize))
	require.NoError(t, err)
	private, err := hpke.MLKEM768X25519().GenerateKey()
	require.NoError(t, err)
	s, err := server.New(server.Config{
		Store: store, Policy: limiter.DefaultPolicy(), Sealer: sealer, HPKE: server.HPKEKeys{Current: private},
		ChallengeKey: bytes.Repeat([]byte{2}, 32), Observer: m, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	require.NoError(t, err)
	handler, err := httphandler.NewHandler(s, httphandler.Options{})
	require.NoError(t, err)
	service := httptest.NewServer(handler)
	defer service.Close()
	post, err := httptransport.NewTransport(service.URL, nil)
	require.NoError(t, err)
	phone, err := device.New(device.Config{
		Storage: new(memory), Transport: post, HPKEKey: s.HPKEKey(), Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1},
	})
	require.NoError(t, err)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.NoError(t, phone.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: []byte("4917")}))
	require.NoError(t, phone.Confirm(t.Context(), nil, []byte("4917")))
	digests := [][]byte{bytes.Repeat([]byte{3}, 32), bytes.Repeat([]byte{4}, 32)}
	for _, pin := range []string{"8306", "4917"} {
		challenge, err = s.ChallengeSignAll(t.Context(), id, digests, crypto.SHA256)
		require.NoError(t, err)
		_, err = phone.SignAll(t.Context(), challenge, digests, crypto.SHA256, []byte(pin))
		require.Equal(t, pin == "4917", err == nil)
	}
	_, err = post(t.Context(), []byte("let me in"))
	require.Error(t, err)
	_, err = post(t.Context(), make([]byte, protocol.MaxRequest+1))
	require.Error(t, err)
	require.NoError(t, s.Revoke(t.Context(), id, "stolen"))
	m.Undelivered(8)
	m.Pinged(s.Ping(t.Context()))
	lines := scraped(t, registry)
	require.Equal(t, []string{
		`tandem_call_seconds_count{call="create",part="store",result="ok"} 2`,
		`tandem_call_seconds_count{call="finish",part="keys",result="ok"} 3`,
		`tandem_call_seconds_count{call="load",part="store",result="not found"} 2`,
		`tandem_call_seconds_count{call="load",part="store",result="ok"} 5`,
		`tandem_call_seconds_count{call="open",part="sealer",result="ok"} 3`,
		`tandem_call_seconds_count{call="record",part="audit",result="ok"} 6`,
		`tandem_call_seconds_count{call="seal",part="sealer",result="ok"} 1`,
		`tandem_call_seconds_count{call="swap",part="store",result="ok"} 4`,
		`tandem_events_total{kind="key confirmed",reason=""} 1`,
		`tandem_events_total{kind="key destroyed",reason="revoked"} 1`,
		`tandem_events_total{kind="key enrolled",reason=""} 1`,
		`tandem_events_total{kind="key revoked",reason=""} 1`,
		`tandem_events_total{kind="signature made",reason=""} 1`,
		`tandem_events_total{kind="wrong PIN",reason=""} 1`,
		`tandem_refused_total{cause="malformed"} 1`,
		`tandem_refused_total{cause="too long"} 1`,
		`tandem_request_seconds_count{operation="confirm",outcome="right"} 1`,
		`tandem_request_seconds_count{operation="enroll",outcome="enrolled"} 1`,
		`tandem_request_seconds_count{operation="sign",outcome="right"} 1`,
		`tandem_request_seconds_count{operation="sign",outcome="wrong PIN"} 1`,
		`tandem_request_seconds_count{operation="unknown",outcome="refused"} 1`,
		`tandem_signatures_total 2`,
		`tandem_undelivered_events_count 1`,
		`tandem_undelivered_events_sum 8`,
		`tandem_up{part="keys"} 1`,
		`tandem_up{part="sealer"} 1`,
		`tandem_up{part="store"} 1`,
	}, lines)
	require.NotContains(t, strings.Join(lines, "\n"), id.String())

	// A store that is closed is seen by the next ping, and by nobody else.
	require.NoError(t, store.Close())
	m.Pinged(s.Ping(t.Context()))
	require.Subset(t, scraped(t, registry), []string{`tandem_up{part="store"} 0`, `tandem_up{part="sealer"} 1`, `tandem_up{part="keys"} 1`})
	m.Pinged(errors.New("no server"))
	require.Subset(t, scraped(t, registry), []string{`tandem_up{part="store"} 0`, `tandem_up{part="sealer"} 0`, `tandem_up{part="keys"} 0`})

	_, err = New(registry)
	require.Error(t, err, "they are registered already")
}

// The stores of this module are asked by their own Ping.
var _ = []observe.Pinger{(*bolt.Store)(nil), (*etcd.Store)(nil), (*postgres.Store)(nil), (*watermark.Store)(nil)}
