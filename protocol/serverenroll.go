package protocol

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

// enroll answers an enrolment. It is idempotent: the challenge fixes the key id, so a repetition of the
// same bytes, at any time and on any node, finds the record that the first one made.
func (s *Server) enroll(ctx context.Context, id KeyID, plaintext []byte, request [sha256.Size]byte) (*answer, error) {
	e, err := parseEnrollment(plaintext)
	if err != nil {
		return nil, err
	}
	defer clear(e.share())
	defer e.deviceKey.wipe()
	if e.challenge.purpose != forEnrolment {
		return nil, fmt.Errorf("%w: challenge of another purpose", ErrMalformed)
	}
	now, err := s.now()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInternal, err)
	}
	if err := s.checkChallenge(e.challenge, id, nil, now); err != nil {
		return nil, err
	}
	// From here on the sender is somebody whom the service let enrol: answers may tell.
	a, err := s.enrollOnce(ctx, id, e, request, now)
	if err == nil && a.code == codeKeyRefused {
		s.audit(ctx, id, newEvent(slog.LevelWarn, eventRefused, slog.String("reason", a.refusal.String())))
	}
	if err != nil && !errors.Is(err, ErrMalformed) {
		s.failed(ctx, id, err)
		return &answer{code: codeLater}, nil
	}
	return a, err
}

func (s *Server) enrollOnce(ctx context.Context, id KeyID, e *enrollment, request [sha256.Size]byte, now int64) (*answer, error) {
	if a, err := s.enrolledBefore(ctx, id, request, now); a != nil || err != nil {
		return a, err
	}
	if e.challenge.expires <= now {
		return &answer{code: codeExpired}, nil
	}
	share, err := splitkey.ParseServerShare(e.share())
	if err != nil {
		return refuseKey(refusedModulus), nil
	}
	defer share.Wipe()
	if err := splitkey.CheckModulus(share.PublicKey()); err != nil {
		return refuseKey(refusedModulus), nil
	}
	index := indexID(share)
	if owner, _, err := s.owner(ctx, index); err != nil {
		return nil, err
	} else if owner != nil && *owner != id {
		if gone, err := s.expire(ctx, *owner, e.challenge.issued); !gone {
			return refuseKey(refusedEnrolled), err
		}
	}
	completer, blob, err := s.complete(ctx, share)
	if err != nil {
		if errors.Is(err, splitkey.ErrKey) {
			return refuseKey(refusedFactor), nil
		}
		if errors.Is(err, errLength) {
			return refuseKey(refusedLength), nil
		}
		return nil, err
	}
	defer clear(blob)
	rec, err := s.newRecord(ctx, id, e, completer, share, blob)
	if err != nil {
		return nil, err
	}
	rec.enrollment, rec.created, rec.latest = request, now, now
	rec.until = now + s.config.PendingLife.Milliseconds()
	return s.create(ctx, id, index, rec, e.challenge.issued)
}

func refuseKey(why refusal) *answer { return &answer{code: codeKeyRefused, refusal: why} }

// enrolledBefore answers a repeated enrolment, from the record.
func (s *Server) enrolledBefore(ctx context.Context, id KeyID, request [sha256.Size]byte, now int64) (*answer, error) {
	value, _, err := s.config.Store.Load(ctx, id.recordID())
	if errors.Is(err, pinlock.ErrNotFound) {
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
	challenge, err := s.Challenge(ctx, id)
	if err != nil {
		return nil, err
	}
	return &answer{code: codeEnrolled, enrolled: enrolled{rec.public, challenge, rec.until}}, nil
}

// create reserves the modulus, then writes the record. A crash in between is healed by the same
// request sent again: the reservation names the key id, so it is its own. Of two
// requests at once that both get here, one writes the record and both answer from it.
func (s *Server) create(ctx context.Context, id KeyID, index string, rec *record, issued int64) (*answer, error) {
	value, err := rec.encode()
	if err != nil {
		return nil, err
	}
	if ours, err := s.reserve(ctx, index, id, issued); err != nil {
		return nil, err
	} else if !ours {
		return refuseKey(refusedEnrolled), nil
	}
	enrolled := newEvent(slog.LevelInfo, eventEnrolled, slog.Int("bits", rec.public.N.BitLen()))
	switch err := s.config.Store.Create(ctx, id.recordID(), value); {
	case err == nil:
		s.audit(ctx, id, enrolled)
	case !errors.Is(err, pinlock.ErrConflict):
		s.auditUnknown(ctx, id, enrolled)
		return nil, err
	}
	a, err := s.enrolledBefore(ctx, id, rec.enrollment, rec.created)
	if a == nil && err == nil {
		err = errors.New("protocol: the store lost a new record")
	}
	return a, err
}

// reserve makes id the owner of a modulus, and reports whether it is now. A modulus whose owner was not confirmed in time
// passes to the next one: the owner is destroyed first, for ever, so that at no time two keys with one modulus can be confirmed. The
// time that counts is that at which the challenge was issued, so that a request which was refused once always is.
func (s *Server) reserve(ctx context.Context, index string, id KeyID, issued int64) (bool, error) {
	reservation := append([]byte{wireVersion}, id[:]...)
	err := s.config.Store.Create(ctx, index, reservation)
	if !errors.Is(err, pinlock.ErrConflict) {
		return err == nil, err
	}
	owner, version, err := s.owner(ctx, index)
	if err != nil || owner == nil {
		return false, err
	}
	if *owner == id {
		return true, nil
	}
	if gone, err := s.expire(ctx, *owner, issued); !gone {
		return false, err
	}
	err = s.config.Store.Swap(ctx, index, version, reservation)
	if !errors.Is(err, pinlock.ErrConflict) {
		return err == nil, err
	}
	owner, _, err = s.owner(ctx, index) // another node was faster, perhaps with the same request
	return owner != nil && *owner == id, err
}

// indexID is where the store keeps which key has a modulus. It hides nothing: n1 is public.
func indexID(share *splitkey.ServerShare) string {
	sum := sha256.Sum256(share.PublicKey().N.Bytes())
	return "n1/" + hex.EncodeToString(sum[:])
}

// owner returns the key id that a modulus is reserved for, or nil, and the version of the reservation.
func (s *Server) owner(ctx context.Context, index string) (*KeyID, uint64, error) {
	value, version, err := s.config.Store.Load(ctx, index)
	if errors.Is(err, pinlock.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if len(value) != 1+KeyIDSize || value[0] != wireVersion {
		return nil, 0, fmt.Errorf("%w: index", ErrRecord)
	}
	id := KeyID(value[1:])
	return &id, version, nil
}

// errLength is for a device's key that is longer or shorter than the server's.
var errLength = errors.New("protocol: lengths differ")

// complete draws a server key (n2, d2) such that n1*n2 has full length.
func (s *Server) complete(ctx context.Context, share *splitkey.ServerShare) (*splitkey.Completer, []byte, error) {
	if s.config.Keys == nil {
		c, err := splitkey.NewCompleter(share, nil)
		return c, nil, err
	}
	bits := share.PublicKey().N.BitLen()
	// For an n1 of package splitkey and a KeySource that knows its factors (see KeyPool) the first draw
	// fits. The worst n1 and n2, each just above 2^(bits-1), make few products of full length; random n2 above
	// 2^(bits-1/2), as FIPS 186-5 wants them, most: 32 draws fail never.
	for range 32 {
		own, blob, err := s.config.Keys.NewKey(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("protocol: no server key: %w", err)
		}
		if isnil.Value(own) || len(blob) == 0 || len(blob) > maxBlob {
			clear(blob)
			return nil, nil, errors.New("protocol: no server key, or one whose blob is empty or too long")
		}
		if pub, ok := own.Public().(*rsa.PublicKey); !ok || pub.N.BitLen() != bits {
			clear(blob)
			return nil, nil, errLength
		}
		c, err := splitkey.NewCompleter(share, own)
		if err != nil {
			clear(blob)
			return nil, nil, err
		}
		if c.PublicKey().N.BitLen() == 2*bits {
			return c, blob, nil
		}
		clear(blob)
	}
	return nil, nil, errors.New("protocol: no server key makes a modulus of full length")
}

func (s *Server) newRecord(ctx context.Context, id KeyID, e *enrollment, c *splitkey.Completer, share *splitkey.ServerShare, blob []byte) (*record, error) {
	secrets := secrets{share.Bytes(), blob, c.Precomputed()}
	defer clear(secrets.share)
	plaintext, err := secrets.encode()
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	rec := &record{condition: Pending, public: *c.PublicKey(), current: e.commitment, challenges: s.challenges.id}
	if rec.sealedShare, err = s.config.Sealer.Seal(ctx, shareAAD(id), plaintext); err != nil {
		return nil, err
	}
	if rec.sealedKey, err = s.config.Sealer.Seal(ctx, deviceKeyAAD(id), e.deviceKey.bytes()); err != nil {
		return nil, err
	}
	return rec, nil
}

func shareAAD(id KeyID) []byte     { return append([]byte("tandem v1 share "), id[:]...) }
func deviceKeyAAD(id KeyID) []byte { return append([]byte("tandem v1 device key "), id[:]...) }
