package httphandler

import (
	"bytes"
	"context"
	"crypto"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// patience is a bound for what happens at once, which only a hang can miss.
const patience = 60 * time.Second

// service is a server, and what it has told its observer and its log.
type service struct {
	*server.Server
	mu     sync.Mutex
	causes []string
	log    strings.Builder
}

func (s *service) Handled(h observe.Handled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.Cause != "" {
		s.causes = append(s.causes, h.Cause)
	}
}

func (s *service) Called(observe.Call)   {}
func (s *service) Happened(observe.Fact) {}
func (s *service) Undelivered(int)       {}

func (s *service) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *service) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// refusals returns the causes since the last time.
func (s *service) refusals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	causes := s.causes
	s.causes = nil
	return causes
}

func newService(tb testing.TB, change ...func(*server.Config)) *service {
	s := new(service)
	sealer, err := server.NewSoftwareSealer(bytes.Repeat([]byte{7}, server.SealerKeySize))
	require.NoError(tb, err)
	private, err := wire.KEM.NewPrivateKey(bytes.Repeat([]byte{0x77}, 32))
	require.NoError(tb, err)
	config := server.Config{
		Store: new(storetest.MemoryStore), Policy: limiter.DefaultPolicy(), Keys: protocoltest.FixedKeys{}, Sealer: sealer,
		HPKE: server.HPKEKeys{Current: private}, ChallengeKey: protocoltest.FixtureChallengeKey,
		Clock: protocoltest.NewClock().Now, Log: slog.New(slog.NewTextHandler(s, nil)), Observer: s,
	}
	for _, f := range change {
		f(&config)
	}
	s.Server, err = server.New(config)
	require.NoError(tb, err)
	return s
}

func (s *service) handler(tb testing.TB, options Options) http.Handler {
	h, err := NewHandler(s.Server, options)
	require.NoError(tb, err)
	return h
}

// phone is a device, and the requests that it has sent.
type phone struct {
	*device.Device
	service *service
	id      protocol.KeyID
	send    device.Transport
	sent    [][]byte
}

// newPhone returns a phone with a confirmed key. send is the server's own Handle if nil.
func newPhone(tb testing.TB, s *service, send device.Transport) *phone {
	if send == nil {
		send = s.Handle
	}
	p := &phone{service: s, send: send}
	var err error
	p.Device, err = device.New(device.Config{
		Storage: new(protocoltest.MemoryStorage), HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest,
		Transport: func(ctx context.Context, r []byte) ([]byte, error) {
			p.sent = append(p.sent, bytes.Clone(r))
			return p.send(ctx, r)
		},
	})
	require.NoError(tb, err)
	id, challenge, err := s.ChallengeEnroll(tb.Context())
	require.NoError(tb, err)
	p.id = id
	client, share := protocoltest.Shares()
	require.NoError(tb, p.Enroll(tb.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: share}))
	require.NoError(tb, p.Confirm(tb.Context(), nil, protocoltest.RightPIN))
	return p
}

func (p *phone) sign(tb testing.TB, pin []byte, texts ...string) error {
	var digests [][]byte
	for _, text := range texts {
		digests = append(digests, protocoltest.DigestOf(text))
	}
	challenge, err := p.service.ChallengeSignAll(tb.Context(), p.id, digests, crypto.SHA256)
	require.NoError(tb, err)
	_, err = p.SignAll(tb.Context(), challenge, digests, crypto.SHA256, pin)
	return err
}

// lost returns a request of the phone's that is lost on its way, and is pending.
func (p *phone) lost(tb testing.TB) []byte {
	challenge, err := p.service.Challenge(tb.Context(), p.id)
	require.NoError(tb, err)
	send := p.send
	p.send = func(context.Context, []byte) ([]byte, error) { return nil, protocoltest.ErrLost }
	require.ErrorIs(tb, p.Refresh(tb.Context(), challenge), protocoltest.ErrLost)
	p.send = send
	return p.sent[len(p.sent)-1]
}

// serve starts a server on HTTP/1 and returns its address.
func serve(tb testing.TB, h http.Handler) string {
	s := httptest.NewServer(h)
	tb.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// connection is a client that speaks HTTP by hand.
type connection struct {
	tb testing.TB
	*net.TCPConn
}

func dial(tb testing.TB, address string) connection {
	c, err := net.Dial("tcp", address)
	require.NoError(tb, err)
	tb.Cleanup(func() { c.Close() })
	require.NoError(tb, c.SetDeadline(time.Now().Add(patience)))
	return connection{tb, c.(*net.TCPConn)}
}

// send writes, as far as the server reads.
func (c connection) send(text string) { _, _ = io.WriteString(c, text) }

// rest returns all that the server says until it hangs up.
func (c connection) rest() string {
	all, err := io.ReadAll(c)
	require.NoError(c.tb, err, "the server says nothing more, and does not hang up: %q", all)
	return string(all)
}

// say sends all of a text and returns the answer.
func say(tb testing.TB, address, text string) string {
	c := dial(tb, address)
	c.send(text)
	return c.rest()
}
