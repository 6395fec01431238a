package protocol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
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

// TestForgedChallengesForgetNothing: no number of forged challenges makes the device forget a request that the server may
// still settle; else that request, arriving late, would make the device look like a copy. When the device remembers as
// many as it can it waits, and no longer than their challenges live by its own clock.
func TestForgedChallengesForgetNothing(t *testing.T) {
	for name, issued := range map[string]func(i int, now time.Time) time.Time{
		"of the far future": func(i int, now time.Time) time.Time { return now.Add(time.Duration(i+1) * 100 * time.Hour) },
		"of soon":           func(i int, now time.Time) time.Time { return now.Add(time.Duration(i+1) * 6 * time.Minute) },
		"of the past":       func(i int, now time.Time) time.Time { return now.Add(time.Duration(i-40) * 6 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			p, l := newLossyPhone(t, s)
			l.loseRequest = true
			require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), ErrUnanswered)
			held := l.requests[len(l.requests)-1]
			l.loseRequest = false
			forger, err := newChallengeKey(make([]byte, 32))
			require.NoError(t, err)
			for i := range 2 * maxRemembered {
				bad := forger.issue(forOwnUse, p.id, issued(i, s.clock.Now()), DefaultChallengeLife, nil)
				if err := p.Refresh(t.Context(), bad); errors.Is(err, ErrUnanswered) {
					require.NoError(t, p.GiveUp())
				} else {
					require.ErrorIs(t, err, ErrPending)
				}
				if st, err := p.Status(); err == nil && st.Pending != nil {
					require.NoError(t, p.GiveUp())
				}
			}
			st, err := p.load()
			require.NoError(t, err)
			remembered := false
			for _, g := range st.key.givenUp {
				remembered = remembered || g.request == sha256.Sum256(held)
			}
			require.True(t, remembered)

			late := s.clock.Now()
			err = p.Refresh(t.Context(), p.challenge(t))
			if err != nil {
				require.ErrorIs(t, err, ErrPending)
			}
			_, err = s.Handle(t.Context(), held)
			require.NoError(t, err)
			for err = p.Refresh(t.Context(), p.challenge(t)); errors.Is(err, ErrPending); err = p.Refresh(t.Context(), p.challenge(t)) {
				s.clock.Add(5 * time.Minute)
				require.Less(t, s.clock.Now().Sub(late), 5*time.Hour)
			}
			require.NoError(t, err)
			_, err = p.sign(t, "x", rightPIN)
			require.NoError(t, err)
			require.NotContains(t, s.logged(), eventClone)
		})
	}
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

// TestChallengeKeyRollsOut: while nodes with the old and the new challenge key run side by side, with clocks that differ, a
// request that was settled, or given up, stays so at a slow node that still has the old key.
func TestChallengeKeyRollsOut(t *testing.T) {
	for _, expired := range []time.Duration{0, time.Second, clockSkew - time.Second, clockSkew, 2 * clockSkew} {
		for _, settle := range []bool{true, false} {
			s := newService(t)
			p, l := newLossyPhone(t, s)
			l.loseRequest = !settle
			_, err := p.sign(t, "one", rightPIN)
			if !settle {
				require.ErrorIs(t, err, ErrUnanswered)
				require.NoError(t, p.GiveUp())
			}
			recorded := l.requests[len(l.requests)-1]
			l.loseRequest = false
			slow := s.node(t, func(c *Config) { c.Clock = func() time.Time { return s.clock.Now().Add(1 - clockSkew) } })
			s.Server = s.node(t, func(c *Config) { c.ChallengeKey = bytes.Repeat([]byte{1}, 32) })
			s.clock.Add(DefaultChallengeLife + expired)
			_, err = p.sign(t, "two", rightPIN)
			require.NoError(t, err)
			before := loadRecord(t, s, p.id)
			_, err = slow.Handle(t.Context(), recorded)
			require.NoError(t, err)
			require.Equal(t, before, loadRecord(t, s, p.id), expired)
		}
	}
}

// TestRingOutlastsChallenge by a minute, and no longer.
func TestRingOutlastsChallenge(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	_, err := p.sign(t, "one", rightPIN)
	require.NoError(t, err)
	one := sha256.Sum256(l.requests[len(l.requests)-1])
	s.clock.Add(DefaultChallengeLife + clockSkew - time.Millisecond)
	_, err = p.sign(t, "two", rightPIN)
	require.NoError(t, err)
	require.NotNil(t, loadRecord(t, s, p.id).ring.find(one))
	s.clock.Add(time.Millisecond)
	_, err = p.sign(t, "three", rightPIN)
	require.NoError(t, err)
	require.Nil(t, loadRecord(t, s, p.id).ring.find(one))
}

// TestGivenUpFromAheadOfTime is the edge of that: the challenge of a request that was given up comes from a node that is ahead by
// all of the minute, and lives for an hour.
func TestGivenUpFromAheadOfTime(t *testing.T) {
	s := newService(t, func(c *Config) { c.ChallengeLife = maxChallengeLife })
	p, l := newLossyPhone(t, s)
	node := func(ahead time.Duration, key byte) *Server {
		return s.node(t, func(c *Config) {
			c.Clock = func() time.Time { return s.clock.Now().Add(ahead) }
			c.ChallengeKey = bytes.Repeat([]byte{key}, 32)
		})
	}
	slow := node(0, 9)
	s.Server = node(clockSkew, 9)
	l.loseRequest = true
	_, err := p.sign(t, "one", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	held := l.requests[len(l.requests)-1]
	require.NoError(t, p.GiveUp())
	l.loseRequest = false
	s.Server = slow
	_, err = p.sign(t, "two", rightPIN)
	require.NoError(t, err)
	s.clock.Add(maxChallengeLife)
	s.Server = node(clockSkew, 1)
	_, err = p.sign(t, "three", rightPIN)
	require.NoError(t, err)
	_, err = slow.Handle(t.Context(), held)
	require.NoError(t, err)
	require.NotContains(t, s.logged(), eventClone)
}

// TestLockDoesNotRestart: a slow node with another challenge key does not move the record's time back, nor a lock with it.
func TestLockDoesNotRestart(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	for range 3 {
		_, err := p.sign(t, "x", wrongPIN)
		require.Error(t, err)
	}
	before := loadRecord(t, s, p.id)
	s.Server = s.node(t, func(c *Config) {
		c.ChallengeKey = bytes.Repeat([]byte{8}, 32)
		c.Clock = func() time.Time { return s.clock.Now().Add(1 - clockSkew) }
	})
	var locked *pinlock.LockedError
	_, err := p.sign(t, "x", rightPIN)
	require.ErrorAs(t, err, &locked)
	require.Equal(t, s.clock.Now().Add(3*time.Hour).UTC(), locked.Until)
	require.Equal(t, before, loadRecord(t, s, p.id))
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

// TestAnswerIsNotMadeForever: a day after its challenge expired the signature of a settled request is not made again, for an eavesdropper
// or anybody else. A device that comes back so late is told that the challenge is too old, and goes on.
func TestAnswerIsNotMadeForever(t *testing.T) {
	var taken []Signed
	down := true
	s := newService(t, func(c *Config) {
		c.Signed = func(_ context.Context, signed Signed) error {
			if down {
				return errLost
			}
			taken = append(taken, signed)
			return nil
		}
	})
	p, l := newLossyPhone(t, s)
	expires := s.clock.Now().Add(DefaultChallengeLife).UTC()
	_, err := p.sign(t, "contract", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
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
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, ErrExpired)
	require.Equal(t, before, loadRecord(t, s, p.id))
	_, err = p.sign(t, "again", rightPIN)
	require.NoError(t, err)
	require.NotContains(t, s.logged(), eventClone)

	// A wrong PIN and a refresh cost no key, and are answered for as long as they are remembered.
	l.loseResponse = true
	_, err = p.sign(t, "contract", wrongPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	l.loseResponse = false
	s.clock.Add(30 * answerLife)
	_, err = p.Resume(t.Context())
	var wrong *pinlock.WrongPINError
	require.ErrorAs(t, err, &wrong)
}
