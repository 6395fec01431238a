package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// lossy is a transport whose losses a test decides.
type lossy struct {
	service      *service
	loseRequest  bool
	loseResponse bool
	loseSecond   bool // the next response is heard, and then loseResponse holds
	requests     [][]byte
}

func (l *lossy) transport(ctx context.Context, request []byte) ([]byte, error) {
	l.requests = append(l.requests, bytes.Clone(request))
	if l.loseRequest {
		return nil, protocoltest.ErrLost
	}
	response, err := l.service.Handle(ctx, request)
	if l.loseResponse {
		return nil, protocoltest.ErrLost
	}
	l.loseResponse, l.loseSecond = l.loseSecond, false
	return response, err
}

func newLossyPhone(t *testing.T, s *service) (*phone, *lossy) {
	l := &lossy{service: s}
	p := newPhone(t, s, l.transport)
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	return p, l
}

// TestRetry: a lost answer, right or wrong, is asked for again with the same bytes, on
// another node, after a restart of the device, and without the PIN.
func TestRetry(t *testing.T) {
	for _, pin := range [][]byte{protocoltest.RightPIN, protocoltest.WrongPIN} {
		s := newService(t)
		p, l := newLossyPhone(t, s)
		l.loseResponse = true
		_, err := p.sign(t, "contract", pin)
		require.ErrorIs(t, err, device.ErrUnanswered)
		require.ErrorIs(t, err, protocoltest.ErrLost)
		before := loadRecord(t, s, p.id)
		l.loseResponse = false
		l.service = &service{Server: s.node(t)}
		restarted := openPhone(t, s, p.state, l.transport)
		status, err := restarted.Status()
		require.NoError(t, err)
		require.Equal(t, protocol.OpSign, status.Pending.Operation)
		require.Equal(t, protocoltest.DigestOf("contract"), status.Pending.Digests[0])
		require.Equal(t, crypto.SHA256, status.Pending.Options)

		result, err := restarted.Resume(t.Context())
		n := len(l.requests)
		require.Equal(t, l.requests[n-2], l.requests[n-1])
		require.Equal(t, before, loadRecord(t, s, p.id), "nothing was counted twice")
		if bytes.Equal(pin, protocoltest.RightPIN) {
			require.NoError(t, err)
			require.NoError(t, rsa.VerifyPKCS1v15(status.PublicKey, crypto.SHA256, protocoltest.DigestOf("contract"), result.Signatures[0]))
		} else {
			var wrong *limiter.WrongPINError
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, 8, wrong.RemainingTotal)
		}
		_, err = restarted.Resume(t.Context())
		require.ErrorIs(t, err, device.ErrNothingPending)
	}
}

// TestSameSignatureTwice: Sign with the same challenge does not look at the PIN again.
func TestSameSignatureTwice(t *testing.T) {
	s := newService(t)
	p, l := newLossyPhone(t, s)
	digest := protocoltest.DigestOf("contract")
	challenge, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
	require.NoError(t, err)
	l.loseResponse = true
	_, err = p.Sign(t.Context(), challenge, digest, crypto.SHA256, protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	other, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
	require.NoError(t, err)
	_, err = p.Sign(t.Context(), other, digest, crypto.SHA256, protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrPending)
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), device.ErrPending)
	l.loseResponse = false
	_, err = p.Sign(t.Context(), challenge, digest, crypto.SHA256, nil)
	require.NoError(t, err)

	// A salt of another length than the one that was sent is another signature.
	pss := func(salt int) *rsa.PSSOptions { return &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: salt} }
	challenge, err = s.ChallengeSign(t.Context(), p.id, digest, pss(20))
	require.NoError(t, err)
	l.loseResponse = true
	_, err = p.Sign(t.Context(), challenge, digest, pss(20), protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	l.loseResponse = false
	for _, salt := range []int{32, rsa.PSSSaltLengthEqualsHash} {
		_, err = p.Sign(t.Context(), challenge, digest, pss(salt), protocoltest.RightPIN)
		require.ErrorIs(t, err, device.ErrPending)
	}
	signature, err := p.Sign(t.Context(), challenge, digest, pss(20), nil)
	require.NoError(t, err)
	status, err := p.Status()
	require.NoError(t, err)
	require.NoError(t, rsa.VerifyPSS(status.PublicKey, crypto.SHA256, digest, signature, pss(20)))
}

// hangsUp is a sealer that opens the secrets of a record for who hangs up then.
type hangsUp struct {
	Sealer
	aad    []byte
	cancel func()
}

func (h *hangsUp) Open(ctx context.Context, aad, sealed []byte) ([]byte, error) {
	if bytes.Equal(aad, h.aad) {
		defer h.cancel()
	}
	return h.Sealer.Open(ctx, aad, sealed)
}

// TestHangUpWhileTried: whoever hangs up while his PIN is tried has spent the try, and a
// right PIN gives all tries back.
func TestHangUpWhileTried(t *testing.T) {
	h := new(hangsUp)
	s := newService(t, func(c *Config) { c.Keys, h.Sealer, c.Sealer = nil, c.Sealer, h })
	p := newReadyPhone(t, s)
	h.aad = authKeyAAD(p.id)
	p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
		ctx, h.cancel = context.WithCancel(ctx)
		response, err := s.Handle(ctx, request)
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		return response, err
	}
	left := func() int {
		status, err := s.config.Policy.Peek(loadRecord(t, s, p.id).counter, s.clock.Now())
		require.NoError(t, err)
		return status.RemainingTotal
	}
	for _, want := range []int{8, 7} {
		_, err := p.sign(t, "x", protocoltest.WrongPIN)
		require.Error(t, err)
		require.Equal(t, want, left())
	}
	_, _ = p.sign(t, "x", protocoltest.RightPIN) // answered or not
	require.Equal(t, 9, left())
}

// TestCancelled: a context that is over makes no request, which would then be pending.
func TestCancelled(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := bytes.Clone(p.state.Data)
	require.ErrorIs(t, p.Refresh(ctx, p.challenge(t)), context.Canceled)
	require.Equal(t, before, p.state.Data)
	fresh := newPhone(t, s, nil)
	require.ErrorIs(t, fresh.Enroll(ctx, device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN}), context.Canceled)
	require.Nil(t, fresh.state.Data)
}

// brokenHSM is a server key that can fail.
type brokenHSM struct {
	protocoltest.FixedKeys
	broken bool
}

func (b *brokenHSM) LoadKey(ctx context.Context, blob []byte) (splitkey.RSAKey, error) {
	key, err := b.FixedKeys.LoadKey(ctx, blob)
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

// TestHSMFails after the count was written: "try again" with the same bytes, and no
// second count. The same where the service cannot take the signature.
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
	_, err := p.sign(t, "first", protocoltest.WrongPIN)
	require.Error(t, err)
	hsm.broken = true
	_, err = p.sign(t, "contract", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	before := loadRecord(t, s, p.id)
	require.Contains(t, s.logged(), "token removed")
	hsm.broken, refuse = false, errors.New("database is down")
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, device.ErrUnanswered)
	refuse = nil
	s.clock.Add(2 * DefaultChallengeLife) // the answer is there as long as nothing else was settled
	result, err := p.Resume(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, result.Signatures[0])
	require.Equal(t, before, loadRecord(t, s, p.id))
	require.Len(t, taken, 1)
	require.Equal(t, result.Signatures[0], taken[0].Signatures[0])
	require.Equal(t, result.Challenge, taken[0].Challenge)
	n := len(l.requests)
	require.Equal(t, l.requests[n-3], l.requests[n-1])
}

// TestParallelGuesses: of many guesses at once, from copies of one state, one is
// answered: they have one number.
func TestParallelGuesses(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	const guesses = 64
	errs := make([]error, guesses)
	var group sync.WaitGroup
	for i := range guesses {
		thief := copyOf(t, owner)
		group.Go(func() { _, errs[i] = thief.sign(t, "loot", protocoltest.WrongPIN) })
	}
	group.Wait()
	answered := 0
	for _, err := range errs {
		var wrong *limiter.WrongPINError
		if errors.As(err, &wrong) {
			answered++
		} else {
			require.ErrorIs(t, err, limiter.ErrDestroyed)
		}
	}
	require.Equal(t, 1, answered)
}

// TestMalformedPartialIsNotCounted: 0, 1, n1-1, n1 and wrong lengths say nothing about a
// PIN.
func TestMalformedPartialIsNotCounted(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	one := make([]byte, 256)
	one[255] = 1
	before := loadRecord(t, s, p.id)
	for _, y := range [][]byte{make([]byte, 256), one, bytes.Repeat([]byte{255}, 256), make([]byte, 255), make([]byte, 257)} {
		r := &wire.Request{Op: protocol.OpChangePIN, Number: before.last.number + 1, Salts: [][]byte{nil}, Partials: [][]byte{y}}
		require.Equal(t, wire.CodeRejected, p.exchangeAs(t, r).Code)
	}
	require.Equal(t, before, loadRecord(t, s, p.id))
}
