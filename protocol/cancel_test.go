package protocol

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// takeUnless is a service that takes signatures unless it is down.
func takeUnless(down *bool, taken *[]Signed) func(context.Context, Signed) error {
	return func(_ context.Context, signed Signed) error {
		if *down {
			return errors.New("database is down")
		}
		*taken = append(*taken, signed)
		return nil
	}
}

// TestCancel: a request that the server has not seen never becomes anything, though it arrives later; one that it has
// settled is told of, with its fate.
func TestCancel(t *testing.T) {
	for name, c := range map[string]struct {
		pin     []byte
		arrives bool
		want    error
	}{
		"not seen":        {rightPIN, false, nil},
		"not seen, wrong": {wrongPIN, false, nil},
		"right":           {rightPIN, true, ErrCarriedOut},
		"wrong":           {wrongPIN, true, &limiter.WrongPINError{Remaining: 2, RemainingTotal: 8}},
	} {
		t.Run(name, func(t *testing.T) {
			var taken []Signed
			s := newService(t, func(config *Config) { config.Signed = takeUnless(new(bool), &taken) })
			p, l := newLossyPhone(t, s)
			l.loseRequest, l.loseResponse = !c.arrives, true
			_, err := p.sign(t, "contract", c.pin)
			require.ErrorIs(t, err, ErrUnanswered)
			r := l.requests[len(l.requests)-1]
			require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), ErrPending)
			require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), ErrUnanswered)
			status, err := p.Status()
			require.NoError(t, err)
			require.True(t, status.Pending.Cancelled)
			l.loseRequest, l.loseResponse = false, false
			err = p.Cancel(t.Context(), p.challenge(t))
			if c.want == nil {
				require.NoError(t, err)
			} else if wrong := new(limiter.WrongPINError); errors.As(c.want, &wrong) {
				require.Equal(t, c.want, err)
			} else {
				require.ErrorIs(t, err, c.want)
			}
			requireNothingPending(t, p)
			require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), ErrNothingPending)
			signatures := len(taken)
			for range 3 {
				before := loadRecord(t, s, p.id)
				for _, late := range append(l.requests, r) {
					_, err := s.Handle(t.Context(), late)
					require.NoError(t, err)
				}
				require.Equal(t, before, loadRecord(t, s, p.id))
				_, err = p.sign(t, "next", rightPIN)
				require.NoError(t, err)
			}
			for _, signed := range taken[signatures:] {
				require.False(t, c.want == nil && string(signed.Digests[0]) == string(digestOf("contract")), "a cancelled request was carried out")
			}
			require.NotContains(t, s.logged(), eventClone)
		})
	}
}

// TestCancelLostAnswer: the answer to a Cancel was lost. Resume hears that the request is cancelled.
func TestCancelLostAnswer(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	l.loseRequest = true
	_, err := p.sign(t, "x", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	l.loseRequest, l.loseResponse = false, true
	require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), ErrUnanswered)
	l.loseResponse = false
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, ErrCancelled)
	requireNothingPending(t, p)
	_, err = p.sign(t, "y", rightPIN)
	require.NoError(t, err)
}

// TestResumeAfterCancel: a Cancel that did not arrive leaves the request as it is, and Resume gets its signature.
func TestResumeAfterCancel(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	l.loseRequest = true
	_, err := p.sign(t, "x", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), ErrUnanswered)
	l.loseRequest = false
	result, err := p.Resume(t.Context())
	require.NoError(t, err)
	require.Len(t, result.Signatures, 1)
}

// TestNewRequestCancels: a new call cancels a request whose challenge had expired, or that was to be cancelled.
func TestNewRequestCancels(t *testing.T) {
	for _, marked := range []bool{false, true} {
		for _, arrives := range []bool{false, true} {
			s := newService(t)
			p, l := newLossyPhone(t, s)
			l.loseRequest, l.loseResponse = !arrives, true
			_, err := p.sign(t, "x", rightPIN)
			require.ErrorIs(t, err, ErrUnanswered)
			if marked {
				require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), ErrUnanswered)
			} else {
				s.clock.Add(DefaultChallengeLife - time.Millisecond)
				l.loseRequest, l.loseResponse = false, false
				require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), ErrPending)
				s.clock.Add(time.Millisecond)
			}
			l.loseRequest, l.loseResponse = false, false
			_, err = p.sign(t, "y", rightPIN)
			require.NoError(t, err)
		}
	}
}

// TestCancelNeedsNothingElse: a locked key, one that is not confirmed, and a request whose HPKE key or challenge key is
// gone are cancelled like any other.
func TestCancelNeedsNothingElse(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	lose := func() {
		l.loseRequest = true
		_, err := p.sign(t, "x", rightPIN)
		require.ErrorIs(t, err, ErrUnanswered)
		l.loseRequest = false
	}
	for range 3 {
		_, err := p.sign(t, "x", wrongPIN)
		require.Error(t, err)
	}
	lose()
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)), "locked")
	s.clock.Add(3 * time.Hour)

	lose()
	s.Server = s.node(t, func(c *Config) { c.ChallengeKey = bytes.Repeat([]byte{8}, 32) })
	_, err := p.Resume(t.Context())
	require.ErrorIs(t, err, ErrUnanswered)
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)), "another challenge key")

	lose()
	s.Server = s.node(t, func(c *Config) { c.HPKE.Current = newHPKE(t) })
	p = openPhone(t, s, p.state, l.transport)
	p.id = loadID(t, p)
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, ErrUnanswered)
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)), "another HPKE key")
	_, err = p.sign(t, "x", rightPIN)
	require.NoError(t, err)

	fresh := newService(t)
	p = newPhone(t, fresh, nil)
	p.enroll(t)
	p.config.Transport = func(context.Context, []byte) ([]byte, error) { return nil, errLost }
	require.ErrorIs(t, p.Confirm(t.Context(), nil, rightPIN), ErrUnanswered)
	p.config.Transport = fresh.Handle
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)), "unconfirmed")
	require.NoError(t, p.Confirm(t.Context(), p.challenge(t), rightPIN))
}

func loadID(t *testing.T, p *phone) KeyID {
	status, err := p.Status()
	require.NoError(t, err)
	return status.KeyID
}

// TestNotLookedAtIsDropped: what is answered and not looked at is cancelled by the device at once, so that it cannot be
// carried out later.
func TestNotLookedAtIsDropped(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	var locked *limiter.LockedError
	for range 3 {
		_, err := p.sign(t, "x", wrongPIN)
		require.Error(t, err)
	}
	_, err := p.sign(t, "locked out", rightPIN)
	require.ErrorAs(t, err, &locked)
	requireNothingPending(t, p)
	refused := l.requests[len(l.requests)-2]
	l.loseResponse = true
	cut := l.requests
	_, err = p.sign(t, "locked out, and offline", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	require.Len(t, l.requests, len(cut)+1)
	l.loseResponse = false
	s.clock.Add(3 * time.Hour)
	before := loadRecord(t, s, p.id)
	_, err = s.Handle(t.Context(), refused)
	require.NoError(t, err)
	require.Equal(t, before, loadRecord(t, s, p.id))
	_, err = p.sign(t, "x", rightPIN)
	require.NoError(t, err)
	require.NotContains(t, s.logged(), eventClone)
}

// TestNotSent: a call that is cancelled before anything was sent, also during Argon2id or while the state is saved,
// leaves nothing pending.
func TestNotSent(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	sent := 0
	p.config.Transport = func(ctx context.Context, request []byte) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sent++
		return s.Handle(ctx, request)
	}
	for saves := range 2 {
		digest := digestOf("a contract that the user thought better of")
		challenge, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
		require.NoError(t, err)
		ctx := &doneAfter{Context: t.Context(), checks: 1 + saves}
		_, err = p.Sign(ctx, challenge, digest, crypto.SHA256, rightPIN)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, sent)
		requireNothingPending(t, p)
		_, err = p.Resume(t.Context())
		require.ErrorIs(t, err, ErrNothingPending)
	}
	_, err := p.sign(t, "x", rightPIN)
	require.NoError(t, err)
}

// doneAfter is a context that is cancelled once it was asked so many times.
type doneAfter struct {
	context.Context
	checks int
}

func (d *doneAfter) Err() error {
	if d.checks == 0 {
		return context.Canceled
	}
	d.checks--
	return nil
}

// TestChangePINThatDidNotHappen: a ChangePIN that is resumed or cancelled leaves the old PIN, and says so.
func TestChangePINThatDidNotHappen(t *testing.T) {
	for name, end := range map[string]func(p *phone) error{
		"resume": func(p *phone) error { _, err := p.Resume(t.Context()); return err },
		"cancel": func(p *phone) error { return p.Cancel(t.Context(), p.challenge(t)) },
	} {
		s := newService(t)
		p, l := newLossyPhone(t, s)
		l.loseResponse = true
		require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), rightPIN, newPIN), ErrUnanswered)
		l.loseResponse = false
		require.ErrorIs(t, end(p), ErrPINUnchanged, name)
		requireNothingPending(t, p)
		_, err := p.sign(t, "x", rightPIN)
		require.NoError(t, err)
		require.NoError(t, p.ChangePIN(t.Context(), p.challenge(t), rightPIN, newPIN))
		_, err = p.sign(t, "x", newPIN)
		require.NoError(t, err)
		require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), newPIN, newPIN), ErrSamePIN)
	}
}

// TestCancelledInARow: an honest device cancels any number of requests, some of which were settled, and is never called
// a clone; what was cancelled stays so even if it arrives late.
func TestCancelledInARow(t *testing.T) {
	for pattern := range 16 { // of four requests, which are settled before their answer is lost
		t.Run(fmt.Sprintf("%04b", pattern), func(t *testing.T) {
			s := newService(t)
			p, l := newLossyPhone(t, s)
			l.requests = nil
			for i := range 4 {
				arrives := pattern>>i&1 == 1
				l.loseRequest, l.loseResponse = !arrives, true
				_, err := p.sign(t, fmt.Sprint(i), rightPIN)
				require.ErrorIs(t, err, ErrUnanswered)
				l.loseRequest, l.loseResponse = false, false
				if err := p.Cancel(t.Context(), p.challenge(t)); arrives {
					require.ErrorIs(t, err, ErrCarriedOut)
				} else {
					require.NoError(t, err)
				}
			}
			_, err := p.sign(t, "at last", rightPIN)
			require.NoError(t, err)
			before := loadRecord(t, s, p.id)
			for _, late := range l.requests {
				_, err := s.Handle(t.Context(), late)
				require.NoError(t, err)
			}
			require.Equal(t, before, loadRecord(t, s, p.id))
			_, err = p.sign(t, "and on", rightPIN)
			require.NoError(t, err)
			require.NotContains(t, s.logged(), eventClone)
		})
	}
}

// TestDestroyedIsDeadOnTheDevice: also after the wrong PIN that destroyed the key, and a new enrolment works then.
func TestDestroyedIsDeadOnTheDevice(t *testing.T) {
	s := newService(t, func(c *Config) { c.Policy = limiter.Policy{{Tries: 1, Lock: limiter.Forever}} })
	p := newReadyPhone(t, s)
	var wrong *limiter.WrongPINError
	_, err := p.sign(t, "x", wrongPIN)
	require.ErrorAs(t, err, &wrong)
	require.ErrorIs(t, err, limiter.ErrDestroyed)
	status, err := p.Status()
	require.NoError(t, err)
	require.Equal(t, Dead, status.Phase)
	require.Equal(t, ReasonPIN, status.Reason)
	var dead *DestroyedError
	_, err = p.sign(t, "x", rightPIN)
	require.ErrorAs(t, err, &dead)
	require.NoError(t, p.Enroll(t.Context(), EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: rightPIN}))
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
}

// TestLoweredCost: a lockbox with a higher cost than new ones have is opened as before, up to the limit.
func TestLoweredCost(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	costly := pinlock.Params{Time: 4, MemoryKiB: 16, Threads: 1}
	p.config.Params = costly
	p.enroll(t)
	p.config.Params = cheapest
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
	p.config.Limit = pinlock.Params{Time: 3, MemoryKiB: 16, Threads: 1}
	_, err := p.sign(t, "x", rightPIN)
	require.ErrorIs(t, err, pinlock.ErrParams)
	requireNothingPending(t, p)
	_, err = NewDevice(DeviceConfig{State: p.state, Transport: s.Handle, ServerKey: s.ServerKey(), Params: costly, Limit: cheapest})
	require.ErrorIs(t, err, ErrConfig)
}
