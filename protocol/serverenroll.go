package protocol

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/splitkey"
)

// enroll answers an enrolment. It is idempotent: the challenge fixes the key id, so a repetition of the
// same bytes, at any time and on any node, finds the record that the first one made.
func (s *Server) enroll(ctx context.Context, id KeyID, plaintext []byte, request hash) (*answer, error) {
	e, err := parseEnrollment(plaintext)
	if err != nil {
		return nil, err
	}
	defer e.wipe()
	now, err := s.now()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	if err := s.checkChallenge(e.challenge, id, now); err != nil {
		return nil, err
	}
	if !hardwareSigned(e.hardware, id, e.body, e.signature) {
		return nil, fmt.Errorf("%w: not signed by the hardware key", ErrMalformed)
	}
	// From here on the sender is somebody whom the service let enrol: answers may tell.
	a, err := s.enrollOnce(ctx, id, e, request, now)
	if err == nil && a.code == codeKeyRefused {
		err = s.record(ctx, Event{Time: s.config.Clock(), Key: id, Kind: eventRefused, Level: slog.LevelWarn,
			Attrs: []slog.Attr{slog.String("reason", a.refusal.String())}})
	}
	if err != nil && !errors.Is(err, ErrMalformed) {
		s.failed(ctx, id, err)
		return &answer{code: codeLater}, nil
	}
	return a, err
}

func (s *Server) enrollOnce(ctx context.Context, id KeyID, e *enrollment, request hash, now int64) (*answer, error) {
	if a, err := s.enrolledBefore(ctx, id, request, now); a != nil || err != nil {
		return a, err
	}
	if e.challenge.expires <= now {
		return &answer{code: codeExpired}, nil
	}
	if a, err := s.spentBefore(ctx, id, request); a != nil || err != nil {
		return a, err
	}
	share, err := splitkey.ParseServerShare(e.share())
	if err != nil {
		return refuseKey(refusedModulus), nil
	}
	defer share.Wipe()
	if why := s.unfit(share.PublicKey()); why != 0 {
		return refuseKey(why), nil
	}
	if err := s.acceptHardware(ctx, id, e); err != nil {
		s.config.Log.LogAttrs(ctx, slog.LevelWarn, "hardware key not accepted", slog.String("key", id.String()), slog.String("cause", err.Error()))
		return refuseKey(refusedHardware), nil
	}
	index := indexID(share)
	if owner, _, err := s.owner(ctx, index); err != nil {
		return nil, err
	} else if owner != nil && *owner != id {
		if gone, err := s.expire(ctx, *owner, e.challenge.issued); err != nil {
			return nil, err
		} else if !gone {
			return refuseKey(refusedEnrolled), nil
		}
	}
	rec := &record{
		condition: Pending, created: now, until: now + s.config.PendingLife.Milliseconds(),
		enrollment: request, chain: request, current: e.commitment, hardware: e.hardware,
		eventNumber: 1, events: []event{{kind: enrolledEvent, at: now}},
	}
	// A sealer that is down is noticed before the challenge is spent.
	if rec.sealedKey, err = s.config.Sealer.Seal(ctx, authKeyAAD(id), e.authKey.bytes()); err != nil {
		return nil, err
	}
	if a, err := s.spend(ctx, id, request); a != nil || err != nil {
		return a, err
	}
	// Whoever goes away now would have the challenge spent for nothing.
	ctx = context.WithoutCancel(ctx)
	if ours, err := s.reserve(ctx, index, id, e.challenge.issued); err != nil {
		return nil, err
	} else if !ours {
		return s.refuseSpent(ctx, id, request, refusedEnrolled)
	}
	if err := s.complete(ctx, id, share, rec); errors.Is(err, splitkey.ErrKey) {
		return s.refuseSpent(ctx, id, request, refusedFactor)
	} else if err != nil {
		return nil, err
	}
	return s.create(ctx, id, rec)
}

func refuseKey(why refusal) *answer { return &answer{code: codeKeyRefused, refusal: why} }

// enrolledBefore answers a repeated enrolment, from the record.
func (s *Server) enrolledBefore(ctx context.Context, id KeyID, request hash, now int64) (*answer, error) {
	value, _, err := s.config.Store.Load(ctx, id.recordID())
	if errors.Is(err, limiter.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rec, err := parseRecord(value)
	if err != nil {
		return nil, err
	}
	if rec.enrollment != request {
		return nil, fmt.Errorf("%w: the challenge was used for another enrolment", ErrMalformed)
	}
	if rec.condition == Destroyed {
		return &answer{code: codeDestroyed, reason: rec.reason}, nil
	}
	if rec.condition == Pending && now >= rec.until {
		return &answer{code: codeDestroyed, reason: ReasonExpired}, nil
	}
	return &answer{code: codeEnrolled, public: rec.public, confirmBy: rec.until}, nil
}

// create writes the record. Of two requests at once that both get here, one writes it and both answer
// from it.
func (s *Server) create(ctx context.Context, id KeyID, rec *record) (*answer, error) {
	value, err := rec.encode()
	if err != nil {
		return nil, err
	}
	switch err := s.config.Store.Create(ctx, id.recordID(), value); {
	case err == nil:
		_ = s.deliver(ctx, id, rec)
	case !errors.Is(err, limiter.ErrConflict):
		return nil, err
	}
	a, err := s.enrolledBefore(ctx, id, rec.enrollment, rec.created)
	if a == nil && err == nil {
		err = errors.New("protocol: the store lost a new record")
	}
	return a, err
}

// complete draws a server key, unless the key is to be two-prime, and fills in the record's final key
// and share. The error wraps splitkey.ErrKey where the two moduli have a common factor.
func (s *Server) complete(ctx context.Context, id KeyID, share *splitkey.ServerShare, rec *record) error {
	own, blob, err := s.serverKey(ctx)
	if err != nil {
		return err
	}
	defer clear(blob)
	c, err := splitkey.NewCompleter(share, own)
	if err != nil {
		return err
	}
	sec := secrets{share.Bytes(), blob, c.Precomputed()}
	defer clear(sec.share)
	plaintext, err := sec.encode()
	if err != nil {
		return err
	}
	defer clear(plaintext)
	rec.public = *c.PublicKey()
	rec.sealedShare, err = s.config.Sealer.Seal(ctx, shareAAD(id), plaintext)
	return err
}

// serverKey draws the server's own key, or returns none where keys are two-prime. A key that is not
// what KeySource promises is a fault of the source.
func (s *Server) serverKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	keys := s.config.Keys
	if keys == nil {
		return nil, nil, nil
	}
	own, blob, err := keys.NewKey(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("protocol: no server key: %w", err)
	}
	var pub *rsa.PublicKey
	if !isnil.Value(own) {
		pub, _ = own.Public().(*rsa.PublicKey)
	}
	switch {
	case len(blob) == 0 || len(blob) > maxBlob:
		err = errors.New("protocol: the blob of a server key is empty or too long")
	case pub == nil || pub.N == nil || pub.N.BitLen() != keys.Bits() || pub.E != serverExponent:
		err = errors.New("protocol: a server key of another length or exponent than the source's")
	case pub.N.Bytes()[0] < leastFirstByte:
		err = errors.New("protocol: a server key whose modulus is too small")
	default:
		return own, blob, nil
	}
	clear(blob)
	return nil, nil, err
}

func shareAAD(id KeyID) []byte   { return append([]byte("tandem v2 share "), id[:]...) }
func authKeyAAD(id KeyID) []byte { return append([]byte("tandem v2 authentication key "), id[:]...) }
