package server

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// unfit returns why a client modulus cannot be enrolled, as far as it can be told from
// the modulus alone, or 0. All of it is known before the server draws a key of its own.
func (s *Server) unfit(pub *rsa.PublicKey) wire.Refusal {
	if splitkey.CheckModulus(pub) != nil {
		return wire.RefusedModulus
	}
	keys := s.config.Keys
	switch {
	case keys == nil:
		return 0
	case pub.N.BitLen() != keys.Bits():
		return wire.RefusedLength
	case pub.E != serverExponent:
		return wire.RefusedFactor
	case !makesFullLength(pub.N):
		return wire.RefusedSmall
	}
	return 0
}

// makesFullLength reports whether n1*n2 has full length for the modulus n2 of every
// server key: see [splitkey.LeastServerModulus].
func makesFullLength(n1 *big.Int) bool {
	bits := n1.BitLen()
	return new(big.Int).Mul(n1, splitkey.LeastServerModulus(bits)).BitLen() == 2*bits
}

// taken reports whether another key owns a modulus. An owner that was not confirmed by
// the time at which the challenge was issued is destroyed, and owns it no more.
func (s *Server) taken(ctx context.Context, index string, id protocol.KeyID, issued int64) (bool, error) {
	owner, _, err := s.owner(ctx, index)
	if err != nil || owner == nil || *owner == id {
		return false, err
	}
	gone, err := s.gone(ctx, *owner, issued)
	return !gone, err
}

// reserve makes id the owner of a modulus, and reports whether it is now. A modulus whose
// owner was not confirmed in time passes to the next one: the owner is destroyed first,
// for ever, so that at no time two keys with one modulus can be confirmed. The time that
// counts is that at which the challenge was issued, so that a request which was refused
// once always is.
func (s *Server) reserve(ctx context.Context, index string, id protocol.KeyID, issued int64) (bool, error) {
	reservation := append([]byte{wire.Version}, id[:]...)
	err := s.config.Store.Create(ctx, index, reservation)
	if !errors.Is(err, limiter.ErrConflict) {
		return err == nil, err
	}
	owner, version, err := s.owner(ctx, index)
	if err != nil || owner == nil {
		return false, err
	}
	if *owner == id {
		return true, nil
	}
	if gone, err := s.gone(ctx, *owner, issued); !gone || err != nil {
		return false, err
	}
	err = s.config.Store.Swap(ctx, index, version, reservation)
	if !errors.Is(err, limiter.ErrConflict) {
		return err == nil, err
	}
	owner, _, err = s.owner(ctx, index) // another node was faster, perhaps with the same request
	return owner != nil && *owner == id, err
}

// gone destroys a key that was not confirmed by the time at, and reports whether it is
// dead of that, and of no later time than at. An unknown key is not gone: a slow node may
// be about to write its record.
func (s *Server) gone(ctx context.Context, id protocol.KeyID, at int64) (bool, error) {
	now, err := s.now()
	if err != nil {
		return false, err
	}
	rec, err := s.expire(ctx, id, at, now)
	if errors.Is(err, limiter.ErrNotFound) {
		return false, nil
	}
	return err == nil && rec.reason == protocol.ReasonExpired && at >= rec.until, err
}

// indexID is where the store keeps which key has a modulus. It hides nothing: n1 is
// public.
func indexID(share *splitkey.ServerShare) string {
	sum := sha256.Sum256(share.PublicKey().N.Bytes())
	return "n1/" + hex.EncodeToString(sum[:])
}

// owner returns the key id that a modulus is reserved for, or nil, and the version of the
// reservation.
func (s *Server) owner(ctx context.Context, index string) (*protocol.KeyID, uint64, error) {
	value, version, err := s.config.Store.Load(ctx, index)
	if errors.Is(err, limiter.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if len(value) != 1+protocol.KeyIDSize || value[0] != wire.Version {
		return nil, 0, fmt.Errorf("%w: index", ErrRecord)
	}
	id := protocol.KeyID(value[1:])
	return &id, version, nil
}
