package device

import (
	"context"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// TestCorpora: see protocoltest.CheckCorpora.
func TestCorpora(t *testing.T) {
	protocoltest.CheckCorpora(t, map[string]protocoltest.Seeds{"FuzzParseState": protocoltest.Variants(states(t))})
}

// states are the insides of device states, which FuzzParseState wraps, in each
// phase.
func states(t *testing.T) map[string][]byte {
	inside := make(map[string][]byte)
	s := newService(t)
	keep := func(name string, p *phone) {
		data := p.state.Data
		inside[name] = data[storageHeader : len(data)-sha256.Size]
	}
	p := newPhone(t, s, nil)
	lossy := openPhone(t, s, p.state, func(context.Context, []byte) ([]byte, error) { return nil, protocoltest.ErrLost })
	client, server := protocoltest.Shares()
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.Error(t, lossy.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server}))
	p.id, lossy.id = id, id
	keep("good-enrolling", p)
	_, err = p.Resume(t.Context())
	require.NoError(t, err)
	keep("good-unconfirmed", p)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	keep("good-ready", p)
	_, err = lossy.sign(t, "x", protocoltest.RightPIN)
	require.Error(t, err)
	keep("good-pending", p)
	require.ErrorIs(t, lossy.Cancel(t.Context(), p.challenge(t)), ErrUnanswered)
	keep("good-cancel", p)
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)))
	require.NoError(t, s.Revoke(t.Context(), id, "x"))
	halfway := openPhone(t, s, p.state.Copy(), onceOnly(s))
	halfway.id = id
	_, err = halfway.sign(t, "x", protocoltest.RightPIN)
	require.Error(t, err)
	keep("good-superseded", halfway)
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.Error(t, err)
	keep("good-dead", p)
	return inside
}

// onceOnly is a network that carries one request.
func onceOnly(s *service) Transport {
	carried := false
	return func(ctx context.Context, request []byte) ([]byte, error) {
		if carried {
			return nil, protocoltest.ErrLost
		}
		carried = true
		return s.Handle(ctx, request)
	}
}
