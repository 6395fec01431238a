package device

import (
	"bytes"
	"context"
	"crypto"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// service is a server with all that it needs.
type service struct {
	*server.Server
	config server.Config
	store  limiter.Store
	clock  *protocoltest.Clock
}

func newService(tb testing.TB, change ...func(*server.Config)) *service {
	s := &service{store: new(storetest.MemoryStore), clock: protocoltest.NewClock()}
	sealer, err := server.NewSoftwareSealer(bytes.Repeat([]byte{7}, server.SealerKeySize))
	require.NoError(tb, err)
	s.config = server.Config{
		Store: s.store, Policy: limiter.DefaultPolicy(), Keys: protocoltest.FixedKeys{}, Sealer: sealer,
		HPKE: server.HPKEKeys{Current: protocoltest.NewHPKE(tb)}, ChallengeKey: bytes.Repeat([]byte{9}, 32),
		Clock: s.clock.Now, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&s.config)
	}
	s.Server, err = server.New(s.config)
	require.NoError(tb, err)
	return s
}

// node returns another node of the service: same configuration, own memory.
func (s *service) node(tb testing.TB, change ...func(*server.Config)) *server.Server {
	config := s.config
	for _, f := range change {
		f(&config)
	}
	node, err := server.New(config)
	require.NoError(tb, err)
	return node
}

// phone is a device with its storage.
type phone struct {
	*Device
	state   *protocoltest.MemoryStorage
	service *service
	id      protocol.KeyID
}

func newPhone(tb testing.TB, s *service, send Transport) *phone {
	return openPhone(tb, s, new(protocoltest.MemoryStorage), send)
}

func openPhone(tb testing.TB, s *service, storage *protocoltest.MemoryStorage, send Transport) *phone {
	if send == nil {
		send = func(ctx context.Context, r []byte) ([]byte, error) { return s.Handle(ctx, r) } // s.Server may change
	}
	d, err := New(Config{Storage: storage, Transport: send, HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest})
	require.NoError(tb, err)
	return &phone{Device: d, state: storage, service: s}
}

// enroll enrols the fixed key.
func (p *phone) enroll(tb testing.TB) {
	id, challenge, err := p.service.ChallengeEnroll(tb.Context())
	require.NoError(tb, err)
	client, server := protocoltest.Shares()
	require.NoError(tb, p.Enroll(tb.Context(), EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server}))
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

// lossy is a transport whose losses a test decides.
type lossy struct {
	service      *service
	loseRequest  bool
	loseResponse bool
	requests     [][]byte
}

func (l *lossy) transport(ctx context.Context, request []byte) ([]byte, error) {
	l.requests = append(l.requests, bytes.Clone(request))
	if l.loseRequest {
		return nil, protocoltest.ErrLost
	}
	response, err := l.service.Handle(ctx, request)
	if l.loseResponse {
		return nil, protocoltest.ErrLost
	}
	return response, err
}

func newLossyPhone(t *testing.T, s *service) (*phone, *lossy) {
	l := &lossy{service: s}
	p := newPhone(t, s, l.transport)
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	return p, l
}

// copyOf returns a second phone with the same storage, as a thief has it.
func copyOf(tb testing.TB, p *phone) *phone {
	thief := openPhone(tb, p.service, p.state.Copy(), nil)
	thief.id = p.id
	return thief
}

// stored is what a thief reads in a phone's storage.
func (p *phone) stored(tb testing.TB) *state {
	st, err := parseState(p.state.Data, nil)
	require.NoError(tb, err)
	return st
}

func mustEnrollChallenge(t *testing.T, s *service) []byte {
	_, c, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	return c
}
