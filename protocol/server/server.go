package server

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Server is the service's half of the protocol. It keeps nothing between calls but its
// configuration: any number of servers with the same one may share a store, and any of them answers any
// request. All methods may be called from many goroutines at once.
type Server struct {
	config     Config
	challenges wire.ChallengeKey
	keys       secret.Value[map[wire.HPKEKeyID]hpke.PrivateKey]
	current    []byte                  // public
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
	s := &Server{config: config, challenges: challenges, keys: secret.Hide(keys), current: config.HPKE.Current.PublicKey().Bytes(),
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

// ServerKey returns the HPKE public key that new devices are shipped with (see
// device.Config): 1216 bytes.
func (s *Server) ServerKey() []byte {
	if s == nil {
		return nil
	}
	return slices.Clone(s.current)
}

// ChallengeEnroll draws the id of a new key and a challenge for its enrolment, of [protocol.ChallengeSize]
// bytes. It is for the service to call, for a user whom it has identified: whoever has the challenge
// can enrol one key, under this id.
func (s *Server) ChallengeEnroll(ctx context.Context) (protocol.KeyID, []byte, error) {
	if err := s.made(ctx); err != nil {
		return protocol.KeyID{}, nil, err
	}
	var id protocol.KeyID
	rand.Read(id[:])
	return id, s.issue(wire.ForEnrolment, id, wire.Hash{}), nil
}

// ChallengeSign is [Server.ChallengeSignAll] for one digest.
func (s *Server) ChallengeSign(ctx context.Context, id protocol.KeyID, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.ChallengeSignAll(ctx, id, [][]byte{digest}, opts)
}

// ChallengeSignAll returns a challenge for a transaction: for signatures of these 1 to
// [protocol.MaxDocuments] digests, in this order, by this key, padded as opts says (see [splitkey.FinalKey.Encode];
// the length of a PSS salt is the device's choice). Nothing bounds their number while the challenge
// lives: a device that asks twice, with the PIN, gets two of each, which differ in their PSS salt
// only. The service hands out challenge, digests and options together, and takes the device's time
// to answer as the transaction's. ChallengeSignAll does not ask the store, so an unknown id is no
// error. It returns splitkey.ErrMessage for digests or options that cannot be signed.
func (s *Server) ChallengeSignAll(ctx context.Context, id protocol.KeyID, digests [][]byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := s.made(ctx); err != nil {
		return nil, err
	}
	m, err := wire.NewMessages(digests, opts)
	if err != nil {
		return nil, err
	}
	return s.issue(wire.ForTransaction, id, m.Binding()), nil
}

// Challenge returns a challenge for device.Device.Confirm, device.Device.Refresh, device.Device.ChangePIN,
// device.Device.Cancel and device.Device.Report, with which nothing can be signed. It may be given to anybody
// who asks, and is no secret. It does not ask the store, so an unknown id is no error.
func (s *Server) Challenge(ctx context.Context, id protocol.KeyID) ([]byte, error) {
	if err := s.made(ctx); err != nil {
		return nil, err
	}
	return s.issue(wire.ForOwnUse, id, wire.Hash{}), nil
}

func (s *Server) issue(p wire.Purpose, id protocol.KeyID, binding wire.Hash) []byte {
	return s.challenges.Issue(p, id, s.config.Clock(), s.config.ChallengeLife, binding)
}

// Handle answers one request of a device: it is the only input for bytes from
// outside. It reads up to [protocol.MaxRequest] bytes and answers with up to [protocol.MaxResponse].
//
// The one error is [ErrRefused], and means that there is no answer. It is the
// same for everybody who does not hold the K_dev of the key that he names, whatever he sends; how a service expresses it (say,
// HTTP status 403 and an empty body) is up to the transport, which must do so always in the same way.
//
// Everything that counts is durable in the store when Handle returns. Once an outcome
// is known, cancelling ctx does not stop its being counted.
func (s *Server) Handle(ctx context.Context, request []byte) ([]byte, error) {
	if s.made(ctx) != nil {
		return nil, ErrRefused
	}
	response, err := s.handle(ctx, request)
	if err != nil {
		s.refused(ctx, err)
		return nil, ErrRefused
	}
	return response, nil
}

func (s *Server) handle(ctx context.Context, request []byte) ([]byte, error) {
	e, err := wire.ParseEnvelope(request)
	if err != nil {
		return nil, err
	}
	key := s.keys.Get()[e.HPKEKey]
	if key == nil {
		return nil, fmt.Errorf("%w: unknown HPKE key", protocol.ErrMalformed)
	}
	plaintext, r, err := wire.OpenRequest(key, e, request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", protocol.ErrMalformed, err)
	}
	defer clear(plaintext)
	var a *wire.Answer
	if e.Op == protocol.OpEnroll {
		a, err = s.enroll(ctx, e.KeyID, plaintext, r.Request)
	} else {
		a, err = s.attempt(ctx, e, plaintext, r.Request)
	}
	if err != nil {
		return nil, err
	}
	if e.HPKEKey != wire.HPKEKeyIDOf(s.current) {
		a.Document = s.document
	}
	if a.HasChallenge() {
		a.Challenge = s.issue(wire.ForOwnUse, e.KeyID, wire.Hash{})
	}
	encoded, err := a.Encode()
	if err != nil {
		return nil, err
	}
	return r.Seal(encoded)
}

// decision is what the server decided about a request, or about a record.
type decision struct {
	answer *wire.Answer
	event  event // what happened, if its kind is not 0
	write  bool  // the record changed
	sign   bool  // the signatures are to be made, once all is durable
}

// update changes one record by one conditional write. decide weighs the record, and changes it; it
// is called again if another write came first. What happened is delivered once it is durable, and
// so is what a crash has left.
func (s *Server) update(ctx context.Context, id protocol.KeyID, decide func(*record) (decision, error)) (decision, error) {
	var d decision
	var now *record // as it is stored
	err := limiter.Update(ctx, s.config.Store, recordID(id), func(value []byte) ([]byte, error) {
		rec, err := parseRecord(value)
		if err != nil {
			return nil, err
		}
		now = rec
		if d, err = decide(rec); err != nil || !d.write {
			return nil, err
		}
		if d.event.kind != 0 {
			if err := s.note(ctx, id, rec, d.event); err != nil {
				return nil, err
			}
		}
		return rec.encode()
	})
	if err != nil {
		return decision{}, err
	}
	_ = s.deliver(ctx, id, now) // what fails is logged, and delivered later
	return d, nil
}

// destroy makes the key dead for ever.
func (d *decision) destroy(rec *record, why protocol.Reason, now int64) {
	rec.destroy(why)
	d.write, d.event = true, event{kind: destroyedEvent, at: now, reason: why}
	d.answer = &wire.Answer{Code: wire.CodeDestroyed, Reason: why}
}

// checkChallenge refuses a challenge that is not for this key, or not from this server. It says
// nothing of what the challenge names, nor of its age.
func (s *Server) checkChallenge(c *wire.Challenge, id protocol.KeyID, now int64) error {
	if c.KeyID != id || !s.challenges.Authentic(c) {
		return fmt.Errorf("%w: not the server's challenge for this key", protocol.ErrMalformed)
	}
	if c.Issued > now+clockSkew.Milliseconds() {
		return fmt.Errorf("%w: a challenge of the future", protocol.ErrMalformed)
	}
	return nil
}

func (s *Server) now() (int64, error) {
	now := s.config.Clock()
	if now.Before(time.UnixMilli(0)) || now.UnixMilli() > wire.MaxTime {
		return 0, fmt.Errorf("server: the clock shows %v", now)
	}
	return now.UnixMilli(), nil
}
