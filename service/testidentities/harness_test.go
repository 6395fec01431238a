package testidentities

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/sqlstore"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
	"github.com/tandem-rsa/tandem/service/transactions"
	"github.com/tandem-rsa/tandem/splitkey"
)

func TestMain(m *testing.M) { os.Exit(databasetest.Main(m)) }

const (
	demo    = "00000000-0000-4000-8000-000000000000"
	oldDemo = "00000000-0000-0000-0000-000000000000"
	scheme  = "smart-id-test"
)

// world is a whole service: the relying-party API, the engine, the CA, and test persons.
type world struct {
	t          testing.TB
	accounts   *accounts.Accounts
	engine     *transactions.Engine
	authority  *ca.Authority
	root       *x509.Certificate
	issuing    *x509.Certificate
	config     Config // of the test persons
	identities *Identities
	api        *httptest.Server // below /smart-id-rp, and /mock/device-link
	pki        *httptest.Server
	ahead      atomic.Int64 // what the engine's clock is ahead
	fail       atomic.Int64 // how many signatures do not arrive
}

// newWorld starts a service that has these persons; all if there are none.
func newWorld(t testing.TB, persons ...Identity) *world {
	return newWorldWith(t, func(*Config) {}, persons...)
}

func newWorldWith(t testing.TB, change func(*Config), persons ...Identity) *world {
	w := newService(t, "TEST Tree issuing")
	if len(persons) > 0 {
		w.config.Identities = persons
	}
	change(&w.config)
	var err error
	w.identities, err = Open(t.Context(), w.config)
	require.NoError(t, err)
	t.Cleanup(w.identities.Close)

	api, err := rphttp.NewHandler(w.identities.Watch(w.engine), rphttp.Options{
		Base: "/smart-id-rp", RatePerSource: 1e6, BurstPerSource: 1e6, Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	require.NoError(t, err)
	mock := w.identities.Handler()
	w.api = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mock/device-link" {
			mock.ServeHTTP(rw, r)
			return
		}
		api.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		api.Drain()
		w.api.Close()
	})
	return w
}

// newService starts all that test persons need.
func newService(t testing.TB, issuing string) *world {
	w := &world{t: t}
	ctx := t.Context()
	quiet := slog.New(slog.DiscardHandler)
	db := databasetest.Open(t, databasetest.SQLite(t))

	var pki http.Handler
	w.pki = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { pki.ServeHTTP(rw, r) }))
	t.Cleanup(w.pki.Close)
	issued, err := sqlstore.New(db)
	require.NoError(t, err)
	w.newAuthority(issued, issuing)
	pki = http.StripPrefix("/pki", w.authority.Handler(quiet))

	sealer, err := server.NewSoftwareSealer(bytes.Repeat([]byte{7}, server.SealerKeySize))
	require.NoError(t, err)
	private, err := hpke.MLKEM768X25519().GenerateKey()
	require.NoError(t, err)
	srv, err := server.New(server.Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Sealer: sealer, HPKE: server.HPKEKeys{Current: private},
		ChallengeKey: bytes.Repeat([]byte{9}, 32), Log: quiet,
		Keys: oneKey{},
		Admit: func(ctx context.Context, id protocol.KeyID, o protocol.Operation) error {
			return w.accounts.Admit(ctx, id, o)
		},
		Signed: func(ctx context.Context, s server.Signed) error {
			if w.fail.Add(-1) >= 0 {
				return errors.New("the database is gone")
			}
			return w.engine.Signed(ctx, s)
		},
	})
	require.NoError(t, err)
	w.accounts, err = accounts.New(accounts.Config{DB: db, Keys: srv, Issuer: w.authority, Issued: issued, Secret: bytes.Repeat([]byte{5}, 32), Log: quiet, Quotas: accounts.Quotas{Code: accounts.DefaultQuotas().Code}})
	require.NoError(t, err)
	for _, uuid := range []string{demo, oldDemo} {
		require.NoError(t, w.accounts.SetRelyingParty(ctx, accounts.RelyingParty{
			UUID: uuid, Names: []string{"DEMO"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Advanced: true, ShareIP: true,
		}))
	}
	w.engine = w.newEngine(db, srv, quiet)

	w.config = Config{
		Accounts: w.accounts, Engine: w.engine, Protocol: srv, IssuingCA: w.issuing, Folder: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(testLog{t}, nil)),
	}
	return w
}

func (w *world) newEngine(db *database.DB, srv *server.Server, quiet *slog.Logger) *transactions.Engine {
	e, err := transactions.New(transactions.Config{
		DB: db, Accounts: w.accounts, Protocol: srv, Scheme: scheme, LinkBase: "https://id.example/device-link", Log: quiet,
		Clock: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
	})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	over := make(chan error, 1)
	go func() { over <- e.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		<-over
	})
	return e
}

// testLog fails the test for what is logged: test persons have nothing to complain of.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Errorf("logged: %s", p)
	return len(p), nil
}

func rootName() ca.Name {
	return ca.Name{Country: "EE", Organization: "Tree", OrganizationID: "NTREE-12345678", CommonName: "TEST Tree root"}
}

// newRoot returns another root of the same name.
func newRoot(t testing.TB) *x509.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	root, err := ca.NewRoot(key, rootName(), 0)
	require.NoError(t, err)
	return root
}

func (w *world) newAuthority(s ca.Store, issuing string) {
	t, name := w.t, rootName()
	rootKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	w.root, err = ca.NewRoot(rootKey, name, 0)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	name.CommonName = issuing
	w.issuing, err = ca.NewIssuing(w.root, rootKey, key.Public(), name, 0)
	require.NoError(t, err)
	profile := ca.CompatProfile()
	profile.TestNames = strings.HasPrefix(issuing, "TEST")
	w.authority, err = ca.New(ca.Config{Issuing: []ca.Issuing{{Certificate: w.issuing, Signer: key}}, Store: s, Profile: profile, URL: w.pki.URL + "/pki"})
	require.NoError(t, err)
}

// serverKey is the server's key for all: to make each takes too long for a test.
var serverKey = sync.OnceValues(func() ([]byte, error) {
	k, err := splitkey.GenerateSoftwareKey(2048)
	if err != nil {
		return nil, err
	}
	return k.Bytes(), nil
})

// oneKey gives out the same key again and again, so that persons' keys are composite, of
// 4096 bits, as in a service.
type oneKey struct{}

func (oneKey) Bits() int { return 2048 }

func (k oneKey) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	blob, err := serverKey()
	if err != nil {
		return nil, nil, err
	}
	key, err := k.LoadKey(ctx, blob)
	return key, bytes.Clone(blob), err
}

func (oneKey) LoadKey(_ context.Context, blob []byte) (splitkey.RSAKey, error) {
	return splitkey.ParseSoftwareKey(bytes.Clone(blob))
}

type object = map[string]any

// call sends a request and returns the status and the answer.
func (w *world) call(method, path string, body any) (int, object) {
	w.t.Helper()
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		require.NoError(w.t, err)
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.api.URL+path, in)
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/json")
	out, err := w.api.Client().Do(r)
	require.NoError(w.t, err)
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	require.NoError(w.t, err)
	var o object
	require.NoError(w.t, json.Unmarshal(text, &o), string(text))
	return out.StatusCode, o
}

// who returns the test person with a number.
func who(t testing.TB, number string) Identity {
	for _, i := range All() {
		if strings.HasSuffix(i.Person.ID.String(), number) {
			return i
		}
	}
	require.Fail(t, "nobody", number)
	return Identity{}
}

func id(number string) identity.ID { return identity.ID{Type: "PNO", Country: "EE", Number: number} }
