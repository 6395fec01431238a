package server

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// TestEnrollSharesAgain: shares whose first enrolment was given up or never confirmed can
// be enrolled again once it is over, and not before, nor after it was confirmed or died
// of anything else.
func TestEnrollSharesAgain(t *testing.T) {
	client, server := protocoltest.Shares()
	s := newService(t)
	enrol := func(p *phone) error {
		id, challenge, err := s.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		p.id = id
		return p.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server})
	}
	l := &lossy{service: s, loseResponse: true}
	p := newPhone(t, s, l.transport)
	require.ErrorIs(t, enrol(p), device.ErrUnanswered)
	first := p.id
	require.NoError(t, p.Cancel(t.Context(), nil))
	l.loseResponse = false
	s.clock.Add(DefaultPendingLife - time.Millisecond)
	require.ErrorIs(t, enrol(p), device.ErrRejected)
	gone, err := s.Expire(t.Context(), first)
	require.NoError(t, err)
	require.False(t, gone)
	s.clock.Add(time.Millisecond)
	require.NoError(t, enrol(p))
	require.Equal(t, protocol.ReasonExpired, loadRecord(t, s, first).reason)
	require.Empty(t, loadRecord(t, s, first).sealedShare)
	require.Contains(t, s.logged(), `msg="key destroyed" key=`+first.String())
	late := l.requests[0]
	_, err = s.Handle(t.Context(), late)
	require.NoError(t, err)
	require.Equal(t, Destroyed, loadRecord(t, s, first).condition)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)

	other := newPhone(t, s, nil)
	s.clock.Add(DefaultPendingLife)
	require.ErrorIs(t, enrol(other), device.ErrRejected, "confirmed")
	gone, err = s.Expire(t.Context(), p.id)
	require.NoError(t, err)
	require.False(t, gone)
	require.NoError(t, s.Revoke(t.Context(), p.id, "x"))
	require.ErrorIs(t, enrol(other), device.ErrRejected, "revoked")
}

// TestRefusedEnrolmentStaysRefused: what was refused because its modulus was waiting to
// be confirmed under another key id is not accepted later, when whoever recorded it sends
// it again.
func TestRefusedEnrolmentStaysRefused(t *testing.T) {
	store := new(protocoltest.CountingStore)
	s := newService(t, func(c *Config) { c.ChallengeLife = time.Hour; store.Store = c.Store; c.Store = store })
	client, server := protocoltest.Shares()
	first := newPhone(t, s, nil)
	first.enroll(t) // and abandoned
	s.clock.Add(DefaultPendingLife - time.Second)
	l := &lossy{service: s}
	p := newPhone(t, s, l.transport)
	options := device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server}
	require.ErrorIs(t, p.Enroll(t.Context(), options), device.ErrRejected)
	s.clock.Add(2 * time.Second)
	store.Writes = 0
	for range 2 {
		_, err := s.Handle(t.Context(), l.requests[0])
		require.NoError(t, err)
		require.Zero(t, store.Writes)
		_, err = s.Expire(t.Context(), first.id)
		require.NoError(t, err)
		store.Writes = 0
	}
	options.Challenge = mustEnrollChallenge(t, s)
	require.NoError(t, p.Enroll(t.Context(), options))
}

// TestEnrollSharesAgainAtOnce: of many that enrol the shares of an abandoned enrolment
// one gets the modulus.
func TestEnrollSharesAgainAtOnce(t *testing.T) {
	s := newService(t)
	newPhone(t, s, nil).enroll(t)
	s.clock.Add(DefaultPendingLife)
	client, server := protocoltest.Shares()
	const phones = 8
	errs := make([]error, phones)
	var group sync.WaitGroup
	for i := range phones {
		p := newPhone(t, s, nil)
		_, challenge, err := s.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		group.Go(func() {
			errs[i] = p.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server})
		})
	}
	group.Wait()
	enrolled := 0
	for _, err := range errs {
		if err == nil {
			enrolled++
		} else {
			require.ErrorIs(t, err, device.ErrRejected)
		}
	}
	require.Equal(t, 1, enrolled)
}

// TestExpire erases the share of an enrolment that nobody confirmed or asked for.
func TestExpire(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	p.enroll(t)
	_, err := s.Expire(t.Context(), protocol.KeyID{})
	require.ErrorIs(t, err, ErrUnknownKey)
	s.clock.Add(DefaultPendingLife)
	require.NotEmpty(t, loadRecord(t, s, p.id).sealedShare)
	for range 2 {
		gone, err := s.Expire(t.Context(), p.id)
		require.NoError(t, err)
		require.True(t, gone)
	}
	require.Empty(t, loadRecord(t, s, p.id).sealedShare)
	var dead *protocol.DestroyedError
	require.ErrorAs(t, p.Confirm(t.Context(), p.challenge(t), protocoltest.RightPIN), &dead)
	require.Equal(t, protocol.ReasonExpired, dead.Reason)
}

// TestConfirmedKeyDoesNotExpire, however late it is.
func TestConfirmedKeyDoesNotExpire(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	s.clock.Add(1000 * DefaultPendingLife)
	gone, err := s.Expire(t.Context(), p.id)
	require.NoError(t, err)
	require.False(t, gone)
	_, err = p.sign(t, "late", protocoltest.RightPIN)
	require.NoError(t, err)
}

// TestSweepCosts: what docs/operating.md says that a sweep costs for each key.
func TestSweepCosts(t *testing.T) {
	m := new(meter)
	s := newService(t, m.config)
	p := newPhone(t, s, nil)
	p.enroll(t)
	measure := func(want costs, f func() error) {
		t.Helper()
		m.costs = costs{}
		require.NoError(t, f())
		require.Equal(t, want, m.costs)
	}
	expire := func() error { _, err := s.Expire(t.Context(), p.id); return err }
	reseal := func() error { return s.Reseal(t.Context(), p.id) }
	measure(costs{reads: 1}, expire)
	measure(costs{reads: 1, writes: 1, opens: 1, seals: 1}, reseal)
	s.clock.Add(DefaultPendingLife)
	measure(costs{reads: 1, writes: 1}, expire)
	measure(costs{reads: 1}, expire)
	measure(costs{reads: 1, writes: 1, opens: 1, seals: 1}, reseal)
}
