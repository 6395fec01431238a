// Package webtest is a whole node with its pages behind TLS, and phones, for tests of the
// pages.
package webtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/rp"
)

// Scheme is that of the node.
const Scheme = "tandem-test"

// World is a node.
type World struct {
	Node   *node.Node
	Config node.Config
	Web    *httptest.Server
	URL    string
	Log    *Log
	Root   *x509.Certificate
	CA     *x509.Certificate // that issues
}

// Main is for TestMain.
func Main(m *testing.M) { os.Exit(databasetest.Main(m)) }

// New starts a node, until the test ends. change may change its configuration.
func New(t testing.TB, change func(*node.Config)) *World {
	sealer, err := server.NewSoftwareSealer(bytes.Repeat([]byte{7}, server.SealerKeySize))
	require.NoError(t, err)
	private, err := hpke.MLKEM768X25519().GenerateKey()
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	root, err := ca.NewRoot(key, ca.TestName("root"), 0)
	require.NoError(t, err)
	issuer, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	issuing, err := ca.NewIssuing(root, key, issuer.Public(), ca.TestName("issuing"), 0)
	require.NoError(t, err)
	profile := ca.CompatProfile()
	profile.MinBits = 2048 // such keys are made sooner
	w := &World{Log: new(Log), Root: root, CA: issuing}
	var h http.Handler = http.NotFoundHandler()
	w.Web = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { h.ServeHTTP(rw, r) }))
	// Browsers that do not know the certificate yet are no news.
	w.Web.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.URL = "https://" + w.Web.Listener.Addr().String()
	w.Config = node.Config{
		DB: databasetest.Open(t, databasetest.SQLite(t)),
		Server: server.Config{
			Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Sealer: sealer, HPKE: server.HPKEKeys{Current: private},
			ChallengeKey: bytes.Repeat([]byte{9}, 32),
		},
		Secret: bytes.Repeat([]byte{5}, 32), Issuing: []ca.Issuing{{Certificate: issuing, Signer: issuer}}, Profile: profile,
		CAURL: w.URL + "/pki", Scheme: Scheme, LinkBase: w.URL + "/device-link",
		Pages: &node.Pages{URL: w.URL, Bank: true}, Log: slog.New(slog.NewTextHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if change != nil {
		change(&w.Config)
	}
	w.Node, err = node.Open(t.Context(), w.Config)
	require.NoError(t, err)
	h = w.Node
	w.Web.StartTLS()
	t.Cleanup(func() {
		w.Node.Drain()
		w.Web.Close()
		w.Node.Close()
	})
	return w
}

// Log keeps what a node logs.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Errors are the lines of errors.
func (l *Log) Errors() (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, "level=ERROR") {
			out = append(out, line)
		}
	}
	return out
}

// Person makes one of Estonia.
func Person(number, given, surname string) identity.Person {
	return identity.Person{ID: identity.ID{Type: "PNO", Country: "EE", Number: number}, Given: given, Surname: surname}
}

// PINs are those of all phones.
var PINs = deviceclient.PINs{Authentication: []byte("4917"), Signature: []byte("83015")}

// Phone is a phone with an account.
type Phone struct {
	*deviceclient.Phone
	Account accounts.Account
	Code    string // revocation
}

// Enrol gives a person a phone with an account.
func (w *World) Enrol(t testing.TB, person identity.Person, level identity.Level, label string) *Phone {
	r, err := w.Node.Accounts().Register(t.Context(), accounts.Registration{Person: person, Level: level})
	require.NoError(t, err)
	c := deviceclient.Config{URL: w.URL + "/device/v1", Fetch: deviceclient.NewHTTP(w.Web.Client()), Stream: deviceclient.NewHTTPStream(w.Web.Client()), Token: deviceclient.NewToken(), Scheme: Scheme}
	for _, d := range []*device.Config{&c.Authentication, &c.Signature} {
		storage, err := device.NewFileStorage(t.TempDir())
		require.NoError(t, err)
		*d = device.Config{Storage: storage, HPKEKey: w.Node.HPKEKey(), Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}}
	}
	p := new(Phone)
	p.Phone, err = deviceclient.New(c)
	require.NoError(t, err)
	o, err := p.Enrol(t.Context(), r.Code, label, PINs)
	require.NoError(t, err)
	document, err := identity.ParseDocument(o.Account.Document)
	require.NoError(t, err)
	p.Account, err = w.Node.Accounts().ByDocument(t.Context(), document)
	require.NoError(t, err)
	p.Code = o.RevocationCode
	return p
}

// Next waits for a session that this phone was not told of, and opens it.
func (p *Phone) Next(ctx context.Context) (*deviceclient.Transaction, error) {
	for {
		pending, err := p.Poll(ctx, nil, time.Minute)
		if err != nil {
			return nil, err
		}
		if pending != nil {
			return p.Open(ctx, pending)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// Answer has the phone sign: after the code that its owner sees on the page, if it is
// asked for one.
func (p *Phone) Answer(ctx context.Context, t *deviceclient.Transaction, code string) error {
	if len(t.Codes) > 0 {
		if err := t.Choose(ctx, code); err != nil {
			return err
		}
	} else if code != "" && t.Code != code {
		return errors.New("webtest: the page shows another code than the phone")
	}
	pin := PINs.Authentication
	if t.Kind == rp.Signature {
		pin = PINs.Signature
	}
	return t.Sign(ctx, pin)
}

// Browser is one of a person: it keeps cookies, and follows redirects.
type Browser struct {
	*http.Client
	t   testing.TB
	URL string
}

// Browser returns a new one.
func (w *World) Browser(t testing.TB) *Browser {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	c := *w.Web.Client()
	c.Jar = jar
	return &Browser{&c, t, w.URL}
}

// Page is what a browser shows.
type Page struct {
	Status int
	Path   string // after redirects
	Text   string
	Header http.Header
}

// Do makes a request as it is.
func (b *Browser) Do(r *http.Request) Page {
	b.t.Helper()
	response, err := b.Client.Do(r)
	require.NoError(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return Page{response.StatusCode, response.Request.URL.RequestURI(), string(text), response.Header}
}

// Get opens a path.
func (b *Browser) Get(path string) Page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.URL+path, nil)
	require.NoError(b.t, err)
	return b.Do(r)
}

// Post sends a form, as the browser does for one of the page's own.
func (b *Browser) Post(path string, form url.Values) Page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.URL+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.Do(r)
}
