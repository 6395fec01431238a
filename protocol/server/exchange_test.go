package server

import (
	"context"
	"crypto"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

func TestEnrollConfirmSign(t *testing.T) {
	for name, keys := range map[string]KeySource{"two-prime": nil, "composite": protocoltest.FixedKeys{}} {
		t.Run(name, func(t *testing.T) {
			var got []Signed
			s := newService(t, func(c *Config) {
				c.Keys = keys
				c.Signed = func(_ context.Context, signed Signed) error { got = append(got, signed); return nil }
			})
			p := newReadyPhone(t, s)
			status, err := p.Status()
			require.NoError(t, err)
			require.Equal(t, device.Ready, status.Phase)
			require.Equal(t, p.id, status.KeyID)

			signature, err := p.sign(t, "contract", protocoltest.RightPIN)
			require.NoError(t, err)
			require.NoError(t, rsa.VerifyPKCS1v15(status.PublicKey, crypto.SHA256, protocoltest.DigestOf("contract"), signature))
			require.Len(t, got, 1, "the confirmation is no signature of the service's")
			require.Equal(t, signature, got[0].Signatures[0])
			require.Equal(t, p.id, got[0].KeyID)

			digest := protocoltest.DigestOf("another")
			opts := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 20}
			challenge, err := s.ChallengeSign(t.Context(), p.id, digest, opts)
			require.NoError(t, err)
			signature, err = p.Sign(t.Context(), challenge, digest, opts, protocoltest.RightPIN)
			require.NoError(t, err)
			require.NoError(t, rsa.VerifyPSS(status.PublicKey, crypto.SHA256, digest, signature, opts))

			require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
			require.NoError(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN))
			var wrong *limiter.WrongPINError
			_, err = p.sign(t, "contract", protocoltest.RightPIN)
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, 2, wrong.Remaining)
			_, err = p.sign(t, "contract", protocoltest.NewPIN)
			require.NoError(t, err)

			known, err := s.Status(t.Context(), p.id)
			require.NoError(t, err)
			require.Equal(t, Active, known.Condition)
			require.True(t, known.PublicKey.Equal(status.PublicKey))
		})
	}
}

func TestWrongPINLocksAndDestroys(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	var wrong *limiter.WrongPINError
	var locked *limiter.LockedError
	for round, lock := range []time.Duration{3 * time.Hour, 24 * time.Hour} {
		for i := range 3 {
			_, err := p.sign(t, "x", protocoltest.WrongPIN)
			require.ErrorAs(t, err, &wrong)
			require.Equal(t, 8-3*round-i, wrong.RemainingTotal)
		}
		require.Equal(t, s.clock.Now().Add(lock).UTC(), wrong.LockedUntil)
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		require.ErrorAs(t, err, &locked)
		s.clock.Add(lock)
	}
	for range 3 {
		_, err := p.sign(t, "x", protocoltest.WrongPIN)
		require.ErrorAs(t, err, &wrong)
	}
	require.ErrorIs(t, wrong, limiter.ErrDestroyed)
	var dead *protocol.DestroyedError
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorAs(t, err, &dead)
	require.Equal(t, protocol.ReasonPIN, dead.Reason)
	status, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	require.Equal(t, Destroyed, status.Condition)
}

// TestAnswerLengths: what docs/protocol.md says an observer sees.
func TestAnswerLengths(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	var lengths []int
	p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
		response, err := s.Handle(ctx, request)
		lengths = append(lengths, len(response))
		return response, err
	}
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	_, err = p.sign(t, "x", protocoltest.WrongPIN)
	require.Error(t, err)
	require.Equal(t, []int{572, 67}, lengths)
}

// TestOneChallengeTwoSignatures: a challenge bounds what is signed, not how often. The
// service sees both, under one challenge.
func TestOneChallengeTwoSignatures(t *testing.T) {
	var got []Signed
	s := newService(t, func(c *Config) {
		c.Signed = func(_ context.Context, signed Signed) error { got = append(got, signed); return nil }
	})
	p := newReadyPhone(t, s)
	digest, opts := protocoltest.DigestOf("contract"), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
	challenge, err := s.ChallengeSign(t.Context(), p.id, digest, opts)
	require.NoError(t, err)
	for range 2 {
		_, err = p.Sign(t.Context(), challenge, digest, opts, protocoltest.RightPIN)
		require.NoError(t, err)
	}
	require.Len(t, got, 2)
	require.Equal(t, got[0].Challenge, got[1].Challenge)
	require.NotEqual(t, got[0].Signatures[0], got[1].Signatures[0])
	for _, signed := range got {
		require.Equal(t, digest, signed.Digests[0])
		require.NoError(t, rsa.VerifyPSS(signed.PublicKey, crypto.SHA256, digest, signed.Signatures[0], opts))
	}
}
