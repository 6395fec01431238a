package device

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hpke"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// rotated is a node with a new HPKE key, named in a document, and with those that still
// decrypt.
func (s *service) rotated(t *testing.T, serial uint64, retiring ...hpke.PrivateKey) (*server.Server, hpke.PrivateKey, []byte) {
	key := protocoltest.NewHPKE(t)
	document := protocoltest.DocumentOf(t, serial, key.PublicKey().Bytes())
	return s.node(t, func(c *server.Config) { c.HPKE = server.HPKEKeys{Current: key, Retiring: retiring, Document: document} }), key, document
}

// TestHPKEKeyRotates: a device takes the document that comes with an answer, and uses its
// key from then on; the old key is dropped, and what was recorded cannot be opened any
// more. No answer carries a document that the device has.
func TestHPKEKeyRotates(t *testing.T) {
	s := newService(t)
	var requests, responses [][]byte
	p := newPhone(t, s, func(ctx context.Context, request []byte) ([]byte, error) {
		response, err := s.Handle(ctx, request)
		requests, responses = append(requests, request), append(responses, response)
		return response, err
	})
	p.config.Authority = protocoltest.Authority.Public().(ed25519.PublicKey)
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	used := func() wire.HPKEKeyID {
		require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
		e, err := wire.ParseEnvelope(requests[len(requests)-1])
		require.NoError(t, err)
		return e.HPKEKey
	}
	old := s.config.HPKE.Current
	require.Equal(t, wire.HPKEKeyIDOf(old.PublicKey().Bytes()), used())
	node, next, _ := s.rotated(t, 7, old)
	s.Server = node
	require.Equal(t, wire.HPKEKeyIDOf(old.PublicKey().Bytes()), used(), "it hears of the new one")
	long := len(responses[len(responses)-1])
	require.Equal(t, wire.HPKEKeyIDOf(next.PublicKey().Bytes()), used())
	require.Equal(t, long-wire.KeyDocumentSize, len(responses[len(responses)-1]))
	s.Server = s.node(t, func(c *server.Config) { c.HPKE = server.HPKEKeys{Current: next} })
	_, err := s.Handle(t.Context(), requests[0])
	require.ErrorIs(t, err, server.ErrRefused)
	require.Equal(t, wire.HPKEKeyIDOf(next.PublicKey().Bytes()), used())
}

// TestAwayForAYear: all keys changed meanwhile. With the document that came with the
// challenge the phone signs at its first try; and one that had a request pending cancels
// it.
func TestAwayForAYear(t *testing.T) {
	for _, pending := range []bool{false, true} {
		s := newService(t)
		p, l := newLossyPhone(t, s)
		p.config.Authority = protocoltest.Authority.Public().(ed25519.PublicKey)
		if pending {
			l.loseRequest = true
			_, err := p.sign(t, "lost", protocoltest.RightPIN)
			require.ErrorIs(t, err, ErrUnanswered)
			l.loseRequest = false
		}
		for serial := range uint64(3) {
			s.clock.Add(122 * 24 * time.Hour)
			s.Server, _, _ = s.rotated(t, serial)
		}
		var document []byte
		s.Server, _, document = s.rotated(t, 3)
		restarted, err := New(Config{Storage: p.state, Transport: l.transport, HPKEKey: p.config.HPKEKey, Params: protocoltest.Cheapest, Authority: p.config.Authority})
		require.NoError(t, err)
		p.Device = restarted
		require.NoError(t, p.UseKeyDocument(document))
		_, err = p.sign(t, "after a year", protocoltest.RightPIN)
		require.NoError(t, err)
	}
}

// TestKeyDocumentIsChecked: one of another authority, a damaged one and an older one are
// refused, and change nothing; the same one again is fine. A device without an authority
// takes none.
func TestKeyDocumentIsChecked(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	key := protocoltest.NewHPKE(t).PublicKey().Bytes()
	good := protocoltest.DocumentOf(t, 5, key)
	require.ErrorIs(t, p.UseKeyDocument(good), protocol.ErrConfig)
	p.config.Authority = protocoltest.Authority.Public().(ed25519.PublicKey)
	require.NoError(t, p.UseKeyDocument(good))
	require.NoError(t, p.UseKeyDocument(good))
	before := bytes.Clone(p.state.Data)
	foreign, err := server.SignKeyDocument(ed25519.NewKeyFromSeed(make([]byte, 32)), 6, key)
	require.NoError(t, err)
	bad := [][]byte{nil, good[1:], append(bytes.Clone(good), 0), foreign, protocoltest.DocumentOf(t, 4, s.HPKEKey())}
	for i := 0; i < len(good); i += 97 {
		damaged := bytes.Clone(good)
		damaged[i] ^= 1
		bad = append(bad, damaged)
	}
	zeros := binary.BigEndian.AppendUint64([]byte{wire.Version}, 6)
	zeros = append(zeros, make([]byte, wire.HPKEKeySize)...)
	bad = append(bad, append(zeros, ed25519.Sign(protocoltest.Authority, append([]byte("tandem v2 key document"), zeros...))...))
	for _, document := range bad {
		require.ErrorIs(t, p.UseKeyDocument(document), protocol.ErrMalformed)
		require.Equal(t, before, p.state.Data)
	}
	_, err = server.SignKeyDocument(protocoltest.Authority, 1, key[1:])
	require.ErrorIs(t, err, protocol.ErrConfig)
	_, err = server.SignKeyDocument(protocoltest.Authority, 1, make([]byte, len(key)))
	require.ErrorIs(t, err, protocol.ErrConfig)
	_, err = server.SignKeyDocument(nil, 1, key)
	require.ErrorIs(t, err, protocol.ErrConfig)
	_, err = New(Config{Storage: p.state, Transport: s.Handle, HPKEKey: s.HPKEKey(), Authority: make([]byte, 31)})
	require.ErrorIs(t, err, protocol.ErrConfig)
}

// TestForgedKey: a copier of a state with a request pending can forge that request's
// answer, and not the key that the next one is encrypted to: he would read its partial
// signature, and test every PIN with it.
func TestForgedKey(t *testing.T) {
	s := newService(t)
	for _, authority := range []ed25519.PublicKey{nil, protocoltest.Authority.Public().(ed25519.PublicKey)} {
		p := newPhone(t, s, nil)
		p.enrollAnew(t)
		p.config.Authority = authority
		theirs, err := server.SignKeyDocument(ed25519.NewKeyFromSeed(make([]byte, 32)), 1<<40, protocoltest.NewHPKE(t).PublicKey().Bytes())
		require.NoError(t, err)
		p.config.Transport = func(context.Context, []byte) ([]byte, error) {
			forged := &wire.Answer{Code: wire.CodeRight, Document: theirs}
			plaintext, err := forged.Encode()
			require.NoError(t, err)
			return copyOf(t, p).stored(t).pending.responseKey().Seal(plaintext)
		}
		require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
		require.Equal(t, s.HPKEKey(), p.stored(t).hpkeKey)
	}
}

// enrollAnew enrols a key of its own.
func (p *phone) enrollAnew(t *testing.T) {
	id, challenge, err := p.service.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN}))
	p.id = id
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
}

// TestUpdateAndDocument: of the keys that apps and documents brought the one with the
// highest serial is used, in whatever order they came. Where an update and a document
// have the same serial, the later one is.
func TestUpdateAndDocument(t *testing.T) {
	s := newService(t)
	authority := protocoltest.Authority.Public().(ed25519.PublicKey)
	leaked, next := protocoltest.NewHPKE(t).PublicKey().Bytes(), protocoltest.NewHPKE(t).PublicKey().Bytes()
	p := newReadyPhone(t, s)
	open := func(hpkeKey []byte, serial uint64, authority ed25519.PublicKey) *Device {
		d, err := New(Config{Storage: p.state.Copy(), Transport: s.Handle, HPKEKey: hpkeKey, Serial: serial, Authority: authority, Params: protocoltest.Cheapest})
		require.NoError(t, err)
		return d
	}
	used := func(d *Device) []byte {
		st, err := d.load()
		require.NoError(t, err)
		return st.hpkeKey
	}
	p.config.Authority = authority
	require.NoError(t, p.UseKeyDocument(protocoltest.DocumentOf(t, 5, leaked)))
	for serial, want := range map[uint64][]byte{0: leaked, 4: leaked, 5: next, 6: next} {
		updated := open(next, serial, authority)
		require.Equal(t, want, used(updated), serial)
		err := updated.UseKeyDocument(protocoltest.DocumentOf(t, 5, leaked))
		if serial == 6 {
			require.ErrorIs(t, err, protocol.ErrMalformed)
			require.Equal(t, next, used(updated))
		} else {
			require.NoError(t, err)
			require.Equal(t, leaked, used(updated))
		}
		require.ErrorIs(t, updated.UseKeyDocument(protocoltest.DocumentOf(t, 4, next)), protocol.ErrMalformed)
		require.NoError(t, updated.UseKeyDocument(protocoltest.DocumentOf(t, 6, next)))
		require.Equal(t, next, used(updated))
	}

	// The key that was shipped before, with a higher serial; and an app that has no
	// authority any more.
	require.Equal(t, s.HPKEKey(), used(open(s.HPKEKey(), 6, authority)))
	require.Equal(t, leaked, used(open(s.HPKEKey(), 5, authority)))
	without := open(next, 0, nil)
	require.Equal(t, next, used(without))
	st, err := without.load()
	require.NoError(t, err)
	require.Equal(t, uint64(5), st.serial, "for the authority that an update brings back")
}

// TestSerialIsKept: what an update brought outlives the app that brought it. An older
// app, as a backup has it, leads nobody back.
func TestSerialIsKept(t *testing.T) {
	s := newService(t)
	authority := protocoltest.Authority.Public().(ed25519.PublicKey)
	p, next := newReadyPhone(t, s), protocoltest.NewHPKE(t)
	old := p.config
	old.Authority, old.Serial = authority, 1
	updated := old
	updated.HPKEKey, updated.Serial = next.PublicKey().Bytes(), 2
	for _, c := range []Config{updated, old} {
		d, err := New(c)
		require.NoError(t, err)
		if c.Serial == 2 { // whatever it saves
			require.ErrorIs(t, d.Refresh(t.Context(), p.challenge(t)), ErrUnanswered)
		}
		st, err := d.load()
		require.NoError(t, err)
		require.Equal(t, next.PublicKey().Bytes(), st.hpkeKey)
		require.Equal(t, uint64(2), st.serial)
	}
}
