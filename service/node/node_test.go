package node_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/node"
)

func TestMain(m *testing.M) {
	if os.Getenv(clientsChild) != "" {
		runClients()
	}
	os.Exit(databasetest.Main(m))
}

// store answers pings as it is told.
type store struct {
	storetest.MemoryStore
	down atomic.Bool
	held atomic.Pointer[chan struct{}] // is closed by a ping, which then waits for its end
}

var errDown = errors.New("down")

func (s *store) Ping(ctx context.Context) error {
	if held := s.held.Swap(nil); held != nil {
		close(*held)
		<-ctx.Done()
		return ctx.Err()
	}
	if s.down.Load() {
		return errDown
	}
	return nil
}

// newConfig is one with which a node opens, and its store.
func newConfig(t testing.TB, issuing string) (node.Config, *store) {
	sealer, err := server.NewSoftwareSealer(bytes.Repeat([]byte{7}, server.SealerKeySize))
	require.NoError(t, err)
	private, err := hpke.MLKEM768X25519().GenerateKey()
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	root, err := ca.NewRoot(key, ca.TestName("root"), 0)
	require.NoError(t, err)
	name := ca.TestName("issuing")
	name.CommonName = issuing
	certificate, err := ca.NewIssuing(root, key, key.Public(), name, 0)
	require.NoError(t, err)
	profile := ca.CompatProfile()
	profile.TestNames = false
	s := new(store)
	return node.Config{
		DB: databasetest.Open(t, databasetest.SQLite(t)),
		Server: server.Config{
			Store: s, Policy: limiter.DefaultPolicy(), Sealer: sealer, HPKE: server.HPKEKeys{Current: private}, ChallengeKey: bytes.Repeat([]byte{9}, 32),
		},
		Secret: bytes.Repeat([]byte{5}, 32), Issuing: []ca.Issuing{{Certificate: certificate, Signer: key}}, Profile: profile,
		CAURL: "http://id.example/pki", Scheme: "tandem-test", LinkBase: "https://id.example/device-link", Quotas: accounts.DefaultQuotas(),
		Log: slog.New(slog.DiscardHandler),
	}, s
}

// TestProduction: what persons rely on has no test identities and no CA for tests, and a
// trial has no real CA.
func TestProduction(t *testing.T) {
	for _, c := range []struct {
		production, identities bool
		issuing, problem       string
	}{
		{true, false, "TEST Tree issuing", `the issuing CA "TEST Tree issuing" is one for tests`},
		{true, true, "Tree issuing", "test identities sign for whoever asks"},
		{false, false, "Tree issuing", `the issuing CA "Tree issuing" is a real one, and this is a trial`},
		{true, false, "Tree issuing", ""},
		{false, false, "TEST Tree issuing", ""},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			config, _ := newConfig(t, c.issuing)
			config.Production = c.production
			if c.identities {
				config.TestIdentities = &node.TestIdentities{Folder: t.TempDir()}
			}
			n, err := node.Open(t.Context(), config)
			if c.problem != "" {
				require.ErrorIs(t, err, node.ErrProduction)
				require.ErrorIs(t, err, node.ErrConfig)
				require.ErrorContains(t, err, c.problem)
				return
			}
			require.NoError(t, err)
			n.Close()
			n.Close()
		})
	}
}

// TestConfig: what is missing is refused, and what Open sets itself.
func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*node.Config){
		"database": func(c *node.Config) { c.DB = nil },
		"scheme":   func(c *node.Config) { c.Scheme = "" },
		"link":     func(c *node.Config) { c.LinkBase = "" },
		"CA's URL": func(c *node.Config) { c.CAURL = "" },
		"CA":       func(c *node.Config) { c.Issuing = nil },
		"empty CA": func(c *node.Config) { c.Issuing = []ca.Issuing{{}} },
		"signed":   func(c *node.Config) { c.Server.Signed = func(context.Context, server.Signed) error { return nil } },
		"admit": func(c *node.Config) {
			c.Server.Admit = func(context.Context, protocol.KeyID, protocol.Operation) error { return nil }
		},
	} {
		config, _ := newConfig(t, "TEST Tree issuing")
		change(&config)
		_, err := node.Open(t.Context(), config)
		require.ErrorIs(t, err, node.ErrConfig, name)
	}
	config, _ := newConfig(t, "TEST Tree issuing")
	config.Secret = config.Secret[1:]
	_, err := node.Open(t.Context(), config)
	require.ErrorIs(t, err, accounts.ErrConfig)
	require.Equal(t, "node.Config", fmt.Sprintf("%+v", config))
}

func get(t testing.TB, h http.Handler, method, target string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader("{}")))
	body, err := io.ReadAll(w.Result().Body)
	require.NoError(t, err)
	return w.Code, string(body)
}

// TestPaths: each part has its paths as they were sent, doubled slashes included.
func TestPaths(t *testing.T) {
	config, _ := newConfig(t, "TEST Tree issuing")
	registry := prometheus.NewRegistry()
	config.Metrics = registry
	n, err := node.Open(t.Context(), config)
	require.NoError(t, err)
	defer n.Close()
	require.Len(t, n.HPKEKey(), 1216)
	require.NotNil(t, n.Accounts())
	issuer := config.Issuing[0].ID()
	for _, c := range []struct {
		method, target string
		status         int
		text           string
	}{
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/readyz", 200, "ready"},
		{"HEAD", "/readyz", 200, ""},
		{"POST", "/readyz", 405, "method"},
		{"GET", "/device-link?a=b", 200, "This link opens the app"},
		{"GET", "/smart-id-rp/v2/session/00000000-0000-4000-8000-000000000000", 404, `"code"`},
		{"GET", "//smart-id-rp//v2/session/00000000-0000-4000-8000-000000000000", 404, `"code"`},
		{"GET", "/smart-id-rp/openapi.yaml", 200, "openapi"},
		{"GET", "/device/v1/account", 401, `"unauthorized"`},
		{"POST", "/device/v1/message", 403, ""},
		{"GET", "/pki/" + issuer + ".crl", 200, ""},
		{"GET", "/pki/ocsp/AA//AA==", 200, ""},
		{"GET", "/pki/nothing.crl", 404, ""},
		{"GET", "/mock/device-link", 404, "not found"},
		{"GET", "/", 404, "not found"},
		{"GET", "/metrics", 404, "not found"},
	} {
		status, body := get(t, n, c.method, c.target)
		require.Equal(t, c.status, status, "%s %s: %s", c.method, c.target, body)
		require.Contains(t, body, c.text, c.target)
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, f := range families {
		seen[f.GetName()] = true
	}
	for _, name := range []string{"tandem_rp_request_seconds", "tandem_phone_request_seconds", "tandem_requests_in_flight", "tandem_database_up", "tandem_notices", "tandem_up"} {
		require.True(t, seen[name], name)
	}
}

// TestReady: a node whose store, or whose database, does not answer is not ready, and is
// again when it does; one that is stopped is not.
func TestReady(t *testing.T) {
	config, s := newConfig(t, "TEST Tree issuing")
	s.down.Store(true)
	n, err := node.Open(t.Context(), config)
	require.NoError(t, err)
	defer n.Close()
	require.ErrorIs(t, n.Ready(), errDown)
	status, body := get(t, n, "GET", "/readyz")
	require.Equal(t, []any{503, "not ready\n"}, []any{status, body})
	status, _ = get(t, n, "GET", "/healthz")
	require.Equal(t, 200, status)
	s.down.Store(false)
	require.Eventually(t, func() bool { return n.Ready() == nil }, 2*time.Minute, 10*time.Millisecond)
	require.NoError(t, config.DB.Close())
	require.Eventually(t, func() bool { return n.Ready() != nil }, 2*time.Minute, 10*time.Millisecond)

	config, _ = newConfig(t, "TEST Tree issuing")
	other, err := node.Open(t.Context(), config)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.Ready())
	other.Drain()
	require.Error(t, other.Ready())

	// The CA's key is in a token that comes and goes.
	config, _ = newConfig(t, "TEST Tree issuing")
	token := &tokenKey{Signer: config.Issuing[0].Signer}
	config.Issuing[0].Signer = token
	last, err := node.Open(t.Context(), config)
	require.NoError(t, err)
	defer last.Close()
	require.NoError(t, last.Ready())
	token.down.Store(true)
	require.Eventually(t, func() bool { return errors.Is(last.Ready(), errDown) }, 2*time.Minute, 10*time.Millisecond)
	token.down.Store(false)
	require.Eventually(t, func() bool { return last.Ready() == nil }, 2*time.Minute, 10*time.Millisecond)
}

// tokenKey is a key that answers pings as it is told.
type tokenKey struct {
	crypto.Signer
	down atomic.Bool
}

func (k *tokenKey) Ping(context.Context) error {
	if k.down.Load() {
		return errDown
	}
	return nil
}

// TestCutOffLook: a node that ends while it looks at its parts does not say that they
// are down.
func TestCutOffLook(t *testing.T) {
	config, s := newConfig(t, "TEST Tree issuing")
	var log bytes.Buffer
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	n, err := node.Open(t.Context(), config)
	require.NoError(t, err)
	held := make(chan struct{})
	s.held.Store(&held)
	select {
	case <-held:
	case <-time.After(2 * time.Minute):
		require.Fail(t, "nobody looks")
	}
	n.Close()
	require.NotContains(t, log.String(), "not ready")
}

// TestNothing: nothing is an error, and never a panic.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*node.Node)(nil)},
		Functions: map[string]any{"Open": node.Open},
		Good:      []any{httptest.NewRecorder(), httptest.NewRequest("GET", "/healthz", nil)},
		May: map[string]string{
			"Node.ServeHTTP": "it answers with 500",
			"Node.HPKEKey":   "it returns nothing", "Node.Accounts": "it returns nothing",
			"Node.Drain": "there is nothing to do", "Node.Close": "there is nothing to do",
		},
	})
	var none *node.Node
	status, _ := get(t, none, "GET", "/healthz")
	require.Equal(t, http.StatusInternalServerError, status)
}
