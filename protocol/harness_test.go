package protocol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

var (
	rightPIN = []byte("491703628")
	wrongPIN = []byte("830652917")
	newPIN   = []byte("48290513746")

	// cheapest is the lowest cost that RFC 9106 allows: only tests may use it.
	cheapest = pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}
)

// clock is a server's clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

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

// memoryState is a State in memory: what a copy of a phone's storage is made of.
type memoryState struct {
	mu   sync.Mutex
	data []byte
}

func (m *memoryState) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.data), nil
}

func (m *memoryState) Save(data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = bytes.Clone(data)
	return nil
}

func (m *memoryState) copy() *memoryState {
	data, _ := m.Load()
	return &memoryState{data: data}
}

// fixedKeys is a KeySource with the one server key of package splitkeytest.
type fixedKeys struct{}

var fixedServerKey = sync.OnceValues(func() (*splitkey.SoftwareKey, error) {
	return splitkey.NewSoftwareKey(splitkeytest.NamedKey(splitkeytest.Server, 2048))
})

func (fixedKeys) Bits() int { return 2048 }

func (fixedKeys) NewKey(context.Context) (splitkey.RSAKey, []byte, error) {
	key, err := fixedServerKey()
	return key, []byte("fixed"), err
}

func (fixedKeys) LoadKey(_ context.Context, blob []byte) (splitkey.RSAKey, error) {
	if string(blob) != "fixed" {
		return nil, errors.New("unknown blob")
	}
	return fixedServerKey()
}

// service is a server with all that it needs, and a log that can be read.
type service struct {
	*Server
	config Config
	store  limiter.Store
	clock  *clock
	log    *bytes.Buffer
	logMu  sync.Mutex
}

func (s *service) Write(p []byte) (int, error) {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	return s.log.Write(p)
}

func (s *service) logged() string {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	return s.log.String()
}

// knownIDs is a store that knows which ids were created.
type knownIDs struct {
	limiter.Store
	mu  sync.Mutex
	ids map[string]bool
}

func (k *knownIDs) Create(ctx context.Context, id string, value []byte) error {
	err := k.Store.Create(ctx, id, value)
	if err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.ids[id] = true
	}
	return err
}

// stored returns the ids of all that the service's store has.
func (s *service) stored() map[string]bool {
	k := s.store.(*knownIDs)
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.ids)
}

func newHPKE(tb testing.TB) hpke.PrivateKey {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	require.NoError(tb, err)
	return key
}

func newService(tb testing.TB, change ...func(*Config)) *service {
	s := &service{store: &knownIDs{Store: new(storetest.MemoryStore), ids: make(map[string]bool)}, clock: newClock(), log: new(bytes.Buffer)}
	sealer, err := NewSoftwareSealer(bytes.Repeat([]byte{7}, SealerKeySize))
	require.NoError(tb, err)
	s.config = Config{
		Store: s.store, Policy: limiter.DefaultPolicy(), Keys: fixedKeys{}, Sealer: sealer,
		HPKE: HPKEKeys{Current: newHPKE(tb)}, ChallengeKey: bytes.Repeat([]byte{9}, 32),
		Clock: s.clock.Now, Log: slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&s.config)
	}
	s.Server, err = NewServer(s.config)
	require.NoError(tb, err)
	return s
}

// node returns another node of the service: same configuration, own memory.
func (s *service) node(tb testing.TB, change ...func(*Config)) *Server {
	config := s.config
	for _, f := range change {
		f(&config)
	}
	node, err := NewServer(config)
	require.NoError(tb, err)
	return node
}

var testShares = sync.OnceValues(func() (*splitkey.ClientShare, *splitkey.ServerShare) {
	x := bytes.Repeat([]byte{0x5a, 0x31, 0xc7, 0x0e}, (256+8)/4)
	c, s, err := splitkeytest.Split(splitkeytest.Key(2048), splitkey.Multiplicative, x)
	if err != nil {
		panic(err)
	}
	return c, s
})

// phone is a device with its state.
type phone struct {
	*Device
	state   *memoryState
	service *service
	id      KeyID
}

func newPhone(tb testing.TB, s *service, transport Transport) *phone {
	return openPhone(tb, s, new(memoryState), transport)
}

func openPhone(tb testing.TB, s *service, state *memoryState, transport Transport) *phone {
	if transport == nil {
		transport = func(ctx context.Context, r []byte) ([]byte, error) { return s.Handle(ctx, r) } // s.Server may change
	}
	d, err := NewDevice(DeviceConfig{State: state, Transport: transport, ServerKey: s.ServerKey(), Params: cheapest})
	require.NoError(tb, err)
	p := &phone{Device: d, state: state, service: s}
	return p
}

// enroll enrols the fixed key.
func (p *phone) enroll(tb testing.TB) {
	id, challenge, err := p.service.ChallengeEnroll(tb.Context())
	require.NoError(tb, err)
	client, server := testShares()
	require.NoError(tb, p.Enroll(tb.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN, Client: client, Server: server}))
	p.id = id
}

// newReadyPhone returns a phone with a confirmed key.
func newReadyPhone(tb testing.TB, s *service) *phone {
	p := newPhone(tb, s, nil)
	p.enroll(tb)
	require.NoError(tb, p.Confirm(tb.Context(), nil, rightPIN))
	return p
}

func digestOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// sign asks for a challenge and signs with it.
func (p *phone) sign(tb testing.TB, text string, pin []byte) ([]byte, error) {
	digest := digestOf(text)
	challenge, err := p.service.ChallengeSign(tb.Context(), p.id, digest, crypto.SHA256)
	require.NoError(tb, err)
	return p.Sign(tb.Context(), challenge, digest, crypto.SHA256, pin)
}

func (p *phone) challenge(tb testing.TB) []byte {
	c, err := p.service.Challenge(tb.Context(), p.id)
	require.NoError(tb, err)
	return c
}

// lambdaOfTestKey is lcm(p-1, q-1) of the key of testShares.
func lambdaOfTestKey() *big.Int {
	key, one := splitkeytest.Key(2048), big.NewInt(1)
	p, q := new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one)
	gcd := new(big.Int).GCD(nil, nil, p, q)
	return new(big.Int).Div(new(big.Int).Mul(p, q), gcd)
}
