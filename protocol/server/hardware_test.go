package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// newHardwarePhone returns a phone whose key is bound to its hardware.
func newHardwarePhone(t *testing.T, s *service, h *protocoltest.Hardware) *phone {
	p := newPhone(t, s, nil)
	p.restart(t, func(c *device.Config) { c.Hardware = h })
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, server := protocoltest.Shares()
	p.id = id
	require.NoError(t, p.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server,
		Attestation: []byte("made in a factory")}))
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	return p
}

// TestHardwareKey: with a key in the phone's hardware a copy of its storage gets no
// answer at all, neither to a guess nor to a Refresh, a Cancel or a Report, and the
// service is warned. The owner notices nothing.
func TestHardwareKey(t *testing.T) {
	var asked []HardwareEnrollment
	s := newService(t, func(c *Config) {
		c.Hardware = func(_ context.Context, h HardwareEnrollment) error { asked = append(asked, h); return nil }
	})
	hardware := protocoltest.NewHardware(t)
	owner := newHardwarePhone(t, s, hardware)
	require.Len(t, asked, 1)
	require.Equal(t, owner.id, asked[0].KeyID)
	require.True(t, hardware.Key.PublicKey.Equal(asked[0].PublicKey))
	require.Equal(t, "made in a factory", string(asked[0].Attestation))
	require.Len(t, asked[0].Challenge, protocol.ChallengeSize)
	status, err := s.Status(t.Context(), owner.id)
	require.NoError(t, err)
	require.True(t, status.Hardware)
	_, err = owner.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)

	thief := copyOf(t, owner)
	before := loadRecord(t, s, owner.id)
	_, err = thief.sign(t, "loot", protocoltest.WrongPIN)
	require.ErrorIs(t, err, protocol.ErrConfig, "the state says that there is one")
	st := thief.stored(t)
	for _, h := range []*protocoltest.Hardware{nil, protocoltest.NewHardware(t)} {
		var signer *wire.HardwareSigner
		if h != nil {
			signer, err = h.Signer()
			require.NoError(t, err)
		}
		for _, op := range []protocol.Operation{protocol.OpConfirm, protocol.OpSign, protocol.OpRefresh, protocol.OpChangePIN, protocol.OpCancel, protocol.OpReport} {
			_, err := s.Handle(t.Context(), forgeSigned(t, s, owner.id, op, st, signer))
			require.Equal(t, ErrRefused, err)
		}
	}
	require.Equal(t, before, loadRecord(t, s, owner.id))
	require.Contains(t, s.logged(), "level=WARN msg=\"request refused\" cause=\"server: not signed by the phone's hardware: key "+owner.id.String())
	require.NoError(t, owner.Refresh(t.Context(), owner.challenge(t)))
	_, err = owner.sign(t, "x", protocoltest.WrongPIN)
	require.Error(t, err)
	require.NoError(t, owner.ChangePIN(t.Context(), owner.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN))
}

// forgeSigned makes a request that is right in everything but the hardware's signature.
func forgeSigned(t *testing.T, s *service, id protocol.KeyID, op protocol.Operation, st *protocoltest.State, signer *wire.HardwareSigner) []byte {
	r, err := wire.ParseRequest(openedForgery(t, s, id, op, st.Key.AuthKey))
	require.NoError(t, err)
	if op != protocol.OpReport {
		r.Number, r.Token, r.Chain = st.Key.Number+1, st.Key.Token, st.Key.Chain
	}
	plaintext, err := r.Encode(st.Key.AuthKey, id, signer)
	require.NoError(t, err)
	request, _, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), op, plaintext)
	require.NoError(t, err)
	return request
}

func openedForgery(t *testing.T, s *service, id protocol.KeyID, op protocol.Operation, key wire.Secret) []byte {
	o, err := protocoltest.OpenRequest(forge(t, s, id, id, op, key), s.keys.Get())
	require.NoError(t, err)
	return o.Plaintext.Get()
}

// TestHardwarePolicy: the service decides which hardware will do, and whether none will.
func TestHardwarePolicy(t *testing.T) {
	s := newService(t, func(c *Config) {
		c.Hardware = func(_ context.Context, h HardwareEnrollment) error {
			if h.PublicKey == nil {
				return errors.New("a phone without hardware")
			}
			return nil
		}
	})
	client, server := protocoltest.Shares()
	p := newPhone(t, s, nil)
	err := p.Enroll(t.Context(), device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server})
	require.ErrorIs(t, err, device.ErrRejected)
	require.ErrorContains(t, err, "hardware")
	require.Contains(t, s.logged(), "a phone without hardware")
	newHardwarePhone(t, s, protocoltest.NewHardware(t))
}

// TestHardwareIsChecked: a broken element, one of another key, and a key of another curve
// make no request.
func TestHardwareIsChecked(t *testing.T) {
	s := newService(t)
	h := protocoltest.NewHardware(t)
	p := newHardwarePhone(t, s, h)
	broken := errors.New("element locked")
	h.Broken = broken
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), broken)
	requireNothingPending(t, p)
	h.Broken = nil
	p.restart(t, func(c *device.Config) { c.Hardware = protocoltest.NewHardware(t) })
	require.ErrorContains(t, p.Refresh(t.Context(), p.challenge(t)), "another key's")
	requireNothingPending(t, p)
	p.restart(t, func(c *device.Config) { c.Hardware = nil })
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), protocol.ErrConfig)
	p.restart(t, func(c *device.Config) { c.Hardware = h })
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))

	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	config := p.config
	config.Hardware = &protocoltest.Hardware{Key: other}
	_, err = device.New(config)
	require.ErrorIs(t, err, protocol.ErrConfig)
}

// TestHardwareProvesItselfAtEnrolment: a public key whose owner did not sign the
// enrolment is not taken.
func TestHardwareProvesItselfAtEnrolment(t *testing.T) {
	s := newService(t)
	mine, theirs := protocoltest.NewHardware(t), protocoltest.NewHardware(t)
	signer, err := mine.Signer()
	require.NoError(t, err)
	public, err := theirs.Key.PublicKey.Bytes()
	require.NoError(t, err)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	c, err := wire.ParseChallenge(challenge)
	require.NoError(t, err)
	_, server := protocoltest.Shares()
	e := wire.Enrollment{Challenge: c, Share: secret.Own(server.Bytes()), AuthKey: wire.DrawSecret(), Hardware: public}
	plaintext, err := e.Encode(id, signer)
	require.NoError(t, err)
	request, _, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, plaintext)
	require.NoError(t, err)
	_, err = s.Handle(t.Context(), request)
	require.Equal(t, ErrRefused, err)
	_, err = s.Status(t.Context(), id)
	require.ErrorIs(t, err, ErrUnknownKey)
}

// TestStrangerVerifiesNothing: without a challenge of the server's nobody has it verify a
// hardware key's signature.
func TestStrangerVerifiesNothing(t *testing.T) {
	s := newService(t)
	mine, theirs := protocoltest.NewHardware(t), protocoltest.NewHardware(t)
	signer, err := mine.Signer()
	require.NoError(t, err)
	public, err := theirs.Key.PublicKey.Bytes()
	require.NoError(t, err)
	_, server := protocoltest.Shares()
	id := protocol.KeyID{7}
	good := s.issue(wire.ForEnrolment, id, wire.Hash{})
	forged := append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1) // behind a ticket of the server's
	for cause, raw := range map[string][]byte{
		"not the server's for this request": forged,
		"not signed by the hardware key":    good,
	} {
		c, err := wire.ParseChallenge(raw)
		require.NoError(t, err)
		e := wire.Enrollment{Challenge: c, Share: secret.Own(server.Bytes()), AuthKey: wire.DrawSecret(), Hardware: public}
		plaintext, err := e.Encode(id, signer)
		require.NoError(t, err)
		request, _, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, plaintext)
		require.NoError(t, err)
		s.log.Reset()
		_, err = s.Handle(t.Context(), request)
		require.Equal(t, ErrRefused, err)
		require.Contains(t, s.logged(), cause)
	}
}
