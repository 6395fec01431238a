package accounts_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/sqlstore"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/notices"
	"github.com/tandem-rsa/tandem/splitkey"
)

func TestMain(m *testing.M) { os.Exit(databasetest.Main(m)) }

// both runs a test on both engines.
func both(t *testing.T, f func(t *testing.T, w *world)) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) { f(t, newWorld(t, open)) })
}

// onSQLite runs a test for which the engine makes no difference.
func onSQLite(t *testing.T, f func(t *testing.T, w *world)) {
	address := databasetest.SQLite(t)
	f(t, newWorld(t, func() *database.DB { return databasetest.Open(t, address) }))
}

// world is a service with all its parts, on a clock of its own.
type world struct {
	*accounts.Accounts
	config    accounts.Config
	db        *database.DB
	open      func() *database.DB
	server    *server.Server
	authority *ca.Authority
	issued    *sqlstore.Store
	events    *accounts.Events
	outbox    *notices.Outbox
	sent      *inbox
	told      *told
	clock     *clock
	keys      atomic.Int32 // how many of testKeys this service has seen
}

// clock begins now, since certificates go by the real one.
type clock struct{ ahead atomic.Int64 }

var began = time.Now()

func (c *clock) Now() time.Time          { return began.Add(time.Duration(c.ahead.Load())) }
func (c *clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// inbox is a sender that keeps what it is given.
type inbox struct {
	mu  sync.Mutex
	all []notices.Notice
}

func (i *inbox) Send(_ context.Context, n notices.Notice) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.all = append(i.all, n)
	return nil
}

// take returns what was sent, after all was.
func (w *world) take(t *testing.T) []notices.Notice {
	t.Helper()
	require.NoError(t, w.outbox.Deliver(t.Context()))
	w.sent.mu.Lock()
	defer w.sent.mu.Unlock()
	all := w.sent.all
	w.sent.all = nil
	return all
}

// kinds returns what of notices.
func kinds(all []notices.Notice) (out []notices.Kind) {
	for _, n := range all {
		out = append(out, n.Kind)
	}
	return out
}

func newWorld(t *testing.T, open func() *database.DB, change ...func(*accounts.Config)) *world {
	t.Helper()
	w := &world{open: open, db: open(), clock: new(clock), sent: new(inbox), told: new(told)}
	var err error
	quiet := slog.New(slog.DiscardHandler)
	w.outbox, err = notices.NewOutbox(notices.Config{DB: w.db, Senders: map[string]notices.Sender{"inbox": w.sent}, Log: quiet, Clock: w.clock.Now})
	require.NoError(t, err)
	w.events, err = accounts.NewEvents(w.db, w.outbox, w.told)
	require.NoError(t, err)
	sealer, err := server.NewSoftwareSealer(bytes.Repeat([]byte{7}, server.SealerKeySize))
	require.NoError(t, err)
	private, err := hpke.MLKEM768X25519().GenerateKey()
	require.NoError(t, err)
	w.server, err = server.New(server.Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Sealer: sealer,
		HPKE: server.HPKEKeys{Current: private}, ChallengeKey: bytes.Repeat([]byte{9}, 32),
		Audit: w.events, Log: quiet, Clock: w.clock.Now,
		Admit: func(ctx context.Context, id protocol.KeyID, op protocol.Operation) error { return w.Admit(ctx, id, op) },
	})
	require.NoError(t, err)
	w.issued, err = sqlstore.New(w.db)
	require.NoError(t, err)
	w.authority = newAuthority(t, w.issued)
	w.config = accounts.Config{
		DB: w.db, Keys: w.server, Issuer: w.authority, Issued: w.issued, Secret: bytes.Repeat([]byte{5}, 32),
		Notices: w.outbox, Log: quiet, Clock: w.clock.Now,
	}
	for _, f := range change {
		f(&w.config)
	}
	w.Accounts, err = accounts.New(w.config)
	require.NoError(t, err)
	return w
}

// newAuthority makes a CA for keys of 2048 bits, which are made sooner.
func newAuthority(t testing.TB, s ca.Store) *ca.Authority {
	t.Helper()
	name := ca.Name{Country: "EE", Organization: "Tree", OrganizationID: "NTREE-12345678", CommonName: "TEST Tree root"}
	rootKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	root, err := ca.NewRoot(rootKey, name, 0)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	name.CommonName = "TEST Tree issuing"
	certificate, err := ca.NewIssuing(root, rootKey, key.Public(), name, 0)
	require.NoError(t, err)
	profile := ca.CompatProfile()
	profile.MinBits = 2048
	a, err := ca.New(ca.Config{Issuing: []ca.Issuing{{Certificate: certificate, Signer: key}}, Store: s, Profile: profile, URL: "http://ca.example/pki"})
	require.NoError(t, err)
	return a
}

var mari = identity.Person{
	ID: identity.ID{Type: "PNO", Country: "EE", Number: "40504040001"}, Given: "MARI", Surname: "MÄND",
	Born: time.Date(1905, 4, 4, 0, 0, 0, 0, time.UTC),
}

const (
	pin1, pin2 = "4917", "83015"
	address    = "192.0.2.7"
	label      = "Mari's phone"
)

// phone is a person's: a token, and a device for each key.
type phone struct {
	w        *world
	token    string
	devices  [2]*device.Device
	storages [2]*storage
	account  accounts.Account
	code     string // for revocation
}

func newPhone(w *world) *phone { return &phone{w: w, token: accounts.NewToken()} }

// storage is a device's.
type storage struct {
	mu    sync.Mutex
	value []byte
}

func (s *storage) Load() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.value), nil
}

func (s *storage) Save(value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = bytes.Clone(value)
	return nil
}

// enroll enrols the keys that an enrolment offers.
func (p *phone) enroll(t *testing.T, e accounts.Enrolment) {
	t.Helper()
	for i, pin := range []string{pin1, pin2} {
		if e.Offers[i].Challenge == nil {
			continue
		}
		var err error
		p.storages[i] = new(storage)
		p.devices[i], err = device.New(device.Config{Storage: p.storages[i], HPKEKey: p.w.server.HPKEKey(),
			Params:    pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1},
			Transport: func(ctx context.Context, r []byte) ([]byte, error) { return p.w.server.Handle(ctx, r) }})
		require.NoError(t, err)
		options := device.EnrollOptions{Challenge: e.Offers[i].Challenge, PIN: []byte(pin)}
		options.Client, options.Server = p.w.takeKey(t)
		require.NoError(t, p.devices[i].Enroll(t.Context(), options))
		require.NoError(t, p.devices[i].Confirm(t.Context(), nil, []byte(pin)))
	}
}

// Lock has nothing to do.
func (s *storage) Lock() (func(), error) { return func() {}, nil }

// testKeys are made once for all services, each of which sees a key once.
var testKeys struct {
	sync.Mutex
	all []*rsa.PrivateKey
}

func (w *world) takeKey(t *testing.T) (*splitkey.ClientShare, *splitkey.ServerShare) {
	t.Helper()
	n := int(w.keys.Add(1)) - 1
	testKeys.Lock()
	defer testKeys.Unlock()
	for len(testKeys.all) <= n {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		testKeys.all = append(testKeys.all, key)
	}
	c, s, err := splitkey.Split(testKeys.all[n], splitkey.Additive)
	require.NoError(t, err)
	return c, s
}

// finish opens the account.
func (p *phone) finish(t *testing.T) *phone {
	t.Helper()
	o, err := p.w.Finish(t.Context(), p.token)
	require.NoError(t, err)
	p.account, p.code = o.Account, o.RevocationCode
	return p
}

// open registers mari and gives her a phone with an account.
func (w *world) openAccount(t *testing.T, replaces ...identity.Document) *phone {
	t.Helper()
	r, err := w.Register(t.Context(), accounts.Registration{Person: mari, Level: identity.Qualified, Email: "mari@example.org", Replaces: replaces})
	require.NoError(t, err)
	p := newPhone(w)
	e, err := w.Begin(t.Context(), r.Code, p.token, label, address)
	require.NoError(t, err)
	p.enroll(t, e)
	return p.finish(t)
}

// nobody draws a document number that no account of mari's has.
func (w *world) nobody(t *testing.T) identity.Document {
	t.Helper()
	for {
		d, err := identity.NewDocument(mari.ID, identity.Qualified)
		require.NoError(t, err)
		if _, err := w.ByDocument(t.Context(), d); err != nil { // else once in 1.7 million
			require.ErrorIs(t, err, accounts.ErrNotFound)
			return d
		}
	}
}

// sign signs a digest with one of the keys.
func (p *phone) sign(t *testing.T, key int, challenge, digest []byte) ([]byte, error) {
	t.Helper()
	return p.devices[key].Sign(t.Context(), challenge, digest, crypto.SHA256, []byte([]string{pin1, pin2}[key]))
}

// guess signs with a wrong PIN.
func (p *phone) guess(t *testing.T, key int) error {
	t.Helper()
	digest := sha256.Sum256([]byte("a guess"))
	challenge, err := p.w.server.ChallengeSign(t.Context(), p.account.Keys[key].ID, digest[:], crypto.SHA256)
	require.NoError(t, err)
	_, err = p.devices[key].Sign(t.Context(), challenge, digest[:], crypto.SHA256, []byte("271828"))
	require.Error(t, err)
	return err
}

// destroy has a key destroyed by wrong PINs.
func (p *phone) destroy(t *testing.T, key int) {
	t.Helper()
	for n := 0; ; n++ {
		require.Less(t, n, 20)
		s, err := p.w.server.Status(t.Context(), p.account.Keys[key].ID)
		require.NoError(t, err)
		if s.Condition == server.Destroyed {
			return
		}
		p.guess(t, key)
		p.w.clock.Advance(25 * time.Hour)
	}
}

// revoked returns the reason for which each certificate of an account was revoked, or -1.
func (w *world) revoked(t *testing.T, a accounts.Account) (out [2]int) {
	t.Helper()
	for i, k := range a.Keys {
		c, err := x509.ParseCertificate(k.Certificate)
		require.NoError(t, err)
		serial, err := ca.SerialOf(c.SerialNumber)
		require.NoError(t, err)
		r, err := w.issued.Record(t.Context(), serial)
		require.NoError(t, err)
		if out[i] = -1; r.Revoked != nil {
			out[i] = int(r.Revoked.Reason)
		}
	}
	return out
}

// conditions returns what the server knows of the keys.
func (w *world) conditions(t *testing.T, a accounts.Account) (out [2]server.Condition) {
	t.Helper()
	for i, k := range a.Keys {
		s, err := w.server.Status(t.Context(), k.ID)
		require.NoError(t, err)
		out[i] = s.Condition
	}
	return out
}

var (
	alive   = [2]server.Condition{server.Active, server.Active}
	dead    = [2]server.Condition{server.Destroyed, server.Destroyed}
	errMine = errors.New("mine")
)

// copied has a copy of a phone's storage used after the phone.
func (p *phone) copied(t *testing.T, key int) {
	t.Helper()
	s := p.storages[key]
	before, err := s.Load()
	require.NoError(t, err)
	digest := sha256.Sum256([]byte("a copy"))
	for range 2 {
		challenge, err := p.w.server.ChallengeSign(t.Context(), p.account.Keys[key].ID, digest[:], crypto.SHA256)
		require.NoError(t, err)
		_, err = p.sign(t, key, challenge, digest[:])
		if err != nil {
			break
		}
		require.NoError(t, s.Save(before))
	}
	status, err := p.w.server.Status(t.Context(), p.account.Keys[key].ID)
	require.NoError(t, err)
	require.Equal(t, server.Destroyed, status.Condition)
}

// redeliver gives the events of a phone again, as they were recorded.
func (w *world) redeliver(t *testing.T, p *phone) {
	t.Helper()
	w.told.mu.Lock()
	all := slices.Clone(w.told.all)
	w.told.mu.Unlock()
	require.NotEmpty(t, all)
	for _, e := range all {
		require.NoError(t, w.events.Record(t.Context(), e))
	}
}

// told is the sink behind the Events.
type told struct {
	mu  sync.Mutex
	all []server.Event
}

func (s *told) Record(_ context.Context, e server.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, e)
	return nil
}
