package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"
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
	_, err = parseEnvelope(old)
	require.ErrorIs(t, err, ErrMalformed)
	_, err = parseRecord(append([]byte{1}, s.recorded(t, p.id)[1:]...))
	require.ErrorIs(t, err, ErrRecord)
	challenge := p.challenge(t)
	challenge[0] = 1
	_, err = parseChallenge(challenge)
	require.ErrorIs(t, err, ErrMalformed)
	state := append([]byte{}, p.state.data...)
	state[len(stateMagic)] = 1
	_, err = parseDeviceState(state, nil)
	require.ErrorIs(t, err, ErrState)
}

// TestRightThenDestroyed: what was right is not signed again after the key was destroyed; a Cancel of it hears so too.
func TestRightThenDestroyed(t *testing.T) {
	for _, cancel := range []bool{false, true} {
		s := newService(t)
		p, l := newLossyPhone(t, s)
		l.loseResponse = true
		_, err := p.sign(t, "x", rightPIN)
		require.ErrorIs(t, err, ErrUnanswered)
		l.loseResponse = false
		require.NoError(t, s.Revoke(t.Context(), p.id, "stolen"))
		if cancel {
			err = p.Cancel(t.Context(), p.challenge(t))
		} else {
			_, err = p.Resume(t.Context())
		}
		var dead *DestroyedError
		require.ErrorAs(t, err, &dead)
		require.Equal(t, ReasonRevoked, dead.Reason)
	}
}

// TestAnswerIsBound: an answer opens for the request that it is for and for no other, though the reply key were the same.
func TestAnswerIsBound(t *testing.T) {
	key := drawSecret()
	sealed, err := reply{key, hash{1}}.seal([]byte("answer"))
	require.NoError(t, err)
	_, err = reply{key, hash{2}}.open(sealed)
	require.ErrorIs(t, err, ErrAnswer)
	opened, err := reply{key, hash{1}}.open(sealed)
	require.NoError(t, err)
	require.Equal(t, "answer", string(opened))
}
