package server

import (
	"bytes"
	"context"
	"crypto"
	"log/slog"
	"maps"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// service is a server with all that it needs, and a log that can be read.
type service struct {
	*Server
	config Config
	store  limiter.Store
	clock  *protocoltest.Clock
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

func newService(tb testing.TB, change ...func(*Config)) *service {
	s := &service{store: &knownIDs{Store: new(storetest.MemoryStore), ids: make(map[string]bool)}, clock: protocoltest.NewClock(), log: new(bytes.Buffer)}
	sealer, err := NewSoftwareSealer(bytes.Repeat([]byte{7}, SealerKeySize))
	require.NoError(tb, err)
	s.config = Config{
		Store: s.store, Policy: limiter.DefaultPolicy(), Keys: protocoltest.FixedKeys{}, Sealer: sealer,
		HPKE: HPKEKeys{Current: protocoltest.NewHPKE(tb)}, ChallengeKey: bytes.Repeat([]byte{9}, 32),
		Clock: s.clock.Now, Log: slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&s.config)
	}
	s.Server, err = New(s.config)
	require.NoError(tb, err)
	return s
}

// node returns another node of the service: same configuration, own memory.
func (s *service) node(tb testing.TB, change ...func(*Config)) *Server {
	config := s.config
	for _, f := range change {
		f(&config)
	}
	node, err := New(config)
	require.NoError(tb, err)
	return node
}

// phone is a device with its storage.
type phone struct {
	*device.Device
	config    device.Config
	state     *protocoltest.MemoryStorage
	transport device.Transport // may change at any time
	service   *service
	id        protocol.KeyID
}

func newPhone(tb testing.TB, s *service, transport device.Transport) *phone {
	return openPhone(tb, s, new(protocoltest.MemoryStorage), transport)
}

func openPhone(tb testing.TB, s *service, state *protocoltest.MemoryStorage, transport device.Transport) *phone {
	if transport == nil {
		transport = func(ctx context.Context, r []byte) ([]byte, error) { return s.Handle(ctx, r) } // s.Server may change
	}
	p := &phone{state: state, service: s, transport: transport}
	p.config = device.Config{Storage: state, HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest,
		Transport: func(ctx context.Context, r []byte) ([]byte, error) { return p.transport(ctx, r) }}
	p.restart(tb, func(*device.Config) {})
	return p
}

// restart opens the device again, with another configuration.
func (p *phone) restart(tb testing.TB, change func(*device.Config)) {
	change(&p.config)
	var err error
	p.Device, err = device.New(p.config)
	require.NoError(tb, err)
}

// enroll enrols the fixed key.
func (p *phone) enroll(tb testing.TB) {
	id, challenge, err := p.service.ChallengeEnroll(tb.Context())
	require.NoError(tb, err)
	client, server := protocoltest.Shares()
	require.NoError(tb, p.Enroll(tb.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server}))
	p.id = id
}

// newReadyPhone returns a phone with a confirmed key.
func newReadyPhone(tb testing.TB, s *service) *phone {
	p := newPhone(tb, s, nil)
	p.enroll(tb)
	require.NoError(tb, p.Confirm(tb.Context(), nil, protocoltest.RightPIN))
	return p
}

// sign asks for a challenge and signs with it.
func (p *phone) sign(tb testing.TB, text string, pin []byte) ([]byte, error) {
	digest := protocoltest.DigestOf(text)
	challenge, err := p.service.ChallengeSign(tb.Context(), p.id, digest, crypto.SHA256)
	require.NoError(tb, err)
	return p.Sign(tb.Context(), challenge, digest, crypto.SHA256, pin)
}

func (p *phone) challenge(tb testing.TB) []byte {
	c, err := p.service.Challenge(tb.Context(), p.id)
	require.NoError(tb, err)
	return c
}
