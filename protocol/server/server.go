package server

import (
	"context"
	"crypto/hpke"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// Server is the service's half of the protocol. It keeps nothing between calls that it
// may not lose: any number of servers with the same configuration may share a store, and
// any of them answers any request. All methods may be called from many goroutines at
// once.
type Server struct {
	config     Config
	challenges wire.ChallengeKey
	keys       secret.Value[map[wire.HPKEKeyID]hpke.PrivateKey]
	hpkeKey    []byte                  // the current one, public
	document   []byte                  // public
	nobody     *atomic.Pointer[[]byte] // a sealed K_dev that no key has: trial.pretend
	delivered  *delivered
	lines      *lines
}

// New returns a server, or an error that wraps [protocol.ErrConfig].
func New(config Config) (*Server, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	challenges, err := wire.NewChallengeKey(config.ChallengeKey)
	if err != nil {
		return nil, err
	}
	keys, err := config.HPKE.keyring()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, challenges: challenges, keys: secret.Hide(keys), hpkeKey: config.HPKE.Current.PublicKey().Bytes(),
		nobody: new(atomic.Pointer[[]byte]), delivered: new(delivered), lines: new(lines)}
	s.config.Policy, s.config.ChallengeKey, s.config.HPKE = slices.Clone(config.Policy), nil, HPKEKeys{}
	s.document = slices.Clone(config.HPKE.Document)
	return s, nil
}

func (s *Server) made(ctx context.Context) error {
	if s == nil || s.config.Store == nil || ctx == nil {
		return wire.ErrNothing
	}
	return nil
}

// Format says nothing of the configuration.
func (s Server) Format(f fmt.State, _ rune) { fmt.Fprint(f, "server.Server") }

// HPKEKey returns the HPKE public key that new devices are shipped with (see
// device.Config): 1216 bytes.
func (s *Server) HPKEKey() []byte {
	if s == nil {
		return nil
	}
	return slices.Clone(s.hpkeKey)
}

// Handle answers one request of a device: it is the only input for bytes from outside. It
// reads up to [protocol.MaxRequest] bytes and answers with up to [protocol.MaxResponse].
//
// The one error is [ErrRefused], and means that there is no answer. It is the same for
// everybody who does not hold the K_dev of the key that he names, whatever he sends. How
// a service expresses it is up to the transport, which must always do so in the same way:
// package protocol/httphandler does.
//
// Everything that counts is durable in the store when Handle returns. Once an outcome is
// known, cancelling ctx does not stop its being counted.
func (s *Server) Handle(ctx context.Context, request []byte) ([]byte, error) {
	if s.made(ctx) != nil {
		return nil, ErrRefused
	}
	var w watch
	began := time.Now()
	response, err := s.handle(ctx, request, &w)
	if o := s.config.Observer; o != nil {
		o.Handled(w.handled(err, time.Since(began)))
	}
	if err != nil {
		return nil, s.refused(ctx, err)
	}
	return response, nil
}

// handle is Handle, with the cause of a refusal. Here and in what it calls, the checks of
// docs/protocol.md, section 5, have their numbers.
func (s *Server) handle(ctx context.Context, request []byte, w *watch) ([]byte, error) {
	e, err := wire.ParseEnvelope(request) // 1
	if err != nil {
		return nil, err
	}
	now, err := s.now()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	if err := s.checkTicket(&e.Ticket, now); err != nil { // 1
		return nil, err
	}
	o, err := e.Open(s.keys.Get()) // 1
	if err != nil {
		return nil, err
	}
	defer o.Wipe()
	w.operation = o.Op
	answer := s.answerKeyed
	if o.Op == protocol.OpEnroll {
		answer = s.enroll
	}
	a, err := answer(ctx, o, now)
	if err != nil {
		return nil, err
	}
	if o.HPKEKey != wire.HPKEKeyIDOf(s.hpkeKey) {
		a.Document = s.document
	}
	if a.HasChallenge() {
		a.Challenge = s.issue(wire.ForOwnUse, o.KeyID, wire.Hash{})
	}
	w.code = a.Code
	return o.ResponseKey.SealAnswer(a)
}

// Refuse refuses a request that a transport does not give to [Server.Handle]: one that is
// too long, say. It is logged and counted like what Handle refuses, and the error is
// [ErrRefused]. cause is one of a few words of the transport's, and holds nothing of the
// request.
func (s *Server) Refuse(ctx context.Context, cause string) error {
	if s.made(ctx) != nil {
		return ErrRefused
	}
	if o := s.config.Observer; o != nil {
		o.Handled(observe.Handled{Outcome: "refused", Cause: cause})
	}
	s.lines.strangers.log(ctx, s.config.Clock(), s.config.Log, slog.LevelInfo, "request refused", slog.String("cause", cause))
	return ErrRefused
}

func (s *Server) now() (int64, error) {
	now := s.config.Clock()
	if now.Before(time.UnixMilli(0)) || now.UnixMilli() > wire.MaxTime {
		return 0, fmt.Errorf("server: the clock shows %v", now)
	}
	return now.UnixMilli(), nil
}
