package transactions

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha3"
	"crypto/sha512"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

func TestMain(m *testing.M) { os.Exit(databasetest.Main(m)) }

// clock is one that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// signer stands for the server of the protocol: it makes challenges and takes requests,
// without keys. TestProtocol has the real one.
type signer struct {
	mu     sync.Mutex
	status map[protocol.KeyID]server.KeyStatus
	issued map[string]server.Signed // by challenge
	signed func(context.Context, server.Signed) error
	made   int // signatures
}

// phoneRequest is what a phone of these tests sends.
type phoneRequest struct {
	Challenge []byte
	PIN       string // right, wrong, lock or destroy
	Salt      int
}

func (s *signer) ChallengeSign(_ context.Context, id protocol.KeyID, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c := make([]byte, protocol.ChallengeSize)
	rand.Read(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued[string(c)] = server.Signed{KeyID: id, Challenge: c, Digests: [][]byte{digest}, Options: opts}
	return c, nil
}

func (s *signer) Handle(ctx context.Context, request []byte) ([]byte, error) {
	var r phoneRequest
	if json.Unmarshal(request, &r) != nil {
		return nil, server.ErrRefused
	}
	s.mu.Lock()
	signed, ok := s.issued[string(r.Challenge)]
	k := s.status[signed.KeyID]
	switch r.PIN {
	case "lock":
		k.Attempts.LockedUntil = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	case "destroy":
		k.Condition = server.Destroyed
	case "right":
		s.made++
	}
	s.status[signed.KeyID] = k
	s.mu.Unlock()
	if !ok {
		return nil, server.ErrRefused
	}
	if r.PIN != "right" {
		return []byte(r.PIN), nil
	}
	signed.Signatures = [][]byte{signatureOf(signed.KeyID, signed.Digests[0])}
	if _, plain := signed.Options.(crypto.Hash); !plain {
		signed.Options = pssOptions(signed.Options, r.Salt)
	}
	if err := s.signed(ctx, signed); err != nil {
		return []byte("later"), nil
	}
	return signed.Signatures[0], nil
}

func (s *signer) Status(_ context.Context, id protocol.KeyID) (*server.KeyStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.status[id]
	if !ok {
		return nil, server.ErrUnknownKey
	}
	return &k, nil
}

func signatureOf(id protocol.KeyID, digest []byte) []byte {
	sum := sha256.Sum256(slices.Concat(id[:], digest))
	return sum[:]
}

func pssOptions(opts crypto.SignerOpts, salt int) crypto.SignerOpts {
	return &rsa.PSSOptions{Hash: opts.HashFunc(), SaltLength: salt}
}

// people stands for the accounts of a service.
type people struct {
	mu       sync.Mutex
	accounts map[string]accounts.Account
	parties  map[string]accounts.RelyingParty
	history  map[string][]accounts.Entry
	taken    [][]string // places in the quotas
	calls    []string
	later    error
	allow    func() // is called once, before a place is taken
}

func (p *people) ByDocument(_ context.Context, d identity.Document) (accounts.Account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, "document")
	a, ok := p.accounts[d.String()]
	if !ok {
		return a, accounts.ErrNotFound
	}
	return a, nil
}

func (p *people) ByPerson(_ context.Context, id identity.ID) (all []accounts.Account, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, "person")
	for _, a := range p.accounts {
		if a.Document.ID == id {
			all = append(all, a)
		}
	}
	return all, nil
}

func (p *people) RelyingParty(_ context.Context, uuid string) (accounts.RelyingParty, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.parties[uuid]
	if !ok {
		return r, accounts.ErrNotFound
	}
	return r, nil
}

func (p *people) Allow(_ context.Context, person identity.ID, party, source string) error {
	return p.AllowWithin(context.Background(), person, party, source, func(take func(context.Context, *sql.Tx) error) error {
		return take(context.Background(), nil)
	})
}

// AllowWithin takes a place if transact ends well.
func (p *people) AllowWithin(_ context.Context, person identity.ID, party, source string, transact func(func(context.Context, *sql.Tx) error) error) error {
	p.mu.Lock()
	p.calls = append(p.calls, "allow")
	later, allow := p.later, p.allow
	p.allow = nil
	p.mu.Unlock()
	if allow != nil {
		allow()
	}
	err := transact(func(context.Context, *sql.Tx) error { return later })
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.taken = append(p.taken, []string{person.String(), party, source})
	}
	return err
}

func (p *people) AddHistory(_ context.Context, _ *sql.Tx, d identity.Document, e accounts.Entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history[d.String()] = append(p.history[d.String()], e)
	return nil
}

const (
	bank   = "00000000-0000-4000-8000-000000000000"
	clinic = "00000000-0000-4000-8000-000000000001"
	scheme = "smart-id-test"
	base   = "https://id.example/device-link"
)

// world is a service of several nodes with one database.
type world struct {
	t      testing.TB
	clock  *clock
	signer *signer
	people *people
	open   func() *database.DB
	*Engine
	source rp.Source
	begun  int // sessions, of histories
}

func newWorld(t testing.TB, open func() *database.DB) *world {
	w := &world{
		t: t, open: open, clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		signer: &signer{status: map[protocol.KeyID]server.KeyStatus{}, issued: map[string]server.Signed{}},
		people: &people{accounts: map[string]accounts.Account{}, parties: map[string]accounts.RelyingParty{}, history: map[string][]accounts.Entry{}},
		source: rp.Source{Address: netip.MustParseAddr("192.0.2.1")},
	}
	for _, uuid := range []string{bank, clinic} {
		w.people.parties[uuid] = accounts.RelyingParty{
			UUID: uuid, Names: []string{"Bank", "DEMO"}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Advanced: true, ShareIP: true,
		}
	}
	w.Engine = w.node()
	w.signer.signed = func(ctx context.Context, s server.Signed) error { return w.Engine.Signed(ctx, s) }
	return w
}

// node is another node of the service.
func (w *world) node() *Engine {
	e, err := New(Config{
		DB: w.open(), Accounts: w.people, Protocol: w.signer, Scheme: scheme, LinkBase: base,
		Clock: w.clock.Now, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { checkParsed(w.t, e) })
	return e
}

// checkParsed looks whether what an engine keeps of sessions is what the database has.
func checkParsed(t testing.TB, e *Engine) {
	e.store.parsed.All(func(text string, s session) {
		fresh, err := decode(text)
		require.NoError(t, err)
		if s.Token != "" {
			require.Equal(t, fresh.secret.Text(), s.secret.Text())
		}
		fresh.secret, s.secret = devicelink.Secret{}, devicelink.Secret{}
		require.True(t, reflect.DeepEqual(fresh, s), "what is kept of %s differs", text)
	})
}

// account opens an account of a person.
func (w *world) account(number string, level identity.Level) accounts.Account {
	d := w.unused(identity.ID{Type: "PNO", Country: "EE", Number: number}, level)
	a := accounts.Account{Document: d, Device: "Ada's phone", State: accounts.Active, Expires: w.clock.Now().AddDate(3, 0, 0)}
	for i := range a.Keys {
		rand.Read(a.Keys[i].ID[:])
		a.Keys[i].Certificate = append([]byte{byte(i)}, a.Keys[i].ID[:]...)
		w.signer.status[a.Keys[i].ID] = server.KeyStatus{Condition: server.Active}
	}
	w.people.mu.Lock()
	defer w.people.mu.Unlock()
	w.people.accounts[d.String()] = a
	return a
}

// unused draws a document number that no account has: two are equal once in 1.7 million.
func (w *world) unused(id identity.ID, level identity.Level) identity.Document {
	w.people.mu.Lock()
	defer w.people.mu.Unlock()
	for {
		d, err := identity.NewDocument(id, level)
		require.NoError(w.t, err)
		if _, taken := w.people.accounts[d.String()]; !taken {
			return d
		}
	}
}

// edit changes an account.
func (w *world) edit(a accounts.Account, f func(*accounts.Account)) {
	w.people.mu.Lock()
	defer w.people.mu.Unlock()
	f(&a)
	w.people.accounts[a.Document.String()] = a
}

var all = []rp.InteractionType{rp.DisplayTextAndPIN, rp.VerificationCodeChoice, rp.ConfirmationMessage, rp.ConfirmationMessageAndVerificationCodeChoice}

// login2 is a login of version 2.
func login2(target rp.Target, interactions ...rp.InteractionType) rp.Request {
	digest := sha256.Sum256([]byte(rand.Text()))
	r := rp.Request{
		Version: rp.V2, Kind: rp.Authentication, Flow: rp.Notification, Target: target, RelyingPartyUUID: bank, RelyingPartyName: "DEMO",
		Level: rp.LevelQualified, Digest: digest[:], Algorithm: rp.Algorithm{Hash: crypto.SHA256}, Idempotent: true, Key: sha256.Sum256(digest[:]),
	}
	if len(interactions) == 0 {
		interactions = []rp.InteractionType{rp.DisplayTextAndPIN}
	}
	for _, i := range interactions {
		r.Interactions = append(r.Interactions, rp.Interaction{Type: i, Text: "Log in to Bank"})
	}
	return r
}

func signature2(target rp.Target, interactions ...rp.InteractionType) rp.Request {
	r := login2(target, interactions...)
	r.Kind = rp.Signature
	return r
}

// login3 is a login of version 3.
func login3(flow rp.Flow, target rp.Target, interactions ...rp.InteractionType) rp.Request {
	r := login2(target, interactions...)
	r.Version, r.Flow, r.Idempotent, r.Digest = rp.V3, flow, false, nil
	r.Algorithm = rp.Algorithm{Hash: crypto.SHA3_512, PSS: true}
	challenge := make([]byte, 64)
	rand.Read(challenge)
	r.Challenge = base64.StdEncoding.EncodeToString(challenge)
	var list []map[string]string
	for _, i := range r.Interactions {
		_, member := i.Type.MaxText()
		list = append(list, map[string]string{"type": string(i.Type), member: i.Text})
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	r.InteractionsText = base64.StdEncoding.EncodeToString(text)
	return r
}

func signature3(flow rp.Flow, target rp.Target, interactions ...rp.InteractionType) rp.Request {
	r := login3(flow, target, interactions...)
	digest := sha512.Sum512([]byte(rand.Text()))
	r.Kind, r.Challenge, r.Digest, r.Algorithm = rp.Signature, "", digest[:], rp.Algorithm{Hash: crypto.SHA512, PSS: true}
	r.Idempotent, r.Key = true, sha256.Sum256(digest[:])
	return r
}

func choice(version rp.Version, flow rp.Flow, target rp.Target) rp.Request {
	return rp.Request{
		Version: version, Kind: rp.CertificateChoice, Flow: flow, Target: target, RelyingPartyUUID: bank, RelyingPartyName: "DEMO",
		Level: rp.LevelQualified, Idempotent: true, Key: sha256.Sum256([]byte(rand.Text())),
	}
}

func person(a accounts.Account) rp.Target { return rp.Target{Person: &a.Document.ID} }
func of(a accounts.Account) rp.Target     { return rp.Target{Document: &a.Document} }

func (w *world) begin(r rp.Request) rp.Session {
	s, err := w.Begin(w.t.Context(), r, w.source)
	require.NoError(w.t, err)
	return s
}

// status returns how a session is now.
func (w *world) status(id string) rp.Status {
	s, err := w.Status(w.t.Context(), id, 0, w.source)
	require.NoError(w.t, err)
	return s
}

// end returns how a session has ended; 0 if it has not.
func (w *world) end(id string) rp.End {
	if o := w.status(id).Outcome; o != nil {
		return o.End
	}
	return 0
}

// link makes a device link of a session, as its relying party does.
func (w *world) link(r rp.Request, s rp.Session, t rp.FlowType, elapsed time.Duration) string {
	token, secret, linkBase := s.Link()
	key, err := devicelink.ParseSecret(secret)
	require.NoError(w.t, err)
	l := devicelink.Session{
		Scheme: scheme, Base: linkBase, Token: token, Kind: r.Kind, Challenge: r.Challenge, RelyingPartyName: r.RelyingPartyName,
		Interactions: r.InteractionsText, CallbackURL: r.CallbackURL,
	}
	if r.Kind == rp.Signature {
		l.Challenge = base64.StdEncoding.EncodeToString(r.Digest)
	}
	text, err := l.Link(key, t, elapsed, "eng")
	require.NoError(w.t, err)
	return text
}

var userChallenge = acsp.UserChallenge("XtPfaGa8JnGtYrJjboooUf0KfY9sMEHrWFpSQrsUv9c")

// claim opens a session on the phone of an account, which can do everything.
func (w *world) claim(a accounts.Account, id string) *Claimed {
	c, err := w.Claim(w.t.Context(), a, ClaimRequest{Session: id, UserChallenge: userChallenge, Interactions: all})
	require.NoError(w.t, err)
	return c
}

func (w *world) scan(a accounts.Account, link string) (*Claimed, error) {
	return w.Claim(w.t.Context(), a, ClaimRequest{DeviceLink: link, UserChallenge: userChallenge, Interactions: all})
}

// request is what a phone sends for what it was given to sign.
func request(t *ToSign, pin string) []byte {
	text, err := json.Marshal(phoneRequest{Challenge: t.Challenge, PIN: pin, Salt: t.Algorithm.Hash.Size()})
	if err != nil {
		panic(err)
	}
	return text
}

func (w *world) sign(a accounts.Account, id string, t *ToSign, pin string) (*Signing, error) {
	return w.Sign(w.t.Context(), a, id, request(t, pin))
}
