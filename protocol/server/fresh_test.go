package server

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestClocks: a clock that ran an hour ahead and was set back, and a node that is hours
// behind, stop nobody whose challenge is of the same clock.
func TestClocks(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	for _, step := range []time.Duration{time.Hour, -time.Hour, -5 * time.Hour, 5 * time.Hour} {
		s.clock.Add(step)
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		require.NoError(t, err)
	}
	require.NotContains(t, s.logged(), "request not finished")
}

// TestRestartedLockIsRecorded: the lock of a clock that was set back begins anew once,
// and not with each request.
func TestRestartedLockIsRecorded(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	for range 3 {
		_, err := p.sign(t, "x", protocoltest.WrongPIN)
		require.ErrorAs(t, err, new(*limiter.WrongPINError))
	}
	s.clock.Add(-10 * time.Hour)
	until := s.clock.Now().Add(3 * time.Hour)
	for range 2 {
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		var locked *limiter.LockedError
		require.ErrorAs(t, err, &locked)
		require.True(t, until.Equal(locked.Until), locked.Until)
		s.clock.Add(time.Hour)
	}
	s.clock.Add(time.Hour)
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
}

// TestThousandSignatures: ten a second, every answer heard. Nothing fills up.
func TestThousandSignatures(t *testing.T) {
	s := newService(t, func(c *Config) { c.Keys = nil })
	p := newReadyPhone(t, s)
	size := len(s.recorded(t, p.id))
	count := 1000
	if testing.Short() {
		count = 100
	}
	for i := range count {
		s.clock.Add(100 * time.Millisecond)
		_, err := p.sign(t, fmt.Sprint("document ", i), protocoltest.RightPIN)
		require.NoError(t, err)
	}
	require.Equal(t, uint64(count+1), loadRecord(t, s, p.id).last.number)
	require.Len(t, s.recorded(t, p.id), size)
}

func (s *service) recorded(t *testing.T, id protocol.KeyID) []byte {
	value, _, err := s.store.Load(t.Context(), recordID(id))
	require.NoError(t, err)
	return value
}

// TestChallengeIsChecked: expired, foreign, for another key, of the future, or for
// another purpose. What the device sees for itself costs no request.
func TestChallengeIsChecked(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	digest := protocoltest.DigestOf("contract")
	expired, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
	require.NoError(t, err)
	s.clock.Add(DefaultChallengeLife)
	before := loadRecord(t, s, p.id)
	_, err = p.Sign(t.Context(), expired, digest, crypto.SHA256, protocoltest.WrongPIN)
	require.ErrorContains(t, err, "the challenge has expired")
	requireNothingPending(t, p)
	require.Equal(t, before.counter, loadRecord(t, s, p.id).counter)

	fresh, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
	require.NoError(t, err)
	sent := len(l.requests)
	for _, bad := range [][]byte{nil, fresh[1:], mustEnrollChallenge(t, s), p.challenge(t)} {
		_, err := p.Sign(t.Context(), bad, digest, crypto.SHA256, protocoltest.RightPIN)
		require.ErrorIs(t, err, protocol.ErrMalformed)
	}
	require.ErrorIs(t, p.Refresh(t.Context(), fresh), protocol.ErrMalformed)
	require.Len(t, l.requests, sent, "nothing was sent")

	ahead := s.node(t, func(c *Config) { c.Clock = func() time.Time { return s.clock.Now().Add(clockSkew + time.Millisecond) } })
	future, err := ahead.Challenge(t.Context(), p.id)
	require.NoError(t, err)
	foreign := p.challenge(t)
	foreign[40] ^= 1
	before = loadRecord(t, s, p.id)
	for _, bad := range [][]byte{future, foreign} {
		require.ErrorIs(t, p.Refresh(t.Context(), bad), device.ErrUnanswered)
		require.Equal(t, before, loadRecord(t, s, p.id))
		require.NoError(t, p.Cancel(t.Context(), p.challenge(t)))
		before = loadRecord(t, s, p.id)
	}
	ahead = s.node(t, func(c *Config) { c.Clock = func() time.Time { return s.clock.Now().Add(clockSkew) } })
	almost, err := ahead.Challenge(t.Context(), p.id)
	require.NoError(t, err)
	require.NoError(t, p.Refresh(t.Context(), almost))
	_, err = p.Sign(t.Context(), fresh, digest, crypto.SHA256, protocoltest.RightPIN)
	require.NoError(t, err)
}

func requireNothingPending(t *testing.T, p *phone) {
	t.Helper()
	status, err := p.Status()
	require.NoError(t, err)
	require.Nil(t, status.Pending)
}

// TestOtherDigestIsRejected: another digest, hash function, padding, number or order of
// digests than the challenge's is refused by the device at once, and by the server where
// the device did not look: uncounted, with nothing pending.
func TestOtherDigestIsRejected(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	one, two := protocoltest.DigestOf("one"), protocoltest.DigestOf("two")
	challenge, err := s.ChallengeSignAll(t.Context(), p.id, [][]byte{one, two}, crypto.SHA256)
	require.NoError(t, err)
	sent := len(l.requests)
	for name, c := range map[string]struct {
		digests [][]byte
		opts    crypto.SignerOpts
	}{
		"digest":  {[][]byte{one, protocoltest.DigestOf("three")}, crypto.SHA256},
		"order":   {[][]byte{two, one}, crypto.SHA256},
		"fewer":   {[][]byte{one}, crypto.SHA256},
		"more":    {[][]byte{one, two, two}, crypto.SHA256},
		"padding": {[][]byte{one, two}, &rsa.PSSOptions{Hash: crypto.SHA256}},
		"hash":    {[][]byte{one, two}, crypto.SHA3_256},
	} {
		_, err := p.SignAll(t.Context(), challenge, c.digests, c.opts, protocoltest.WrongPIN)
		require.ErrorIs(t, err, device.ErrRejected, name)
		requireNothingPending(t, p)
		require.Len(t, l.requests, sent, name)
	}

	before := loadRecord(t, s, p.id)
	m, err := wire.NewMessages([][]byte{one}, crypto.SHA256)
	require.NoError(t, err)
	c, err := wire.ParseChallenge(challenge)
	require.NoError(t, err)
	partial := bytes.Repeat([]byte{2}, 256)
	r := &wire.Request{Op: protocol.OpSign, Number: before.last.number + 1, Messages: m, Challenge: c, Salts: [][]byte{nil}, Partials: [][]byte{partial}}
	require.Equal(t, wire.CodeRejected, p.exchangeAs(t, r).Code)
	require.Equal(t, before, loadRecord(t, s, p.id))
	require.Contains(t, s.logged(), `level=INFO msg="request rejected" key=`+p.id.String())
}

// TestAnswerIsNotMadeForever: a day after its challenge expired the signature of a
// settled request is not made again, for an eavesdropper or anybody else. A device that
// comes back so late is told so, and goes on.
func TestAnswerIsNotMadeForever(t *testing.T) {
	var taken []Signed
	down := true
	s := newService(t, func(c *Config) { c.Signed = takeUnless(&down, &taken) })
	p, l := newLossyPhone(t, s)
	expires := s.clock.Now().Add(DefaultChallengeLife).UTC()
	_, err := p.sign(t, "contract", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	recorded := l.requests[len(l.requests)-1]
	down = false
	s.clock.Add(DefaultChallengeLife + answerLife - time.Millisecond)
	_, err = s.Handle(t.Context(), recorded)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	require.Equal(t, expires, taken[0].Expires, "the service can see that it is late")

	s.clock.Add(time.Millisecond)
	before := loadRecord(t, s, p.id)
	for range 10 {
		_, err = s.Handle(t.Context(), recorded)
		require.NoError(t, err)
	}
	require.Len(t, taken, 1)
	l.loseSecond = true // the answer that it has expired is heard, that to the Cancel is not
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, device.ErrUnanswered)
	l.loseResponse = false
	require.NotErrorIs(t, err, device.ErrNotCarriedOut, "it was carried out")
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, device.ErrCarriedOut)
	requireNothingPending(t, p)
	require.Equal(t, before, loadRecord(t, s, p.id))
	_, err = p.sign(t, "again", protocoltest.RightPIN)
	require.NoError(t, err)
	require.NotContains(t, s.logged(), eventClone)

	// A wrong PIN and a refresh cost no key, and are answered for as long as they are the
	// last.
	l.loseResponse = true
	_, err = p.sign(t, "contract", protocoltest.WrongPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	l.loseResponse = false
	s.clock.Add(30 * answerLife)
	_, err = p.Resume(t.Context())
	var wrong *limiter.WrongPINError
	require.ErrorAs(t, err, &wrong)
}
