package protocol

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// testHardware is a phone's secure element in software.
type testHardware struct {
	key    *ecdsa.PrivateKey
	broken error
}

func (h *testHardware) SignECDSA(digest []byte) ([]byte, error) {
	if h.broken != nil {
		return nil, h.broken
	}
	return h.key.Sign(rand.Reader, digest, nil)
}

func (h *testHardware) signer() (*hardwareSigner, error) {
	public, err := h.key.PublicKey.Bytes()
	return &hardwareSigner{h, public}, err
}

func newTestHardware(tb testing.TB) *testHardware {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	return &testHardware{key: key}
}

// newHardwarePhone returns a phone whose key is bound to its hardware.
func newHardwarePhone(t *testing.T, s *service, h *testHardware) *phone {
	p := newPhone(t, s, nil)
	p.config.Hardware = h
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, server := testShares()
	p.id = id
	require.NoError(t, p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN, Client: client, Server: server,
		HardwareKey: &h.key.PublicKey, Attestation: []byte("made in a factory")}))
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
	return p
}

// TestHardwareKey: with a key in the phone's hardware a copy of its storage gets no answer at all, neither to a guess nor
// to a Refresh, a Cancel or a Report, and the service is warned. The owner notices nothing.
func TestHardwareKey(t *testing.T) {
	var asked []HardwareEnrollment
	s := newService(t, func(c *Config) {
		c.Hardware = func(_ context.Context, h HardwareEnrollment) error { asked = append(asked, h); return nil }
	})
	hardware := newTestHardware(t)
	owner := newHardwarePhone(t, s, hardware)
	require.Len(t, asked, 1)
	require.Equal(t, owner.id, asked[0].KeyID)
	require.True(t, hardware.key.PublicKey.Equal(asked[0].PublicKey))
	require.Equal(t, "made in a factory", string(asked[0].Attestation))
	require.Len(t, asked[0].Challenge, ChallengeSize)
	status, err := s.Status(t.Context(), owner.id)
	require.NoError(t, err)
	require.True(t, status.Hardware)
	_, err = owner.sign(t, "x", rightPIN)
	require.NoError(t, err)

	thief := copyOf(t, owner)
	before := loadRecord(t, s, owner.id)
	_, err = thief.sign(t, "loot", wrongPIN)
	require.ErrorIs(t, err, ErrHardware, "the state says that there is one")
	st := thief.stored(t)
	for _, h := range []*testHardware{nil, newTestHardware(t)} {
		var signer *hardwareSigner
		if h != nil {
			signer, err = h.signer()
			require.NoError(t, err)
		}
		for _, op := range []Operation{OpConfirm, OpSign, OpRefresh, OpChangePIN, OpCancel, OpReport} {
			_, err := s.Handle(t.Context(), forgeSigned(t, s, owner.id, op, st, signer))
			require.Equal(t, ErrRefused, err)
		}
	}
	require.Equal(t, before, loadRecord(t, s, owner.id))
	require.Contains(t, s.logged(), "level=WARN msg=\"request refused\" cause=\"protocol: not signed by the phone's hardware: key "+owner.id.String())
	require.NoError(t, owner.Refresh(t.Context(), owner.challenge(t)))
	_, err = owner.sign(t, "x", wrongPIN)
	require.Error(t, err)
	require.NoError(t, owner.ChangePIN(t.Context(), owner.challenge(t), rightPIN, newPIN))
}

// forgeSigned makes a request that is right in everything but the hardware's signature.
func forgeSigned(t *testing.T, s *service, id KeyID, op Operation, st *deviceState, signer *hardwareSigner) []byte {
	r, err := parseRequest(openedForgery(t, s, id, op, st.key.authKey))
	require.NoError(t, err)
	if op != OpReport {
		r.number, r.token, r.chain = st.key.number+1, st.key.token, st.key.chain
	}
	plaintext, err := r.encode(st.key.authKey, id, signer)
	require.NoError(t, err)
	request, _, err := sealRequest(s.config.HPKE.Current.PublicKey(), op, id, plaintext)
	require.NoError(t, err)
	return request
}

func openedForgery(t *testing.T, s *service, id KeyID, op Operation, key secret) []byte {
	request := forge(t, s, id, id, op, key)
	e, err := parseEnvelope(request)
	require.NoError(t, err)
	plaintext, _, err := openRequest(s.config.HPKE.Current, e, request)
	require.NoError(t, err)
	return plaintext
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
	client, server := testShares()
	p := newPhone(t, s, nil)
	err := p.Enroll(t.Context(), EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: rightPIN, Client: client, Server: server})
	require.ErrorIs(t, err, ErrKeyRefused)
	require.ErrorContains(t, err, "hardware")
	require.Contains(t, s.logged(), "a phone without hardware")
	newHardwarePhone(t, s, newTestHardware(t))
}

// TestHardwareIsChecked: a broken element, one of another key, and a key of another curve make no request.
func TestHardwareIsChecked(t *testing.T) {
	s := newService(t)
	h := newTestHardware(t)
	p := newHardwarePhone(t, s, h)
	broken := errors.New("element locked")
	h.broken = broken
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), broken)
	requireNothingPending(t, p)
	h.broken = nil
	p.config.Hardware = newTestHardware(t)
	require.ErrorContains(t, p.Refresh(t.Context(), p.challenge(t)), "another key's")
	requireNothingPending(t, p)
	p.config.Hardware = nil
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), ErrHardware)
	p.config.Hardware = h
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))

	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	client, server := testShares()
	fresh := newPhone(t, s, nil)
	fresh.config.Hardware = &testHardware{key: other}
	err = fresh.Enroll(t.Context(), EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: rightPIN, Client: client, Server: server, HardwareKey: &other.PublicKey})
	require.ErrorIs(t, err, ErrHardware)
}

// TestHardwareProvesItselfAtEnrolment: a public key whose owner did not sign the enrolment is not taken.
func TestHardwareProvesItselfAtEnrolment(t *testing.T) {
	s := newService(t)
	mine, theirs := newTestHardware(t), newTestHardware(t)
	signer, err := mine.signer()
	require.NoError(t, err)
	public, err := theirs.key.PublicKey.Bytes()
	require.NoError(t, err)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	c, err := parseChallenge(challenge)
	require.NoError(t, err)
	_, server := testShares()
	e := enrollment{challenge: c, share: hide(server.Bytes()), authKey: drawSecret(), hardware: public}
	plaintext, err := e.encode(id, signer)
	require.NoError(t, err)
	request, _, err := sealRequest(s.config.HPKE.Current.PublicKey(), OpEnroll, id, plaintext)
	require.NoError(t, err)
	_, err = s.Handle(t.Context(), request)
	require.Equal(t, ErrRefused, err)
	_, err = s.Status(t.Context(), id)
	require.ErrorIs(t, err, ErrUnknownKey)
}

// TestStrangerVerifiesNothing: without a challenge of the server's nobody has it verify a hardware key's signature.
func TestStrangerVerifiesNothing(t *testing.T) {
	s := newService(t)
	mine, theirs := newTestHardware(t), newTestHardware(t)
	signer, err := mine.signer()
	require.NoError(t, err)
	public, err := theirs.key.PublicKey.Bytes()
	require.NoError(t, err)
	_, server := testShares()
	id := KeyID{7}
	nobody := s.node(t, func(c *Config) { c.ChallengeKey = bytes.Repeat([]byte{8}, 32) })
	for challenger, cause := range map[*Server]string{
		nobody:   "not the server's challenge for this key",
		s.Server: "not signed by the hardware key",
	} {
		c, err := parseChallenge(challenger.issue(forEnrolment, id, hash{}))
		require.NoError(t, err)
		e := enrollment{challenge: c, share: hide(server.Bytes()), authKey: drawSecret(), hardware: public}
		plaintext, err := e.encode(id, signer)
		require.NoError(t, err)
		request, _, err := sealRequest(s.config.HPKE.Current.PublicKey(), OpEnroll, id, plaintext)
		require.NoError(t, err)
		s.log.Reset()
		_, err = s.Handle(t.Context(), request)
		require.Equal(t, ErrRefused, err)
		require.Contains(t, s.logged(), cause)
	}
}
