package protocol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rsa"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

var errLost = errors.New("lost")

// lossy is a transport whose losses a test decides.
type lossy struct {
	service      *service
	loseRequest  bool
	loseResponse bool
	requests     [][]byte
}

func (l *lossy) transport(ctx context.Context, request []byte) ([]byte, error) {
	l.requests = append(l.requests, bytes.Clone(request))
	if l.loseRequest {
		return nil, errLost
	}
	response, err := l.service.Handle(ctx, request)
	if l.loseResponse {
		return nil, errLost
	}
	return response, err
}

func newLossyPhone(t *testing.T, s *service) (*phone, *lossy) {
	l := &lossy{service: s}
	p := newPhone(t, s, l.transport)
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
	return p, l
}

// TestRetry: a lost answer, right or wrong, is asked for again with the same bytes, on another node, after a restart of the
// device, and without the PIN.
func TestRetry(t *testing.T) {
	for _, pin := range [][]byte{rightPIN, wrongPIN} {
		s := newService(t)
		p, l := newLossyPhone(t, s)
		l.loseResponse = true
		_, err := p.sign(t, "contract", pin)
		require.ErrorIs(t, err, ErrUnanswered)
		require.ErrorIs(t, err, errLost)
		before := loadRecord(t, s, p.id)
		l.loseResponse = false
		l.service = &service{Server: s.node(t)}
		restarted := openPhone(t, s, p.state, l.transport)
		status, err := restarted.Status()
		require.NoError(t, err)
		require.Equal(t, OpSign, status.Pending.Operation)
		require.Equal(t, digestOf("contract"), status.Pending.Digest)
		require.Equal(t, crypto.SHA256, status.Pending.Options)

		result, err := restarted.Resume(t.Context())
		n := len(l.requests)
		require.Equal(t, l.requests[n-2], l.requests[n-1])
		require.Equal(t, before, loadRecord(t, s, p.id), "nothing was counted twice")
		if bytes.Equal(pin, rightPIN) {
			require.NoError(t, err)
			require.NoError(t, rsa.VerifyPKCS1v15(status.PublicKey, crypto.SHA256, digestOf("contract"), result.Signature))
		} else {
			var wrong *pinlock.WrongPINError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, 8, wrong.RemainingTotal)
		}
		_, err = restarted.Resume(t.Context())
		require.ErrorIs(t, err, ErrNothingPending)
	}
}

// TestSameSignatureTwice: Sign with the same challenge does not look at the PIN again.
func TestSameSignatureTwice(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	digest := digestOf("contract")
	challenge, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
	require.NoError(t, err)
	l.loseResponse = true
	_, err = p.Sign(t.Context(), challenge, digest, crypto.SHA256, rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	other, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
	require.NoError(t, err)
	_, err = p.Sign(t.Context(), other, digest, crypto.SHA256, rightPIN)
	require.ErrorIs(t, err, ErrPending)
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), ErrPending)
	l.loseResponse = false
	_, err = p.Sign(t.Context(), challenge, digest, crypto.SHA256, nil)
	require.NoError(t, err)

	// A salt of another length than the one that was sent is another signature.
	pss := func(salt int) *rsa.PSSOptions { return &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: salt} }
	challenge, err = s.ChallengeSign(t.Context(), p.id, digest, pss(20))
	require.NoError(t, err)
	l.loseResponse = true
	_, err = p.Sign(t.Context(), challenge, digest, pss(20), rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	l.loseResponse = false
	for _, salt := range []int{32, rsa.PSSSaltLengthEqualsHash} {
		_, err = p.Sign(t.Context(), challenge, digest, pss(salt), rightPIN)
		require.ErrorIs(t, err, ErrPending)
	}
	signature, err := p.Sign(t.Context(), challenge, digest, pss(20), nil)
	require.NoError(t, err)
	status, err := p.Status()
	require.NoError(t, err)
	require.NoError(t, rsa.VerifyPSS(status.PublicKey, crypto.SHA256, digest, signature, pss(20)))
}

// TestCancelled: a context that is over makes no request, which would then be pending.
func TestCancelled(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := bytes.Clone(p.state.data)
	require.ErrorIs(t, p.Refresh(ctx, p.challenge(t)), context.Canceled)
	require.Equal(t, before, p.state.data)
	fresh := newPhone(t, s, nil)
	require.ErrorIs(t, fresh.Enroll(ctx, EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: rightPIN}), context.Canceled)
	require.Nil(t, fresh.state.data)
}

// brokenHSM is a server key that can fail.
type brokenHSM struct {
	fixedKeys
	broken bool
}

func (b *brokenHSM) LoadKey(ctx context.Context, blob []byte) (splitkey.RSAKey, error) {
	key, err := b.fixedKeys.LoadKey(ctx, blob)
	return &brokenKey{key, b}, err
}

type brokenKey struct {
	splitkey.RSAKey
	hsm *brokenHSM
}

func (k *brokenKey) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	if k.hsm.broken {
		return nil, errors.New("token removed")
	}
	return k.RSAKey.Exponentiate(ctx, x)
}

// TestHSMFails after the count was written: "try again" with the same bytes, and no second count. The same where the service
// cannot take the signature.
func TestHSMFails(t *testing.T) {
	hsm := new(brokenHSM)
	var refuse error
	var taken []Signed
	s := newService(t, func(c *Config) {
		c.Keys = hsm
		c.Signed = func(_ context.Context, signed Signed) error {
			if refuse == nil {
				taken = append(taken, signed)
			}
			return refuse
		}
	})
	p, l := newLossyPhone(t, s)
	_, err := p.sign(t, "first", wrongPIN)
	require.Error(t, err)
	hsm.broken = true
	_, err = p.sign(t, "contract", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	before := loadRecord(t, s, p.id)
	require.Contains(t, s.logged(), "token removed")
	hsm.broken, refuse = false, errors.New("database is down")
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, ErrUnanswered)
	refuse = nil
	s.clock.Add(2 * DefaultChallengeLife) // the answer is there as long as nothing else was settled
	result, err := p.Resume(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, result.Signature)
	require.Equal(t, before, loadRecord(t, s, p.id))
	require.Len(t, taken, 1)
	require.Equal(t, result.Signature, taken[0].Signature)
	require.Equal(t, result.Challenge, taken[0].Challenge)
	n := len(l.requests)
	require.Equal(t, l.requests[n-3], l.requests[n-1])
}

// TestGivenUpInARow: an honest device gives up any number of requests, some settled and some not, and is never called a clone;
// what was given up stays so even if it arrives late.
func TestGivenUpInARow(t *testing.T) {
	for pattern := range 32 { // of five requests, which are settled before their answer is lost
		for _, expire := range []bool{false, true} {
			t.Run(fmt.Sprintf("%05b/%v", pattern, expire), func(t *testing.T) {
				s := newService(t)
				p, l := newLossyPhone(t, s)
				l.requests = nil
				for i := range 5 {
					l.loseRequest, l.loseResponse = pattern>>i&1 == 0, true
					_, err := p.sign(t, fmt.Sprint(i), rightPIN)
					require.ErrorIs(t, err, ErrUnanswered)
					if expire {
						s.clock.Add(DefaultChallengeLife + 2*clockSkew)
					} else {
						require.NoError(t, p.GiveUp())
					}
				}
				l.loseRequest, l.loseResponse = false, false
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
}

// TestLateAfterGivenUp: a request that was given up and arrives before the next one is settled after all; the next one
// is none the worse.
func TestLateAfterGivenUp(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	l.loseRequest = true
	_, err := p.sign(t, "given up", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	late := l.requests[len(l.requests)-1]
	require.NoError(t, p.GiveUp())
	_, err = s.Handle(t.Context(), late)
	require.NoError(t, err)
	require.Contains(t, s.logged(), eventSigned)
	l.loseRequest = false
	_, err = p.sign(t, "next", rightPIN)
	require.NoError(t, err)
}

// TestTooManyGivenUp: more than a request can name is too many, until their challenges have expired.
func TestTooManyGivenUp(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	l.loseRequest = true
	for range maxGivenUp + 1 {
		_, err := p.sign(t, "x", rightPIN)
		require.ErrorIs(t, err, ErrUnanswered)
		require.NoError(t, p.GiveUp())
	}
	_, err := p.sign(t, "x", rightPIN)
	require.ErrorIs(t, err, ErrPending)
	s.clock.Add(DefaultChallengeLife + clockSkew)
	l.loseRequest = false
	_, err = p.sign(t, "x", rightPIN)
	require.NoError(t, err)
}

// TestFullRing: with no room to remember the next request, the answer is "wait", and nothing is counted.
func TestFullRing(t *testing.T) {
	s := newService(t)
	p, _ := newLossyPhone(t, s)
	for range maxRing - 1 { // the confirmation is in the ring
		require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	}
	before := loadRecord(t, s, p.id)
	require.Len(t, before.ring, maxRing)
	_, err := p.sign(t, "x", wrongPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	require.Equal(t, before, loadRecord(t, s, p.id))
	s.clock.Add(DefaultChallengeLife - time.Millisecond)
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, ErrUnanswered)
	s.clock.Add(time.Millisecond)
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, ErrExpired, "all challenges here are of the same millisecond")
	s.clock.Add(clockSkew - time.Millisecond)
	_, err = p.sign(t, "a slow node may still take the oldest for fresh", wrongPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	s.clock.Add(time.Millisecond) // the oldest leave, the request lives
	_, err = p.Resume(t.Context())
	var wrong *pinlock.WrongPINError
	require.ErrorAs(t, err, &wrong)
	_, err = p.sign(t, "x", rightPIN)
	require.NoError(t, err)
}

// TestParallelGuesses: of many guesses at once, from copies of one state, three are answered.
func TestParallelGuesses(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	const guesses = 64
	errs := make([]error, guesses)
	var group sync.WaitGroup
	for i := range guesses {
		thief := copyOf(t, owner)
		group.Go(func() { _, errs[i] = thief.sign(t, "loot", wrongPIN) })
	}
	group.Wait()
	answered := 0
	for _, err := range errs {
		var wrong *pinlock.WrongPINError
		var locked *pinlock.LockedError
		if errors.As(err, &wrong) {
			answered++
		} else {
			require.ErrorAs(t, err, &locked)
		}
	}
	require.Equal(t, 3, answered)
}

// TestServerKeyRotates: devices learn of the next HPKE key and use it from its start on; the old one is dropped, and what was
// recorded cannot be opened any more.
func TestServerKeyRotates(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	old, next := s.config.HPKE.Current, newHPKE(t)
	start := s.clock.Now().Add(time.Hour)
	s.Server = s.node(t, func(c *Config) { c.HPKE = HPKEKeys{Current: old, Next: next, NextStart: start} })
	used := func() serverKeyID {
		_, err := p.sign(t, "x", rightPIN)
		require.NoError(t, err)
		e, err := parseEnvelope(l.requests[len(l.requests)-1])
		require.NoError(t, err)
		return e.serverKey
	}
	require.Equal(t, idOf(old.PublicKey()), used())
	require.Equal(t, idOf(old.PublicKey()), used())
	s.clock.Add(time.Hour)
	require.Equal(t, idOf(next.PublicKey()), used())
	recorded := l.requests[0]
	s.Server = s.node(t, func(c *Config) { c.HPKE = HPKEKeys{Current: next, Retiring: []hpke.PrivateKey{old}} })
	_, err := s.Handle(t.Context(), recorded)
	require.NoError(t, err)
	s.Server = s.node(t, func(c *Config) { c.HPKE = HPKEKeys{Current: next} })
	_, err = s.Handle(t.Context(), recorded)
	require.ErrorIs(t, err, ErrRefused)
	require.Equal(t, idOf(next.PublicKey()), used())
}

// TestAnnouncementWithdrawn: a next HPKE key that is not announced any more before its start is never used.
func TestAnnouncementWithdrawn(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	current := s.config.HPKE
	s.Server = s.node(t, func(c *Config) { c.HPKE.Next, c.HPKE.NextStart = newHPKE(t), s.clock.Now().Add(time.Hour) })
	_, err := p.sign(t, "hears of the next key", rightPIN)
	require.NoError(t, err)
	s.Server = s.node(t, func(c *Config) { c.HPKE = current })
	_, err = p.sign(t, "hears that there is none", wrongPIN)
	var wrong *pinlock.WrongPINError
	require.ErrorAs(t, err, &wrong)
	s.clock.Add(2 * time.Hour)
	_, err = p.sign(t, "after the start", rightPIN)
	require.NoError(t, err)
}

// TestAnnouncedKeyNeedsAnAnswer: a forged challenge of the far future makes the device use the announced HPKE key for that one
// request, and not for ever: the plan can still be taken back.
func TestAnnouncedKeyNeedsAnAnswer(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	old, next := s.config.HPKE.Current, newHPKE(t)
	s.Server = s.node(t, func(c *Config) {
		c.HPKE = HPKEKeys{Current: old, Next: next, NextStart: s.clock.Now().Add(30 * 24 * time.Hour)}
	})
	_, err := p.sign(t, "hears of the next key", rightPIN)
	require.NoError(t, err)
	forger, err := newChallengeKey(make([]byte, 32))
	require.NoError(t, err)
	bad := forger.issue(forOwnUse, p.id, s.clock.Now().Add(1000*24*time.Hour), DefaultChallengeLife, nil)
	require.ErrorIs(t, p.Refresh(t.Context(), bad), ErrUnanswered)
	require.NoError(t, p.GiveUp())
	e, err := parseEnvelope(l.requests[len(l.requests)-1])
	require.NoError(t, err)
	require.Equal(t, idOf(next.PublicKey()), e.serverKey)
	s.Server = s.node(t, func(c *Config) { c.HPKE = HPKEKeys{Current: old} })
	_, err = p.sign(t, "hears that there is none", rightPIN)
	require.NoError(t, err)
}

// TestMalformedPartialIsNotCounted: 0, 1, n1-1, n1 and wrong lengths say nothing about a PIN.
func TestMalformedPartialIsNotCounted(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	st, err := parseDeviceState(p.state.data, nil)
	require.NoError(t, err)
	one := make([]byte, 256)
	one[255] = 1
	before := loadRecord(t, s, p.id)
	for _, y := range [][]byte{make([]byte, 256), one, bytes.Repeat([]byte{255}, 256), make([]byte, 255), make([]byte, 257)} {
		c, err := parseChallenge(p.challenge(t))
		require.NoError(t, err)
		a := &attempt{op: OpChangePIN, challenge: c, partial: y, tokens: st.key.tokens}
		plaintext, err := a.encode(st.key.deviceKey, p.id)
		require.NoError(t, err)
		require.Equal(t, codeRejected, exchange(t, s, OpChangePIN, p.id, plaintext).code)
	}
	require.Equal(t, before, loadRecord(t, s, p.id))
}
