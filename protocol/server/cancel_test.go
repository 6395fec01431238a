package server

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
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
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

// TestCancel: a request that the server has not seen never becomes anything, though it
// arrives later; one that it has settled is told of, with its fate.
func TestCancel(t *testing.T) {
	for name, c := range map[string]struct {
		pin     []byte
		arrives bool
		want    error
	}{
		"not seen":        {protocoltest.RightPIN, false, nil},
		"not seen, wrong": {protocoltest.WrongPIN, false, nil},
		"right":           {protocoltest.RightPIN, true, device.ErrCarriedOut},
		"wrong":           {protocoltest.WrongPIN, true, &limiter.WrongPINError{Remaining: 2, RemainingTotal: 8}},
	} {
		t.Run(name, func(t *testing.T) {
			var taken []Signed
			s := newService(t, func(config *Config) { config.Signed = takeUnless(new(bool), &taken) })
			p, l := newLossyPhone(t, s)
			l.loseRequest, l.loseResponse = !c.arrives, true
			_, err := p.sign(t, "contract", c.pin)
			require.ErrorIs(t, err, device.ErrUnanswered)
			r := l.requests[len(l.requests)-1]
			require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), device.ErrPending)
			require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), device.ErrUnanswered)
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
			require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), device.ErrNothingPending)
			signatures := len(taken)
			for range 3 {
				before := loadRecord(t, s, p.id)
				for _, late := range append(l.requests, r) {
					_, err := s.Handle(t.Context(), late)
					require.NoError(t, err)
				}
				require.Equal(t, before, loadRecord(t, s, p.id))
				_, err = p.sign(t, "next", protocoltest.RightPIN)
				require.NoError(t, err)
			}
			for _, signed := range taken[signatures:] {
				require.False(t, c.want == nil && string(signed.Digests[0]) == string(protocoltest.DigestOf("contract")), "a cancelled request was carried out")
			}
			require.NotContains(t, s.logged(), eventClone)
		})
	}
}

// TestCancelLostAnswer: the answer to a Cancel was lost. Resume hears that the request is
// cancelled.
func TestCancelLostAnswer(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	l.loseRequest = true
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	l.loseRequest, l.loseResponse = false, true
	require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), device.ErrUnanswered)
	l.loseResponse = false
	_, err = p.Resume(t.Context())
	require.ErrorContains(t, err, "it was cancelled")
	requireNothingPending(t, p)
	_, err = p.sign(t, "y", protocoltest.RightPIN)
	require.NoError(t, err)
}

// TestResumeAfterCancel: a Cancel that did not arrive leaves the request as it is, and
// Resume gets its signature.
func TestResumeAfterCancel(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	l.loseRequest = true
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), device.ErrUnanswered)
	l.loseRequest = false
	result, err := p.Resume(t.Context())
	require.NoError(t, err)
	require.Len(t, result.Signatures, 1)
}

// TestNewRequestCancels: a new call cancels a request whose challenge had expired, or
// that was to be cancelled.
func TestNewRequestCancels(t *testing.T) {
	for _, marked := range []bool{false, true} {
		for _, arrives := range []bool{false, true} {
			s := newService(t)
			p, l := newLossyPhone(t, s)
			l.loseRequest, l.loseResponse = !arrives, true
			_, err := p.sign(t, "x", protocoltest.RightPIN)
			require.ErrorIs(t, err, device.ErrUnanswered)
			if marked {
				require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), device.ErrUnanswered)
			} else {
				s.clock.Add(DefaultChallengeLife - time.Millisecond)
				l.loseRequest, l.loseResponse = false, false
				require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), device.ErrPending)
				s.clock.Add(time.Millisecond)
			}
			l.loseRequest, l.loseResponse = false, false
			_, err = p.sign(t, "y", protocoltest.RightPIN)
			require.NoError(t, err)
		}
	}
}

// TestCancelNeedsNothingElse: a locked key, one that is not confirmed, and a request
// whose HPKE key or challenge key is gone are cancelled like any other.
func TestCancelNeedsNothingElse(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	lose := func() {
		l.loseRequest = true
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		require.ErrorIs(t, err, device.ErrUnanswered)
		l.loseRequest = false
	}
	for range 3 {
		_, err := p.sign(t, "x", protocoltest.WrongPIN)
		require.Error(t, err)
	}
	lose()
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)), "locked")
	s.clock.Add(3 * time.Hour)

	lose()
	s.Server = s.node(t, func(c *Config) { c.ChallengeKey = bytes.Repeat([]byte{8}, 32) })
	_, err := p.Resume(t.Context())
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)), "another challenge key")

	lose()
	s.Server = s.node(t, func(c *Config) { c.HPKE.Current = protocoltest.NewHPKE(t) })
	p = openPhone(t, s, p.state, l.transport)
	p.id = loadID(t, p)
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)), "another HPKE key")
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)

	fresh := newService(t)
	p = newPhone(t, fresh, nil)
	p.enroll(t)
	p.transport = func(context.Context, []byte) ([]byte, error) { return nil, protocoltest.ErrLost }
	require.ErrorIs(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN), device.ErrUnanswered)
	p.transport = fresh.Handle
	require.NoError(t, p.Cancel(t.Context(), p.challenge(t)), "unconfirmed")
	require.NoError(t, p.Confirm(t.Context(), p.challenge(t), protocoltest.RightPIN))
}

func loadID(t *testing.T, p *phone) protocol.KeyID {
	status, err := p.Status()
	require.NoError(t, err)
	return status.KeyID
}

// TestNotLookedAtIsDropped: what is answered and not looked at is cancelled by the device
// at once, so that it cannot be carried out later.
func TestNotLookedAtIsDropped(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	var locked *limiter.LockedError
	for range 3 {
		_, err := p.sign(t, "x", protocoltest.WrongPIN)
		require.Error(t, err)
	}
	_, err := p.sign(t, "locked out", protocoltest.RightPIN)
	require.ErrorAs(t, err, &locked)
	requireNothingPending(t, p)
	refused := l.requests[len(l.requests)-2]
	l.loseResponse = true
	cut := l.requests
	_, err = p.sign(t, "locked out, and offline", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.Len(t, l.requests, len(cut)+1)
	l.loseResponse = false
	s.clock.Add(3 * time.Hour)
	before := loadRecord(t, s, p.id)
	_, err = s.Handle(t.Context(), refused)
	require.NoError(t, err)
	require.Equal(t, before, loadRecord(t, s, p.id))
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	require.NotContains(t, s.logged(), eventClone)
}

// TestNotSent: a call that is cancelled before anything was sent, also during Argon2id or
// while the state is saved, leaves nothing pending.
func TestNotSent(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	sent := 0
	p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sent++
		return s.Handle(ctx, request)
	}
	for saves := range 2 {
		digest := protocoltest.DigestOf("a contract that the user thought better of")
		challenge, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
		require.NoError(t, err)
		ctx := &doneAfter{Context: t.Context(), checks: 1 + saves}
		_, err = p.Sign(ctx, challenge, digest, crypto.SHA256, protocoltest.RightPIN)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, sent)
		requireNothingPending(t, p)
		_, err = p.Resume(t.Context())
		require.ErrorIs(t, err, device.ErrNothingPending)
	}
	_, err := p.sign(t, "x", protocoltest.RightPIN)
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

// TestChangePINThatDidNotHappen: a ChangePIN that is resumed or cancelled leaves the old
// PIN, and says so.
func TestChangePINThatDidNotHappen(t *testing.T) {
	for name, end := range map[string]func(p *phone) error{
		"resume": func(p *phone) error { _, err := p.Resume(t.Context()); return err },
		"cancel": func(p *phone) error { return p.Cancel(t.Context(), p.challenge(t)) },
	} {
		s := newService(t)
		p, l := newLossyPhone(t, s)
		l.loseResponse = true
		require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN), device.ErrUnanswered)
		l.loseResponse = false
		require.ErrorIs(t, end(p), device.ErrPINUnchanged, name)
		requireNothingPending(t, p)
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		require.NoError(t, err)
		require.NoError(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN))
		_, err = p.sign(t, "x", protocoltest.NewPIN)
		require.NoError(t, err)
		require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.NewPIN, protocoltest.NewPIN), device.ErrPINUnchanged)
	}
}

// TestCancelledInARow: an honest device cancels any number of requests, some of which
// were settled, and is never called a clone; what was cancelled stays so even if it
// arrives late.
func TestCancelledInARow(t *testing.T) {
	for pattern := range 16 { // of four requests, which are settled before their answer is lost
		t.Run(fmt.Sprintf("%04b", pattern), func(t *testing.T) {
			s := newService(t)
			p, l := newLossyPhone(t, s)
			l.requests = nil
			for i := range 4 {
				arrives := pattern>>i&1 == 1
				l.loseRequest, l.loseResponse = !arrives, true
				_, err := p.sign(t, fmt.Sprint(i), protocoltest.RightPIN)
				require.ErrorIs(t, err, device.ErrUnanswered)
				l.loseRequest, l.loseResponse = false, false
				if err := p.Cancel(t.Context(), p.challenge(t)); arrives {
					require.ErrorIs(t, err, device.ErrCarriedOut)
				} else {
					require.NoError(t, err)
				}
			}
			_, err := p.sign(t, "at last", protocoltest.RightPIN)
			require.NoError(t, err)
			before := loadRecord(t, s, p.id)
			for _, late := range l.requests {
				_, err := s.Handle(t.Context(), late)
				require.NoError(t, err)
			}
			require.Equal(t, before, loadRecord(t, s, p.id))
			_, err = p.sign(t, "and on", protocoltest.RightPIN)
			require.NoError(t, err)
			require.NotContains(t, s.logged(), eventClone)
		})
	}
}

// TestDestroyedIsDeadOnTheDevice: also after the wrong PIN that destroyed the key, and a
// new enrolment works then.
func TestDestroyedIsDeadOnTheDevice(t *testing.T) {
	s := newService(t, func(c *Config) { c.Policy = limiter.Policy{{Tries: 1, Lock: limiter.Forever}} })
	p := newReadyPhone(t, s)
	var wrong *limiter.WrongPINError
	_, err := p.sign(t, "x", protocoltest.WrongPIN)
	require.ErrorAs(t, err, &wrong)
	require.ErrorIs(t, err, limiter.ErrDestroyed)
	status, err := p.Status()
	require.NoError(t, err)
	require.Equal(t, device.Dead, status.Phase)
	require.Equal(t, protocol.ReasonPIN, status.Reason)
	var dead *protocol.DestroyedError
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorAs(t, err, &dead)
	require.NoError(t, p.Enroll(t.Context(), device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN}))
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
}

// TestLoweredCost: a lockbox with a higher cost than new ones have is opened as before,
// up to the limit.
func TestLoweredCost(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	costly := pinlock.Params{Time: 4, MemoryKiB: 16, Threads: 1}
	p.restart(t, func(c *device.Config) { c.Params = costly })
	p.enroll(t)
	p.restart(t, func(c *device.Config) { c.Params = protocoltest.Cheapest })
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	p.restart(t, func(c *device.Config) { c.Limit = pinlock.Params{Time: 3, MemoryKiB: 16, Threads: 1} })
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, pinlock.ErrParams)
	requireNothingPending(t, p)
	_, err = device.New(device.Config{Storage: p.state, Transport: s.Handle, HPKEKey: s.HPKEKey(), Params: costly, Limit: protocoltest.Cheapest})
	require.ErrorIs(t, err, protocol.ErrConfig)
}
