package protocol

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// Server is the service's half of the protocol. It keeps nothing between calls but its
// configuration: any number of servers with the same one may share a store, and any of them answers any
// request. All methods may be called from many goroutines at once.
type Server struct {
	config     Config
	challenges challengeKey
	keys       hidden[map[hpkeKeyID]hpke.PrivateKey]
	current    []byte                  // public
	document   []byte                  // public
	nobody     *atomic.Pointer[[]byte] // a sealed K_dev that no key has: trial.pretend
	delivered  *delivered
	lines      *lines
}

// NewServer returns a server, or an error that wraps [ErrConfig].
func NewServer(config Config) (*Server, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	challenges, err := newChallengeKey(config.ChallengeKey)
	if err != nil {
		return nil, err
	}
	keys, err := config.HPKE.keyring()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, challenges: challenges, keys: hide(keys), current: config.HPKE.Current.PublicKey().Bytes(),
		nobody: new(atomic.Pointer[[]byte]), delivered: new(delivered), lines: new(lines)}
	s.config.Policy, s.config.ChallengeKey, s.config.HPKE = slices.Clone(config.Policy), nil, HPKEKeys{}
	s.document = slices.Clone(config.HPKE.Document)
	return s, nil
}

// Format says nothing of the configuration.
func (s Server) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.Server") }

// ServerKey returns the HPKE public key that new devices are shipped with (see
// [DeviceConfig]): 1216 bytes.
func (s *Server) ServerKey() []byte {
	if s == nil {
		return nil
	}
	return slices.Clone(s.current)
}

// ChallengeEnroll draws the id of a new key and a challenge for its enrolment, of [ChallengeSize]
// bytes. It is for the service to call, for a user whom it has identified: whoever has the challenge
// can enrol one key, under this id.
func (s *Server) ChallengeEnroll(ctx context.Context) (KeyID, []byte, error) {
	if err := s.made(ctx); err != nil {
		return KeyID{}, nil, err
	}
	var id KeyID
	rand.Read(id[:])
	return id, s.issue(forEnrolment, id, hash{}), nil
}

// ChallengeSign is [Server.ChallengeSignAll] for one digest.
func (s *Server) ChallengeSign(ctx context.Context, id KeyID, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.ChallengeSignAll(ctx, id, [][]byte{digest}, opts)
}

// ChallengeSignAll returns a challenge for a transaction: for signatures of these 1 to
// [MaxDocuments] digests, in this order, by this key, padded as opts says (see [splitkey.Encode];
// the length of a PSS salt is the device's choice). Nothing bounds their number while the challenge
// lives: a device that asks twice, with the PIN, gets two of each, which differ in their PSS salt
// only. The service hands out challenge, digests and options together, and takes the device's time
// to answer as the transaction's. ChallengeSignAll does not ask the store, so an unknown id is no
// error. It returns splitkey.ErrMessage for digests or options that cannot be signed.
func (s *Server) ChallengeSignAll(ctx context.Context, id KeyID, digests [][]byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := s.made(ctx); err != nil {
		return nil, err
	}
	m, err := newMessages(digests, opts)
	if err != nil {
		return nil, err
	}
	return s.issue(forTransaction, id, m.binding()), nil
}

// Challenge returns a challenge for [Device.Confirm], [Device.Refresh], [Device.ChangePIN],
// [Device.Cancel] and [Device.Report], with which nothing can be signed. It may be given to anybody
// who asks, and is no secret. It does not ask the store, so an unknown id is no error.
func (s *Server) Challenge(ctx context.Context, id KeyID) ([]byte, error) {
	if err := s.made(ctx); err != nil {
		return nil, err
	}
	return s.issue(forOwnUse, id, hash{}), nil
}

func (s *Server) issue(p purpose, id KeyID, binding hash) []byte {
	return s.challenges.issue(p, id, s.config.Clock(), s.config.ChallengeLife, binding)
}

// Handle answers one request of a device: it is the only input for bytes from
// outside. It reads up to [MaxRequest] bytes and answers with up to [MaxResponse].
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
	e, err := parseEnvelope(request)
	if err != nil {
		return nil, err
	}
	key := s.keys()[e.hpkeKey]
	if key == nil {
		return nil, fmt.Errorf("%w: unknown HPKE key", ErrMalformed)
	}
	plaintext, r, err := openRequest(key, e, request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	defer clear(plaintext)
	var a *answer
	if e.op == OpEnroll {
		a, err = s.enroll(ctx, e.keyID, plaintext, r.request)
	} else {
		a, err = s.attempt(ctx, e, plaintext, r.request)
	}
	if err != nil {
		return nil, err
	}
	if e.hpkeKey != hpkeKeyIDOf(s.current) {
		a.document = s.document
	}
	if a.hasChallenge() {
		a.challenge = s.issue(forOwnUse, e.keyID, hash{})
	}
	encoded, err := a.encode()
	if err != nil {
		return nil, err
	}
	return r.seal(encoded)
}

// decision is what the server decided about a request, or about a record.
type decision struct {
	answer *answer
	event  event // what happened, if its kind is not 0
	write  bool  // the record changed
	sign   bool  // the signatures are to be made, once all is durable
}

// update changes one record by one conditional write. decide weighs the record, and changes it; it
// is called again if another write came first. What happened is delivered once it is durable, and
// so is what a crash has left.
func (s *Server) update(ctx context.Context, id KeyID, decide func(*record) (decision, error)) (decision, error) {
	var d decision
	var now *record // as it is stored
	err := limiter.Update(ctx, s.config.Store, id.recordID(), func(value []byte) ([]byte, error) {
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
func (d *decision) destroy(rec *record, why Reason, now int64) {
	rec.destroy(why)
	d.write, d.event = true, event{kind: destroyedEvent, at: now, reason: why}
	d.answer = &answer{code: codeDestroyed, reason: why}
}

// checkChallenge refuses a challenge that is not for this key, or not from this server. It says
// nothing of what the challenge names, nor of its age.
func (s *Server) checkChallenge(c *challenge, id KeyID, now int64) error {
	if c.keyID != id || !s.challenges.authentic(c) {
		return fmt.Errorf("%w: not the server's challenge for this key", ErrMalformed)
	}
	if c.issued > now+clockSkew.Milliseconds() {
		return fmt.Errorf("%w: a challenge of the future", ErrMalformed)
	}
	return nil
}

func (s *Server) now() (int64, error) {
	now := s.config.Clock()
	if now.Before(time.UnixMilli(0)) || now.UnixMilli() > maxTime {
		return 0, fmt.Errorf("protocol: the clock shows %v", now)
	}
	return now.UnixMilli(), nil
}
