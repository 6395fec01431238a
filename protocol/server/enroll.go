package server

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// enroll answers an enrolment. It is idempotent: the challenge fixes the key id, so a
// repetition of the same bytes, at any time and on any node, finds the record that the
// first one made.
func (s *Server) enroll(ctx context.Context, o *wire.Opened, now int64) (*wire.Answer, error) {
	e, err := wire.ParseEnrollment(o.Plaintext.Get()) // 2
	if err != nil {
		return nil, err
	}
	defer e.Wipe()
	id, request := o.KeyID, o.ResponseKey.Request
	if err := s.checkChallenge(e.Challenge, o.Envelope); err != nil { // 3
		return nil, err
	}
	if !wire.HardwareSigned(e.Hardware, id, e.Body.Get(), e.Signature) {
		return nil, fmt.Errorf("%w: not signed by the hardware key", protocol.ErrMalformed)
	}
	// From here on the sender is somebody whom the service let enrol: answers may tell.
	a, err := s.enrollOnce(ctx, id, e, request, now)
	if err == nil && a.Code == wire.CodeKeyRefused {
		err = s.noteRefusal(ctx, id, a.Refusal)
	}
	if err != nil && !errors.Is(err, protocol.ErrMalformed) {
		return s.later(ctx, id, err), nil
	}
	return a, err
}

// enrollOnce is checks 4 to 12 of docs/protocol.md, "Enrolment".
func (s *Server) enrollOnce(ctx context.Context, id protocol.KeyID, e *wire.Enrollment, request wire.Hash, now int64) (*wire.Answer, error) {
	if a, err := s.enrolledBefore(ctx, id, request, now); a != nil || err != nil {
		return a, err
	}
	if e.Challenge.Expires <= now {
		return &wire.Answer{Code: wire.CodeExpired}, nil
	}
	if a, err := s.spentBefore(ctx, id, request); a != nil || err != nil {
		return a, err
	}
	share, err := splitkey.ParseServerShare(e.Share.Get())
	if err != nil {
		return refuseKey(wire.RefusedModulus), nil
	}
	defer share.Wipe()
	if why := s.unfit(share.PublicKey()); why != 0 {
		return refuseKey(why), nil
	}
	if err := s.acceptHardware(ctx, id, e); err != nil {
		s.config.Log.LogAttrs(ctx, slog.LevelWarn, "hardware key not accepted",
			named(ctx, slog.String("key", id.String()), slog.String("cause", err.Error()))...)
		return refuseKey(wire.RefusedHardware), nil
	}
	index := indexID(share)
	if taken, err := s.taken(ctx, index, id, e.Challenge.Issued); err != nil {
		return nil, err
	} else if taken {
		return refuseKey(wire.RefusedEnrolled), nil
	}
	// A sealer that is down is noticed before the challenge is spent.
	keys := newDeviceSecrets(e.AuthKey)
	defer keys.wipe()
	sealedKey, err := keys.seal(ctx, s.config.Sealer, authKeyAAD(id))
	if err != nil {
		return nil, err
	}
	if a, err := s.spend(ctx, id, request); a != nil || err != nil {
		return a, err
	}
	// Whoever goes away now would have the challenge spent for nothing.
	ctx = context.WithoutCancel(ctx)
	if ours, err := s.reserve(ctx, index, id, e.Challenge.Issued); err != nil {
		return nil, err
	} else if !ours {
		return s.refuseSpent(ctx, id, request, wire.RefusedEnrolled)
	}
	final, sealedShare, err := s.complete(ctx, id, share, keys)
	if errors.Is(err, splitkey.ErrKey) {
		return s.refuseSpent(ctx, id, request, wire.RefusedFactor)
	} else if err != nil {
		return nil, err
	}
	return s.create(ctx, id, &record{
		condition: Pending, created: now, until: now + s.config.PendingLife.Milliseconds(), public: *final,
		enrollment: request, chain: request, commitment: e.Commitment, hardware: e.Hardware,
		eventNumber: 1, events: []event{{kind: enrolledEvent, at: now}},
		sealedKey: sealedKey, sealedShare: sealedShare,
	})
}

func refuseKey(why wire.Refusal) *wire.Answer {
	return &wire.Answer{Code: wire.CodeKeyRefused, Refusal: why}
}

// enrolledBefore answers a repeated enrolment, from the record.
func (s *Server) enrolledBefore(ctx context.Context, id protocol.KeyID, request wire.Hash, now int64) (*wire.Answer, error) {
	rec, err := s.load(ctx, id)
	if errors.Is(err, limiter.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if rec.enrollment != request {
		return nil, fmt.Errorf("%w: %w: used for another enrolment", protocol.ErrMalformed, errChallenge)
	}
	if rec.condition == Destroyed {
		return toldDestroyed(rec).answer, nil
	}
	if rec.over(now) {
		return &wire.Answer{Code: wire.CodeDestroyed, Reason: protocol.ReasonExpired}, nil
	}
	return &wire.Answer{Code: wire.CodeEnrolled, Public: rec.public, ConfirmBy: rec.until}, nil
}

// create writes the record. Of two requests at once that both get here, one writes it and
// both answer from it.
func (s *Server) create(ctx context.Context, id protocol.KeyID, rec *record) (*wire.Answer, error) {
	value, err := rec.encode()
	if err != nil {
		return nil, err
	}
	switch err := s.config.Store.Create(ctx, recordID(id), value); {
	case err == nil:
		s.happened(rec.events[0], rec)
		_ = s.deliver(ctx, id, rec)
	case !errors.Is(err, limiter.ErrConflict):
		return nil, err
	}
	a, err := s.enrolledBefore(ctx, id, rec.enrollment, rec.created)
	if a == nil && err == nil {
		err = errors.New("server: the store lost a new record")
	}
	return a, err
}

// complete draws a server key, unless the key is to be two-prime, and returns the final
// key and the sealed share. The error wraps splitkey.ErrKey where the two moduli have a
// common factor.
func (s *Server) complete(ctx context.Context, id protocol.KeyID, share *splitkey.ServerShare, under deviceSecrets) (final *rsa.PublicKey, sealed []byte, err error) {
	serverKey, blob, err := s.serverKey(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer clear(blob)
	defer wipeKey(serverKey)
	c, err := splitkey.NewCompleter(share, serverKey, nil)
	if err != nil {
		return nil, nil, err
	}
	sec := secrets{share.Bytes(), blob, c.Precomputed()}
	defer clear(sec.share)
	plaintext, err := sec.encode()
	if err != nil {
		return nil, nil, err
	}
	defer clear(plaintext)
	sealed, err = under.sealShare(plaintext)
	return c.PublicKey(), sealed, err
}

// serverKey draws a server key, or returns none where keys are two-prime. A key
// that is not what KeySource promises is a fault of the source.
func (s *Server) serverKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	keys := s.config.Keys
	if keys == nil {
		return nil, nil, nil
	}
	key, blob, err := keys.NewKey(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("server: no server key: %w", err)
	}
	var pub *rsa.PublicKey
	if !isnil.Value(key) {
		pub, _ = key.Public().(*rsa.PublicKey)
	}
	switch {
	case len(blob) == 0 || len(blob) > maxBlob:
		err = errors.New("server: the blob of a server key is empty or too long")
	case pub == nil || pub.N == nil || pub.N.BitLen() != keys.Bits() || pub.E != serverExponent:
		err = errors.New("server: a server key of another length or exponent than the source's")
	case pub.N.Cmp(splitkey.LeastServerModulus(keys.Bits())) < 0:
		err = errors.New("server: a server key whose modulus is too small")
	default:
		return key, blob, nil
	}
	clear(blob)
	wipeKey(key)
	return nil, nil, err
}

// wipeKey wipes a key that was drawn, which is the server's. Of one in an HSM there is
// nothing to wipe.
func wipeKey(key splitkey.RSAKey) {
	if k, ok := key.(*splitkey.SoftwareKey); ok && k != nil {
		k.Wipe()
	}
}
