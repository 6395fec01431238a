package server

import (
	"bytes"
	"context"
	"crypto"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// envelope is a request behind a ticket that nobody can open.
func envelope(s *service, ticket *wire.Ticket) []byte {
	key := wire.HPKEKeyIDOf(s.HPKEKey())
	request := append([]byte{wire.Version, byte(protocol.OpSign)}, key[:]...)
	return append(append(request, ticket[:]...), bytes.Repeat([]byte{0xa5}, 2000)...)
}

// ticketOf is that of a challenge.
func ticketOf(raw []byte) *wire.Ticket { return (*wire.Ticket)(raw) }

// TestTicketComesFirst: without a ticket of the server's a request is refused before
// anything is decrypted; with one it is not.
func TestTicketComesFirst(t *testing.T) {
	s := newService(t)
	id := protocol.KeyID{5}
	raw, err := s.Challenge(t.Context(), id)
	require.NoError(t, err)
	future := s.challenges.Issue(wire.ForOwnUse, id, s.clock.Now().Add(clockSkew+time.Millisecond), DefaultChallengeLife, wire.Hash{})
	stranger, err := wire.NewChallengeKey(bytes.Repeat([]byte{4}, 32))
	require.NoError(t, err)
	cause := func(ticket *wire.Ticket) string {
		s.log.Reset()
		s.lines.strangers = throttle{}
		_, err := s.Handle(t.Context(), envelope(s, ticket))
		require.Equal(t, ErrRefused, err)
		return s.logged()
	}
	require.Contains(t, cause(ticketOf(raw)), "not for an HPKE key of the server's")
	require.Contains(t, cause(new(wire.Ticket)), "its ticket is not the server's")
	require.Contains(t, cause(ticketOf(stranger.Issue(wire.ForOwnUse, id, s.clock.Now(), time.Minute, wire.Hash{}))), "its ticket is not the server's")
	require.Contains(t, cause(ticketOf(future)), "of the future")
	for at := range wire.TicketSize {
		changed := bytes.Clone(raw)
		changed[at] ^= 1
		require.Contains(t, cause(ticketOf(changed)), "its ticket is not the server's", at)
	}
}

// TestTicketIsTheChallenges: a request is answered behind the ticket of its own challenge
// alone: not behind that of another one, of this key or of another; and a ticket makes no
// challenge authentic.
func TestTicketIsTheChallenges(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	other := newReadyPhone2(t, s)
	before := loadRecord(t, s, p.id)
	refused := func(f *forgery, what string) {
		t.Helper()
		s.log.Reset()
		s.lines.strangers = throttle{}
		f.requireRefused(t, s, what)
		require.Contains(t, s.logged(), "not the server's for this request", what)
	}
	refresh := func() *forgery { return p.forgery(t, protocol.OpRefresh, p, protocoltest.RightPIN) }
	f := refresh()
	f.ticket = ticketOf(p.challenge(t))
	refused(f, "of another challenge")
	f.ticket = ticketOf(other.challenge(t))
	f.requireRefused(t, s, "of another key's")
	f = refresh().with(t, other.challenge(t))
	f.ticket = ticketOf(p.challenge(t))
	refused(f, "before another key's challenge")

	// A ticket of the server's, and digests of somebody else's choice after it.
	f = p.forgery(t, protocol.OpSign, p, protocoltest.RightPIN)
	raw, err := s.ChallengeSign(t.Context(), p.id, protocoltest.DigestOf("contract"), crypto.SHA256)
	require.NoError(t, err)
	binding := f.request.Messages.Binding()
	copy(raw[wire.TicketSize:], binding[:])
	refused(f.with(t, raw), "a binding that was exchanged")

	require.Equal(t, before, loadRecord(t, s, p.id))
	c, answered := refresh().send(t, s)
	require.True(t, answered)
	require.Equal(t, wire.CodeRight, c)
}

// TestOldTicketIsAnswered: a ticket ends with the challenge key and not with the
// challenge. A request that was settled is answered as before, and one that was not hears
// that it is late, whenever it comes; a Cancel takes a challenge of any age.
func TestOldTicketIsAnswered(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	l.loseResponse = true
	_, err := p.sign(t, "x", protocoltest.WrongPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	old := p.challenge(t)
	year := 365 * 24 * time.Hour
	s.clock.Add(year)
	l.loseResponse = false
	var wrong *limiter.WrongPINError
	_, err = p.Resume(t.Context())
	require.ErrorAs(t, err, &wrong, "a year later")

	p.transport = func(ctx context.Context, r []byte) ([]byte, error) { return nil, protocoltest.ErrLost }
	_, err = p.sign(t, "y", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	s.clock.Add(year)
	p.transport = func(ctx context.Context, r []byte) ([]byte, error) { return s.Handle(ctx, r) }
	require.NoError(t, p.Cancel(t.Context(), old), "with a challenge of two years ago")
}
