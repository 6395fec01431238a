package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hpke"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// saying is a transport that answers every request in one way, in the server's name.
func (s *service) saying(t *testing.T, a wire.Answer) Transport {
	key := s.config.HPKE.Current
	ring := map[wire.HPKEKeyID]hpke.PrivateKey{wire.HPKEKeyIDOf(key.PublicKey().Bytes()): key}
	return func(_ context.Context, request []byte) ([]byte, error) {
		o, err := protocoltest.OpenRequest(request, ring)
		require.NoError(t, err)
		return o.ResponseKey.SealAnswer(&a)
	}
}

// put stores a state.
func (p *phone) put(t *testing.T, st *state) {
	data, err := st.encode(nil)
	require.NoError(t, err)
	p.state.Data = data
}

// TestAnswersOutOfPlace: an answer that the server does not give to such a request is
// none, and changes nothing.
func TestAnswersOutOfPlace(t *testing.T) {
	s := newService(t)
	client, server := protocoltest.Shares()
	p := newPhone(t, s, s.saying(t, wire.Answer{Code: wire.CodeLocked, Verdict: wire.Verdict{Until: 7}}))
	o := EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server}
	err := p.Enroll(t.Context(), o)
	require.ErrorIs(t, err, ErrUnanswered)
	require.ErrorIs(t, err, errAnswer)
	require.Equal(t, Enrolling, p.stored(t).phase)
	p.config.Transport = s.saying(t, wire.Answer{Code: wire.CodeDestroyed, Reason: protocol.ReasonExpired, Challenge: mustOwnChallenge(t, s)})
	var dead *protocol.DestroyedError
	require.ErrorAs(t, p.Enroll(t.Context(), o), &dead)
	require.Equal(t, protocol.ReasonExpired, dead.Reason)
	require.Equal(t, Dead, p.stored(t).phase)

	for name, a := range map[string]wire.Answer{
		"signatures":    {Code: wire.CodeRight, Signatures: [][]byte{make([]byte, 256)}},
		"an enrolment":  {Code: wire.CodeEnrolled, Challenge: mustOwnChallenge(t, s), Public: *client.PublicKey()},
		"a refused key": {Code: wire.CodeKeyRefused, Refusal: wire.RefusedFactor},
		"locked":        {Code: wire.CodeLocked, Verdict: wire.Verdict{Until: 7}},
	} {
		s := newService(t)
		p, l := newLossyPhone(t, s)
		l.loseRequest = true
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		require.ErrorIs(t, err, ErrUnanswered)
		p.config.Transport = s.saying(t, a)
		err = p.Cancel(t.Context(), p.challenge(t))
		require.ErrorIs(t, err, ErrUnanswered, name)
		require.ErrorIs(t, err, errAnswer, name)
		require.NotNil(t, p.stored(t).pending, name)
	}

	p = newReadyPhone(t, newService(t))
	st := p.stored(t)
	st.end(protocol.ReasonClone, nil, false)
	p.put(t, st)
	p.config.Transport = p.service.saying(t, wire.Answer{Code: wire.CodeExpired})
	err = p.Report(t.Context(), p.challenge(t))
	require.ErrorIs(t, err, ErrSuperseded)
	require.ErrorIs(t, err, errAnswer)
	require.Equal(t, Superseded, p.stored(t).phase)
	require.ErrorIs(t, p.Report(t.Context(), []byte("none")), protocol.ErrMalformed)
	require.ErrorIs(t, p.Report(t.Context(), nil), ErrSuperseded, "no challenge came with the answer")
	st = p.stored(t)
	st.end(protocol.ReasonClone, nil, true)
	p.put(t, st)
	for _, f := range []func(context.Context, []byte) error{p.Report, p.Cancel} {
		require.ErrorAs(t, f(t.Context(), p.challenge(t)), &dead)
		require.Equal(t, protocol.ReasonClone, dead.Reason)
	}
}

func mustOwnChallenge(t *testing.T, s *service) []byte {
	c, err := s.Challenge(t.Context(), protocol.KeyID{})
	require.NoError(t, err)
	return c
}

// TestDamagedKey: a stored lockbox that is none, and a final key that is not its own, are
// errors of the storage before a PIN is looked at, and when an answer comes.
func TestDamagedKey(t *testing.T) {
	for name, damage := range map[string]func(k *enrolledKey){
		"lockbox":   func(k *enrolledKey) { k.lockbox = []byte("none") },
		"final key": func(k *enrolledKey) { k.public = splitkeytest.NamedKey(splitkeytest.Server, 2048).PublicKey },
	} {
		p, l := newLossyPhone(t, newService(t))
		l.loseResponse = true
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		require.ErrorIs(t, err, ErrUnanswered)
		l.loseResponse = false
		st := p.stored(t)
		damage(st.key)
		p.put(t, st)
		_, err = p.Resume(t.Context())
		require.ErrorIs(t, err, ErrStorage, name)
		require.NotNil(t, p.stored(t).pending, name)

		st.pending = nil
		p.put(t, st)
		sent := len(l.requests)
		_, err = p.sign(t, "y", protocoltest.RightPIN)
		require.ErrorIs(t, err, ErrStorage, name)
		require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN), ErrStorage, name)
		_, err = p.NewSigner(t.Context(), SignerConfig{
			Challenge: func(context.Context, *Request) ([]byte, error) { return nil, protocoltest.ErrLost },
			PIN:       func(context.Context, *Request) ([]byte, error) { return nil, protocoltest.ErrLost },
		})
		require.ErrorIs(t, err, ErrStorage, name)
		require.Len(t, l.requests, sent)
	}

	// The lockbox of an enrolment that is not answered.
	s := newService(t)
	l := &lossy{service: s, loseResponse: true}
	p := newPhone(t, s, l.transport)
	client, server := protocoltest.Shares()
	o := EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server}
	require.ErrorIs(t, p.Enroll(t.Context(), o), ErrUnanswered)
	st := p.stored(t)
	st.key.lockbox = []byte("none")
	p.put(t, st)
	l.loseResponse = false
	_, err := p.Resume(t.Context())
	require.ErrorIs(t, err, ErrStorage)
	require.Equal(t, Enrolling, p.stored(t).phase)
}

// TestStoredHPKEKey: nothing is made for a stored HPKE key that is none.
func TestStoredHPKEKey(t *testing.T) {
	p, l := newLossyPhone(t, newService(t))
	l.loseRequest = true
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	st := p.stored(t)
	st.hpkeKey = bytes.Repeat([]byte{0xff}, wire.HPKEKeySize)
	p.put(t, st)
	sent := len(l.requests)
	require.ErrorIs(t, p.Cancel(t.Context(), p.challenge(t)), ErrStorage)
	st.pending = nil
	p.put(t, st)
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), ErrStorage)
	st.forget()
	p.put(t, st)
	client, server := protocoltest.Shares()
	require.ErrorIs(t, p.Enroll(t.Context(), EnrollOptions{Challenge: mustEnrollChallenge(t, p.service), PIN: protocoltest.RightPIN, Client: client, Server: server}), ErrStorage)
	require.Len(t, l.requests, sent)
	require.Equal(t, NoKey, p.stored(t).phase)
}

// TestStateCutShort: no key and no pending request is read that ends early, or has a
// hardware key that is none.
func TestStateCutShort(t *testing.T) {
	p, l := newLossyPhone(t, newService(t))
	l.loseRequest = true
	digest := protocoltest.DigestOf("x")
	challenge, err := p.service.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
	require.NoError(t, err)
	_, err = p.Sign(t.Context(), challenge, digest, crypto.SHA256, protocoltest.RightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	st := p.stored(t)
	signer, err := protocoltest.NewHardware(t).Signer()
	require.NoError(t, err)
	st.key.hardware = signer.Public
	body, err := st.body()
	require.NoError(t, err)
	s := cryptobyte.String(body)
	var key, waiting cryptobyte.String
	require.True(t, s.Skip(2+8+wire.HPKEKeySize+8) && s.ReadUint16LengthPrefixed(&key) && s.ReadUint24LengthPrefixed(&waiting) && s.Empty())
	require.True(t, new(state).readKey(key))
	require.True(t, new(state).readPending(waiting))
	for n := range key {
		require.False(t, new(state).readKey(key[:n]), n)
	}
	for n := range waiting {
		require.False(t, new(state).readPending(waiting[:n]), n)
	}
	st.key.hardware = signer.Public[1:]
	p.put(t, st)
	_, err = parseState(p.state.Data, nil)
	require.ErrorIs(t, err, ErrStorage)
	st.key.hardware = nil
	st.pending.messages.SaltLength, st.pending.salts = 1, [][]byte{{1}}
	p.put(t, st)
	_, err = parseState(p.state.Data, nil)
	require.ErrorIs(t, err, ErrStorage, "a salt without PSS")
}

// TestHardwareAway: a key that is bound to hardware makes no request without it, or where
// it does not sign, and keeps nothing of one.
func TestHardwareAway(t *testing.T) {
	s := newService(t)
	hardware := protocoltest.NewHardware(t)
	storage := new(protocoltest.MemoryStorage)
	sent := 0
	open := func(h crypto.Signer) *Device {
		d, err := New(Config{Storage: storage, HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest, Hardware: h,
			Transport: func(ctx context.Context, r []byte) ([]byte, error) { sent++; return s.Handle(ctx, r) }})
		require.NoError(t, err)
		return d
	}
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, server := protocoltest.Shares()
	o := EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server}
	hardware.Broken = errors.New("locked")
	require.ErrorIs(t, open(hardware).Enroll(t.Context(), o), hardware.Broken)
	require.Nil(t, storage.Data)
	require.Zero(t, sent)
	broken := hardware.Broken
	hardware.Broken = nil
	require.NoError(t, open(hardware).Enroll(t.Context(), o))
	before, at := bytes.Clone(storage.Data), sent
	own, err := s.Challenge(t.Context(), id)
	require.NoError(t, err)
	require.ErrorIs(t, open(nil).Confirm(t.Context(), own, protocoltest.RightPIN), protocol.ErrConfig)
	hardware.Broken = broken
	require.ErrorIs(t, open(hardware).Confirm(t.Context(), own, protocoltest.RightPIN), broken)
	require.Equal(t, before, storage.Data)
	require.Equal(t, at, sent)
	hardware.Broken = nil
	require.NoError(t, open(hardware).Confirm(t.Context(), own, protocoltest.RightPIN))
}

// TestLockFails: without a lockbox there is no enrolment, and after a right old PIN the
// request stays pending and the old PIN stays the PIN.
func TestLockFails(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	p.config.Params = pinlock.Params{}
	client, server := protocoltest.Shares()
	o := EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server}
	require.ErrorIs(t, p.Enroll(t.Context(), o), pinlock.ErrParams)
	require.Nil(t, p.state.Data)

	p = newReadyPhone(t, s)
	p.config.Params = pinlock.Params{}
	require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN), pinlock.ErrParams)
	_, err := p.Resume(t.Context())
	require.ErrorIs(t, err, ErrPINUnchanged)
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
}

// TestFileStorageFails: no folder can be where a file is, and no lock where no folder is.
func TestFileStorageFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := NewFileStorage(filepath.Join(file, "folder"))
	require.ErrorContains(t, err, "device: folder")
	folder := filepath.Join(t.TempDir(), "folder")
	f, err := NewFileStorage(folder)
	require.NoError(t, err)
	require.NoError(t, os.Remove(folder))
	_, err = f.Lock()
	require.ErrorContains(t, err, "device: lock")
	require.ErrorIs(t, err, os.ErrNotExist)
}
