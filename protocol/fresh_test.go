package protocol

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestForgedChallengesDoNoHarm: challenges that are not the server's, with times far off, are refused; the device
// goes on with the next real one.
func TestForgedChallengesDoNoHarm(t *testing.T) {
	s := newService(t)
	p, _ := newLossyPhone(t, s)
	forger, err := newChallengeKey(make([]byte, 32))
	require.NoError(t, err)
	for i := range 40 {
		at := s.clock.Now().Add(time.Duration(i-20) * 100_000 * time.Hour)
		if at.Year() > 9000 || at.Year() < 1980 {
			continue
		}
		bad := forger.issue(forOwnUse, p.id, at, DefaultChallengeLife, nil)
		if err := p.Refresh(t.Context(), bad); err != nil {
			require.True(t, errors.Is(err, ErrUnanswered) || errors.Is(err, ErrPending), "%v", err)
			if st, err := p.Status(); err == nil && st.Pending != nil {
				require.NoError(t, p.GiveUp())
			}
		}
	}
	_, err = p.sign(t, "x", rightPIN)
	require.NoError(t, err)
}

// TestClockGoesBack: what was fresh once is not fresh again. A clock behind the record by more than nodes may
// differ decides nothing; a new challenge key lets the record follow the clock.
func TestClockGoesBack(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	l.loseRequest = true
	_, err := p.sign(t, "lost, but recorded", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	recorded := l.requests[len(l.requests)-1]
	s.clock.Add(time.Hour)
	l.loseRequest = false
	_, err = p.sign(t, "later", rightPIN)
	require.NoError(t, err)
	before := loadRecord(t, s, p.id)
	s.clock.Add(-time.Hour)
	_, err = s.Handle(t.Context(), recorded)
	require.NoError(t, err)
	require.Equal(t, before, loadRecord(t, s, p.id), "no clone alarm")
	_, err = p.sign(t, "now", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	require.Contains(t, s.logged(), "the clock is behind")
	require.NoError(t, p.GiveUp())

	// The clock had run ahead for an hour: the operator replaces the challenge key.
	renewed := s.node(t, func(c *Config) { c.ChallengeKey = bytes.Repeat([]byte{1}, 32) })
	s.Server = renewed
	_, err = renewed.Handle(t.Context(), recorded)
	require.ErrorIs(t, err, ErrRefused)
	_, err = p.sign(t, "now", rightPIN)
	require.NoError(t, err)
}

// TestChallengeIsChecked: expired, foreign, for another key, another digest or another purpose.
func TestChallengeIsChecked(t *testing.T) {
	s := newService(t)
	p, _ := newLossyPhone(t, s)
	digest := digestOf("contract")
	expired, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
	require.NoError(t, err)
	s.clock.Add(DefaultChallengeLife)
	before := loadRecord(t, s, p.id)
	_, err = p.Sign(t.Context(), expired, digest, crypto.SHA256, wrongPIN)
	require.ErrorIs(t, err, ErrExpired)

	fresh, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
	require.NoError(t, err)
	for name, sign := range map[string]func() error{
		"another digest": func() error {
			_, err := p.Sign(t.Context(), fresh, digestOf("loot"), crypto.SHA256, rightPIN)
			return err
		},
		"another padding": func() error {
			_, err := p.Sign(t.Context(), fresh, digest, &rsa.PSSOptions{Hash: crypto.SHA256}, rightPIN)
			return err
		},
		"another hash": func() error {
			_, err := p.Sign(t.Context(), fresh, digest, crypto.SHA3_256, rightPIN)
			return err
		},
		"foreign": func() error {
			bad := bytes.Clone(fresh)
			bad[40] ^= 1
			_, err := p.Sign(t.Context(), bad, digest, crypto.SHA256, rightPIN)
			return err
		},
	} {
		require.ErrorIs(t, sign(), ErrUnanswered, name)
		require.NoError(t, p.GiveUp(), name)
	}
	for _, bad := range [][]byte{nil, fresh[1:], mustEnrollChallenge(t, s), p.challenge(t)} {
		_, err := p.Sign(t.Context(), bad, digest, crypto.SHA256, rightPIN)
		require.ErrorIs(t, err, ErrMalformed)
	}
	require.ErrorIs(t, p.Refresh(t.Context(), fresh), ErrMalformed)
	require.Equal(t, before, loadRecord(t, s, p.id))
	_, err = p.Sign(t.Context(), fresh, digest, crypto.SHA256, rightPIN)
	require.NoError(t, err)
}
