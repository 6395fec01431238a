package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestVersion1: nothing of version 1 of the protocol is read, in any place.
func TestVersion1(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	good := l.requests[len(l.requests)-1]
	_, err := s.Handle(t.Context(), good)
	require.NoError(t, err)
	old := append([]byte{1}, good[1:]...)
	_, err = s.Handle(t.Context(), old)
	require.Equal(t, ErrRefused, err)
	_, err = wire.ParseEnvelope(old)
	require.ErrorIs(t, err, protocol.ErrMalformed)
	_, err = parseRecord(append([]byte{1}, s.recorded(t, p.id)[1:]...))
	require.ErrorIs(t, err, ErrRecord)
	challenge := p.challenge(t)
	challenge[0] = 1
	_, err = wire.ParseChallenge(challenge)
	require.ErrorIs(t, err, protocol.ErrMalformed)
	p.state.Data[len("TDds")] = 1
	_, err = p.Status()
	require.ErrorIs(t, err, device.ErrStorage)
}

// TestRightThenDestroyed: what was right is not signed again after the key was destroyed;
// a Cancel of it hears so too.
func TestRightThenDestroyed(t *testing.T) {
	for _, cancel := range []bool{false, true} {
		s := newService(t)
		p, l := newLossyPhone(t, s)
		l.loseResponse = true
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		require.ErrorIs(t, err, device.ErrUnanswered)
		l.loseResponse = false
		require.NoError(t, s.Revoke(t.Context(), p.id, "stolen"))
		if cancel {
			err = p.Cancel(t.Context(), p.challenge(t))
		} else {
			_, err = p.Resume(t.Context())
		}
		var dead *protocol.DestroyedError
		require.ErrorAs(t, err, &dead)
		require.Equal(t, protocol.ReasonRevoked, dead.Reason)
	}
}
