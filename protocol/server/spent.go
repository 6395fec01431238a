package server

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// A server key costs as much as thousands of requests, so a challenge for an enrolment is
// good for one, ever: before the key is drawn the store durably says that the challenge
// is spent, on which request, and this is never taken back. Copies of the request, at
// other nodes or after a crash, find it so and draw no key. What fails afterwards ends
// the enrolment: its bytes are answered "later" until the challenge has expired, and the
// device starts over with another one.

// spent is what the store keeps for a key id whose challenge was spent.
type spent struct {
	request wire.Hash
	refused wire.Refusal
}

func spentID(id protocol.KeyID) string { return "spent/" + id.String() }

func (p spent) encode() []byte {
	return append(append([]byte{wire.Version}, p.request[:]...), byte(p.refused))
}

func parseSpent(value []byte) (spent, error) {
	var p spent
	s := cryptobyte.String(value)
	var version, refused uint8
	if !s.ReadUint8(&version) || version != wire.Version || !s.CopyBytes(p.request[:]) || !s.ReadUint8(&refused) ||
		!s.Empty() || wire.Refusal(refused) > wire.RefusedHardware {
		return spent{}, fmt.Errorf("%w: spent challenge", ErrRecord)
	}
	p.refused = wire.Refusal(refused)
	return p, nil
}

var errSpent = errors.New("server: this enrolment was begun before, and is under way or has failed: its challenge is spent")

// spentBefore answers a request whose challenge is spent. It returns nothing if it is
// not.
func (s *Server) spentBefore(ctx context.Context, id protocol.KeyID, request wire.Hash) (*wire.Answer, error) {
	if s.config.Keys == nil {
		return nil, nil
	}
	value, _, err := s.config.Store.Load(ctx, spentID(id))
	if errors.Is(err, limiter.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := parseSpent(value)
	switch {
	case err != nil:
		return nil, err
	case p.request != request:
		return nil, fmt.Errorf("%w: %w: used for another enrolment", protocol.ErrMalformed, errChallenge)
	case p.refused != 0:
		return refuseKey(p.refused), nil
	}
	return nil, errSpent
}

// spend marks the challenge as spent on a request, where a server key is to be drawn. It
// returns an answer or an error if it was before.
func (s *Server) spend(ctx context.Context, id protocol.KeyID, request wire.Hash) (*wire.Answer, error) {
	if s.config.Keys == nil {
		return nil, nil
	}
	err := s.config.Store.Create(ctx, spentID(id), spent{request: request}.encode())
	if !errors.Is(err, limiter.ErrConflict) {
		return nil, err
	}
	a, err := s.spentBefore(ctx, id, request)
	if a == nil && err == nil {
		err = errors.New("server: the store lost a spent challenge")
	}
	return a, err
}

// refuseSpent refuses a request after its challenge was spent, durably, so that the same
// bytes are refused again.
func (s *Server) refuseSpent(ctx context.Context, id protocol.KeyID, request wire.Hash, why wire.Refusal) (*wire.Answer, error) {
	if s.config.Keys != nil {
		_, version, err := s.config.Store.Load(ctx, spentID(id))
		if err == nil {
			err = s.config.Store.Swap(ctx, spentID(id), version, spent{request, why}.encode())
		}
		if err != nil {
			return nil, err
		}
	}
	return refuseKey(why), nil
}
