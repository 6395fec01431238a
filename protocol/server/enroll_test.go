package server

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// enrollKey sends an enrolment with an arbitrary key to the server, as no device of this
// package would.
func enrollKey(t *testing.T, s *service, share []byte) *wire.Answer {
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	return exchange(t, s, protocol.OpEnroll, id, protocoltest.EnrollmentOf(t, challenge, share))
}

// exchange seals a plaintext, sends it and reads the answer, which there must be.
func exchange(t *testing.T, s *service, op protocol.Operation, id protocol.KeyID, plaintext []byte) *wire.Answer {
	pub, err := wire.KEM.NewPublicKey(s.HPKEKey())
	require.NoError(t, err)
	request, r, err := protocoltest.SealRequest(pub, op, plaintext)
	require.NoError(t, err)
	return deliver(t, s.Server, request, r)
}

func deliver(t *testing.T, s *Server, request []byte, r wire.ResponseKey) *wire.Answer {
	response, err := s.Handle(t.Context(), request)
	require.NoError(t, err)
	plaintext, err := r.Open(response)
	require.NoError(t, err)
	a, err := wire.ParseAnswer(plaintext)
	require.NoError(t, err)
	return a
}

// shareFor is the encoding of a server share with modulus n, without any check.
func shareFor(t *testing.T, n *big.Int) []byte {
	_, server := protocoltest.Shares()
	good := server.Bytes()
	k := len(server.PublicKey().N.Bytes())
	size := (n.BitLen() + 7) / 8
	// The length of n1, in two bytes, and n1 and the secret of that length end the
	// encoding.
	head := bytes.Clone(good[:len(good)-2*k])
	require.Equal(t, uint16(k), binary.BigEndian.Uint16(head[len(head)-2:]))
	binary.BigEndian.PutUint16(head[len(head)-2:], uint16(size))
	d := make([]byte, size)
	d[size-1] = 5
	return append(append(head, n.FillBytes(make([]byte, size))...), d...)
}

// TestServerChecksModulus: too short, even, with a small factor, too long, enrolled
// already, of another length than the server's, and with a factor in common with the
// server's key.
func TestServerChecksModulus(t *testing.T) {
	n := splitkeytest.Key(2048).N
	odd := func(n *big.Int) *big.Int { return new(big.Int).SetBit(n, 0, 1) }
	divisible := new(big.Int).Sub(n, new(big.Int).Mod(n, big.NewInt(65537)))
	if divisible.Bit(0) == 0 {
		divisible.Add(divisible, big.NewInt(65537))
	}
	for name, bad := range map[string]*big.Int{
		"too short":       odd(new(big.Int).Rsh(n, 1024)),
		"a bit too short": odd(new(big.Int).Rsh(n, 8)),
		"too long":        odd(new(big.Int).Lsh(n, 8192)),
		"even":            new(big.Int).Sub(n, big.NewInt(1)),
		"divisible by 3":  new(big.Int).Sub(n, new(big.Int).Mod(n, big.NewInt(3))),
		"small factor":    divisible,
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			if name == "divisible by 3" && bad.Bit(0) == 0 {
				bad.Add(bad, big.NewInt(3))
			}
			a := enrollKey(t, s, shareFor(t, bad))
			require.Equal(t, wire.CodeKeyRefused, a.Code)
			require.Equal(t, wire.RefusedModulus, a.Refusal)
			require.Equal(t, wire.CodeKeyRefused, a.Code)
		})
	}
	t.Run("enrolled already", func(t *testing.T) {
		s := newService(t)
		newReadyPhone(t, s)
		again := newPhone(t, s, nil)
		_, challenge, err := s.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		client, server := protocoltest.Shares()
		err = again.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server})
		require.ErrorIs(t, err, device.ErrRejected)
		require.ErrorContains(t, err, "already")
		status, err := again.Status()
		require.NoError(t, err)
		require.Equal(t, device.NoKey, status.Phase)
	})
	t.Run("another length", func(t *testing.T) {
		_, server, err := splitkeytest.Split(splitkeytest.Key(3072), splitkey.Additive, make([]byte, 384+8))
		require.NoError(t, err)
		a := enrollKey(t, newService(t), server.Bytes())
		require.Equal(t, wire.CodeKeyRefused, a.Code)
		require.Equal(t, wire.RefusedLength, a.Refusal)
	})
	t.Run("common factor", func(t *testing.T) {
		s := newService(t, func(c *Config) { c.Keys = sharingFactor{} })
		_, server := protocoltest.Shares()
		a := enrollKey(t, s, server.Bytes())
		require.Equal(t, wire.CodeKeyRefused, a.Code)
		require.Equal(t, wire.RefusedFactor, a.Refusal)
	})
	t.Run("not a share", func(t *testing.T) {
		_, server := protocoltest.Shares()
		zero := bytes.Clone(server.Bytes())
		clear(zero[len(zero)-256:])
		require.Equal(t, wire.RefusedModulus, enrollKey(t, newService(t), zero).Refusal)
		require.Equal(t, wire.RefusedModulus, enrollKey(t, newService(t), nil).Refusal)
	})
}

// sharingFactor is a broken KeySource: its key has a prime of the device's.
type sharingFactor struct{}

func (sharingFactor) Bits() int { return 2048 }

func (sharingFactor) NewKey(context.Context) (splitkey.RSAKey, []byte, error) {
	a, b := splitkeytest.Key(2048), splitkeytest.NamedKey(splitkeytest.Server, 2048)
	key, err := splitkeytest.PrivateKey(a.Primes[0], b.Primes[0], 65537)
	if err != nil {
		return nil, nil, err
	}
	soft, err := splitkeytest.SoftwareKey(key)
	return soft, []byte("x"), err
}

func (sharingFactor) LoadKey(context.Context, []byte) (splitkey.RSAKey, error) {
	return nil, errors.New("no")
}

// TestEnrollIsIdempotent: the same bytes get the same key, on any node, at once, and
// after the challenge has expired.
func TestEnrollIsIdempotent(t *testing.T) {
	s := newService(t)
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	_, server := protocoltest.Shares()
	pub, err := wire.KEM.NewPublicKey(s.HPKEKey())
	require.NoError(t, err)
	request, r, err := protocoltest.SealRequest(pub, protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
	require.NoError(t, err)
	nodes := []*Server{s.Server, s.node(t), s.node(t)}
	var group sync.WaitGroup
	answers := make([]*wire.Answer, 12)
	for i := range answers {
		group.Go(func() { answers[i] = deliver(t, nodes[i%3], request, r) })
	}
	group.Wait()
	s.clock.Add(DefaultChallengeLife + time.Second)
	answers = append(answers, deliver(t, s.Server, request, r))
	last := answers[len(answers)-1]
	require.Equal(t, wire.CodeEnrolled, last.Code)
	for _, a := range answers {
		if a.Code == wire.CodeLater { // another node was at it
			continue
		}
		require.Equal(t, wire.CodeEnrolled, a.Code)
		require.Equal(t, last.Public, a.Public)
		require.Equal(t, last.ConfirmBy, a.ConfirmBy)
	}
	require.Equal(t, 1, bytes.Count([]byte(s.logged()), []byte("key enrolled")))
	// Another request with the same challenge is nobody's.
	other, _, err := protocoltest.SealRequest(pub, protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
	require.NoError(t, err)
	_, err = s.Handle(t.Context(), other)
	require.ErrorIs(t, err, ErrRefused)
	// When it was not confirmed in time, the same bytes say so.
	s.clock.Add(DefaultPendingLife)
	a := deliver(t, s.Server, request, r)
	require.Equal(t, wire.CodeDestroyed, a.Code)
	require.Equal(t, protocol.ReasonExpired, a.Reason)
}

// TestEnrollCrashBetweenWrites: the modulus is reserved and the record is not written.
// Where the server draws no key the same request heals it; the modulus under another key
// id stays refused.
func TestEnrollCrashBetweenWrites(t *testing.T) {
	broken := true
	s := newService(t, func(c *Config) {
		c.Keys = nil
		c.Store = &protocoltest.FailingStore{Store: c.Store, Fails: func(id string) error {
			if broken && id[0] == 'k' {
				return errors.New("crash")
			}
			return nil
		}}
	})
	p := newPhone(t, s, nil)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, server := protocoltest.Shares()
	options := device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server}
	require.ErrorIs(t, p.Enroll(t.Context(), options), device.ErrUnanswered)
	require.Equal(t, wire.RefusedEnrolled, enrollKey(t, s, server.Bytes()).Refusal)
	broken = false
	_, err = p.Resume(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	status, err := s.Status(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, Active, status.Condition)
}

// TestPendingExpires: a key that is not confirmed in time is dead, and its share erased
// by the first request that comes too late.
func TestPendingExpires(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	p.enroll(t)
	_, err := p.sign(t, "too early", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrPhase)
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), device.ErrPhase)
	s.clock.Add(DefaultPendingLife)
	err = p.Confirm(t.Context(), p.challenge(t), protocoltest.RightPIN)
	var dead *protocol.DestroyedError
	require.ErrorAs(t, err, &dead)
	require.Equal(t, protocol.ReasonExpired, dead.Reason)
	require.Empty(t, loadRecord(t, s, p.id).sealedShare)
	// The device can start over, with another key.
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN}))
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
}

// TestConfirmIsRetried: a lost answer to the confirmation is asked for again, without a
// PIN.
func TestConfirmIsRetried(t *testing.T) {
	s := newService(t)
	lose := false
	p := newPhone(t, s, func(ctx context.Context, request []byte) ([]byte, error) {
		response, err := s.Handle(ctx, request)
		if lose {
			return nil, errors.New("lost")
		}
		return response, err
	})
	p.enroll(t)
	lose = true
	require.ErrorIs(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN), device.ErrUnanswered)
	status, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	require.Equal(t, Active, status.Condition)
	lose = false
	result, err := p.Resume(t.Context())
	require.NoError(t, err)
	require.Equal(t, protocol.OpConfirm, result.Operation)
	require.Nil(t, result.Signatures, "it is no signature of anything")
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	require.ErrorIs(t, p.Enroll(t.Context(), device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN}), device.ErrPhase)
}

// TestConfirmedUnheard: the answer to the confirmation is lost. The device learns that
// its key is in use from the Cancel that comes before the next request, and does not make
// another key over it.
func TestConfirmedUnheard(t *testing.T) {
	for name, act := range map[string]func(p *phone) error{
		"sign":    func(p *phone) error { _, err := p.sign(t, "x", protocoltest.RightPIN); return err },
		"refresh": func(p *phone) error { return p.Refresh(t.Context(), p.challenge(t)) },
		"change PIN": func(p *phone) error {
			return p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN)
		},
	} {
		s := newService(t)
		l := &lossy{service: s}
		p := newPhone(t, s, l.transport)
		p.enroll(t)
		l.loseResponse = true
		require.ErrorIs(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN), device.ErrUnanswered)
		require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), device.ErrUnanswered)
		l.loseResponse = false
		require.NoError(t, act(p), name)
		status, err := p.Status()
		require.NoError(t, err)
		require.Equal(t, device.Ready, status.Phase, name)
		err = p.Enroll(t.Context(), device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN})
		require.ErrorIs(t, err, device.ErrPhase, name)
		require.ErrorIs(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN), protocol.ErrMalformed, "no challenge is left")
	}
}

func mustEnrollChallenge(t *testing.T, s *service) []byte {
	_, c, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	return c
}

// TestKeyPool: keys are ready, come back from their blobs, and make composites of full
// length.
func TestKeyPool(t *testing.T) {
	pool, err := NewKeyPool(2048, 2)
	require.NoError(t, err)
	key, blob, err := pool.NewKey(t.Context())
	require.NoError(t, err)
	require.Greater(t, key.Public().(*rsa.PublicKey).N.Bytes()[0], byte(0xa7))
	pool.Close()
	for range 2 {
		again, err := pool.LoadKey(t.Context(), blob)
		require.NoError(t, err)
		require.True(t, key.Public().(*rsa.PublicKey).Equal(again.Public()))
	}
	other, _, err := pool.NewKey(t.Context())
	require.NoError(t, err, "it makes keys when the pool is empty")
	require.False(t, key.Public().(*rsa.PublicKey).Equal(other.Public()))
	_, err = pool.LoadKey(t.Context(), []byte("no key"))
	require.Error(t, err)
	_, err = NewKeyPool(1024, 1)
	require.ErrorIs(t, err, protocol.ErrConfig)
	_, err = NewKeyPool(2048, -1)
	require.ErrorIs(t, err, protocol.ErrConfig)

	empty, err := NewKeyPool(2048, 0)
	require.NoError(t, err)
	defer empty.Close()
	again, err := empty.LoadKey(t.Context(), blob)
	require.NoError(t, err)
	require.True(t, key.Public().(*rsa.PublicKey).Equal(again.Public()))
	_, _, err = empty.NewKey(t.Context())
	require.NoError(t, err, "it makes a key when asked")
}
