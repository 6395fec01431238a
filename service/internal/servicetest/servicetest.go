// Package servicetest is a whole service in a process, for tests of its parts: accounts,
// sessions, a certification authority, the protocol's server, and the handler of phones.
package servicetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
	"github.com/tandem-rsa/tandem/service/ca/catest"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/deviceapi"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/push"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/transactions"
)

// Names of the service, and of the one relying party, which calls from 127.0.0.1.
const (
	Scheme   = "smart-id-test"
	LinkBase = "https://id.example/device-link"
	Party    = "00000000-0000-4000-8000-000000000000"
)

// Source is where the relying party calls from.
var Source = rp.Source{Address: netip.MustParseAddr("127.0.0.1")}

// Secrets are what the nodes of a service, and its next start, have in common.
type Secrets struct {
	Sealer, Challenge, Accounts []byte
	HPKE                        []byte
}

// NewSecrets draws them.
func NewSecrets() (Secrets, error) {
	s := Secrets{Sealer: make([]byte, server.SealerKeySize), Challenge: make([]byte, 32), Accounts: make([]byte, 32)}
	for _, b := range [][]byte{s.Sealer, s.Challenge, s.Accounts} {
		rand.Read(b)
	}
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return s, err
	}
	s.HPKE, err = private.Bytes()
	return s, err
}

// Service is one node.
type Service struct {
	DB       *database.DB
	Server   *server.Server
	Accounts *accounts.Accounts
	Engine   *transactions.Engine
	Handler  *deviceapi.Handler
	Push     *push.Push // which a test runs
}

// Config says what a service has in common with others, and what is different with it.
type Config struct {
	DB      *database.DB
	Store   limiter.Store // nil is one in memory
	Secrets Secrets
	Issuer  ca.Issuer                                  // nil makes one
	Life    time.Duration                              // of sessions
	Signed  func(context.Context, server.Signed) error // in place of the engine's, which it may call
	Senders map[string]push.Sender
}

// Open starts a service.
func Open(c Config) (*Service, error) {
	if c.Store == nil {
		c.Store = new(storetest.MemoryStore)
	}
	quiet := slog.New(slog.DiscardHandler)
	s := &Service{DB: c.DB}
	sealer, err := server.NewSoftwareSealer(c.Secrets.Sealer)
	if err != nil {
		return nil, err
	}
	private, err := hpke.MLKEM768X25519().NewPrivateKey(c.Secrets.HPKE)
	if err != nil {
		return nil, err
	}
	signed := c.Signed
	if signed == nil {
		signed = func(ctx context.Context, x server.Signed) error { return s.Engine.Signed(ctx, x) }
	}
	s.Server, err = server.New(server.Config{
		Store: c.Store, Policy: limiter.DefaultPolicy(), Sealer: sealer, HPKE: server.HPKEKeys{Current: private},
		ChallengeKey: c.Secrets.Challenge, Log: quiet, Signed: signed,
	})
	if err != nil {
		return nil, err
	}
	if c.Issuer == nil {
		if c.Issuer, err = NewIssuer(catest.NewMemoryStore()); err != nil {
			return nil, err
		}
	}
	if s.Accounts, err = accounts.New(accounts.Config{DB: c.DB, Keys: s.Server, Issuer: c.Issuer, Secret: c.Secrets.Accounts, Log: quiet}); err != nil {
		return nil, err
	}
	if s.Push, err = push.New(push.Config{DB: c.DB, Senders: c.Senders, Log: quiet}); err != nil {
		return nil, err
	}
	s.Engine, err = transactions.New(transactions.Config{
		DB: c.DB, Accounts: s.Accounts, Protocol: s.Server, Scheme: Scheme, LinkBase: LinkBase, Life: c.Life, Log: quiet,
		Wake: func(d identity.Document) {
			if !s.Handler.Listens(d) {
				s.Push.Wake(d)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	s.Accounts.OnEnd(s.Engine.CloseAccount)
	s.Accounts.OnEnd(s.Push.CloseAccount)
	s.Handler, err = deviceapi.NewHandler(deviceapi.Config{Engine: s.Engine, Accounts: s.Accounts, Server: s.Server, Subscriptions: s.Push, KeepAlive: time.Second, Log: quiet})
	return s, err
}

// NewIssuer makes a CA for keys of 2048 bits, which are made sooner.
func NewIssuer(store ca.Store) (*ca.Authority, error) {
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		return k
	}
	rootKey, issuingKey := key(), key()
	root, err := ca.NewRoot(rootKey, ca.TestName("root"), 0)
	if err != nil {
		return nil, err
	}
	issuing, err := ca.NewIssuing(root, rootKey, issuingKey.Public(), ca.TestName("issuing"), 0)
	if err != nil {
		return nil, err
	}
	profile := ca.CompatProfile()
	profile.MinBits = 2048
	return ca.New(ca.Config{Issuing: []ca.Issuing{{Certificate: issuing, Signer: issuingKey}}, Store: store, Profile: profile, URL: "http://ca.example/pki"})
}

// New is a service on a database, with its relying party.
func New(t testing.TB, db *database.DB) *Service { return NewWith(t, Config{DB: db}) }

// NewWith is New with more of the configuration; the secrets are drawn.
func NewWith(t testing.TB, c Config) *Service {
	var err error
	c.Secrets, err = NewSecrets()
	require.NoError(t, err)
	s, err := Open(c)
	require.NoError(t, err)
	s.AddParty(t)
	return s
}

// AddParty makes the relying party.
func (s *Service) AddParty(t testing.TB) {
	require.NoError(t, s.Accounts.SetRelyingParty(t.Context(), accounts.RelyingParty{
		UUID: Party, Names: []string{"DEMO"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Advanced: true, ShareIP: true,
	}))
}

// Serve serves the phones' calls, until the test ends, and returns the URL.
func (s *Service) Serve(t testing.TB) string {
	web := httptest.NewServer(http.StripPrefix("/device/v1", s.Handler))
	t.Cleanup(func() {
		s.Handler.Close()
		web.Close()
	})
	return web.URL + "/device/v1"
}

// Mari is a person.
var Mari = identity.Person{
	ID: identity.ID{Type: "PNO", Country: "EE", Number: "40504040001"}, Given: "MARI", Surname: "MÄND",
	Born: time.Date(1905, 4, 4, 0, 0, 0, 0, time.UTC),
}

// PINs are those of all phones.
var PINs = deviceclient.PINs{Authentication: []byte("4917"), Signature: []byte("83015")}

// Phone is a phone, with the configuration that it can be started with anew.
type Phone struct {
	*deviceclient.Phone
	Config  deviceclient.Config
	Account accounts.Account
	Code    string // revocation
}

// NewPhone is a phone without an account.
func (s *Service) NewPhone(t testing.TB, url string) *Phone {
	p := &Phone{Config: deviceclient.Config{URL: url, Token: deviceclient.NewToken(), Scheme: Scheme}}
	for _, d := range []*device.Config{&p.Config.Authentication, &p.Config.Signature} {
		storage, err := device.NewFileStorage(t.TempDir())
		require.NoError(t, err)
		*d = device.Config{Storage: storage, HPKEKey: s.Server.HPKEKey(), Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}}
	}
	p.Start(t)
	return p
}

// Start starts the phone's app: it has what it has stored, and nothing else.
func (p *Phone) Start(t testing.TB) {
	var err error
	p.Phone, err = deviceclient.New(p.Config)
	require.NoError(t, err)
}

// Enrol gives a person a phone with an account.
func (s *Service) Enrol(t testing.TB, url string, person identity.Person, level identity.Level) *Phone {
	r, err := s.Accounts.Register(t.Context(), accounts.Registration{Person: person, Level: level})
	require.NoError(t, err)
	p := s.NewPhone(t, url)
	o, err := p.Enrol(t.Context(), r.Code, "Mari's phone", PINs)
	require.NoError(t, err)
	s.Opened(t, p, o)
	return p
}

// Opened notes the account of a phone.
func (s *Service) Opened(t testing.TB, p *Phone, o deviceclient.Opened) {
	d, err := identity.ParseDocument(o.Account.Document)
	require.NoError(t, err)
	p.Account, err = s.Accounts.ByDocument(t.Context(), d)
	require.NoError(t, err)
	p.Code = o.RevocationCode
	require.NotEmpty(t, p.Code)
}
