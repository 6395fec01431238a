package server

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestRevoke erases the share; the device is told why.
func TestRevoke(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	require.NoError(t, s.Revoke(t.Context(), p.id, "phone reported stolen"))
	require.NoError(t, s.Revoke(t.Context(), p.id, "again"))
	require.Contains(t, s.logged(), "phone reported stolen")
	require.Empty(t, loadRecord(t, s, p.id).sealedShare)
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	var dead *protocol.DestroyedError
	require.ErrorAs(t, err, &dead)
	require.Equal(t, protocol.ReasonRevoked, dead.Reason)
	require.ErrorIs(t, s.Revoke(t.Context(), protocol.KeyID{}, "x"), ErrUnknownKey)
	_, err = s.Status(t.Context(), protocol.KeyID{})
	require.ErrorIs(t, err, ErrUnknownKey)
}

// TestReseal: after a rotation of the sealer's key and Reseal the old key is not needed
// any more, for living and dead keys.
func TestReseal(t *testing.T) {
	oldKey, newKey := bytes.Repeat([]byte{7}, SealerKeySize), bytes.Repeat([]byte{8}, SealerKeySize)
	seals := func(keys ...[]byte) func(*Config) {
		return func(c *Config) {
			sealer, err := NewSoftwareSealer(keys[0], keys[1:]...)
			require.NoError(t, err)
			c.Sealer = sealer
		}
	}
	s := newService(t, seals(oldKey))
	p := newReadyPhone(t, s)
	s.Server = s.node(t, seals(newKey))
	_, err := p.sign(t, "too early", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.ErrorIs(t, err, ErrRefused, "what cannot be authenticated is not answered")
	require.ErrorIs(t, s.Reseal(t.Context(), p.id), ErrSealed)

	s.Server = s.node(t, seals(newKey, oldKey))
	require.NoError(t, s.Reseal(t.Context(), p.id))
	require.ErrorIs(t, s.Reseal(t.Context(), protocol.KeyID{}), ErrUnknownKey)
	s.Server = s.node(t, seals(newKey))
	_, err = p.Resume(t.Context())
	require.NoError(t, err)

	require.NoError(t, s.Revoke(t.Context(), p.id, "x"))
	s.Server = s.node(t, seals(oldKey, newKey))
	require.NoError(t, s.Reseal(t.Context(), p.id))
	s.Server = s.node(t, seals(oldKey))
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, limiter.ErrDestroyed)
}

// bitsOf is a KeySource that says that its keys have so many bits.
type bitsOf int

func (b bitsOf) Bits() int { return int(b) }

func (bitsOf) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	return protocoltest.FixedKeys{}.NewKey(ctx)
}

func (bitsOf) LoadKey(ctx context.Context, blob []byte) (splitkey.RSAKey, error) {
	return protocoltest.FixedKeys{}.LoadKey(ctx, blob)
}

// TestServerConfigIsChecked: what cannot work is an error, not a default.
func TestServerConfigIsChecked(t *testing.T) {
	good := newService(t).config
	for name, change := range map[string]func(*Config){
		"store":          func(c *Config) { c.Store = nil },
		"policy":         func(c *Config) { c.Policy = nil },
		"sealer":         func(c *Config) { c.Sealer = nil },
		"server keys":    func(c *Config) { c.Keys = bitsOf(1024) },
		"longer keys":    func(c *Config) { c.Keys = bitsOf(4104) },
		"odd keys":       func(c *Config) { c.Keys = bitsOf(2049) },
		"zero HPKE":      func(c *Config) { c.HPKE.Current = zeroHPKE(t) },
		"zero retiring":  func(c *Config) { c.HPKE.Retiring = []hpke.PrivateKey{zeroHPKE(t)} },
		"zero challenge": func(c *Config) { c.ChallengeKey = make([]byte, 32) },
		"HPKE":           func(c *Config) { c.HPKE = HPKEKeys{} },
		"other KEM":      func(c *Config) { c.HPKE.Current, _ = hpke.DHKEM(ecdh.X25519()).GenerateKey() },
		"challenge key":  func(c *Config) { c.ChallengeKey = make([]byte, 16) },
		"challenge life": func(c *Config) { c.ChallengeLife = 2 * time.Hour },
		"fraction of ms": func(c *Config) { c.ChallengeLife = 3 * time.Millisecond / 2 },
		"nil sink":       func(c *Config) { c.Audit = (*sink)(nil) },
		"negative life":  func(c *Config) { c.ChallengeLife = -1 },
		"short lock": func(c *Config) {
			c.Policy = limiter.Policy{{Tries: 1, Lock: time.Minute}, {Tries: 1, Lock: limiter.Forever}}
		},
		"pending life": func(c *Config) { c.PendingLife = 31 * 24 * time.Hour },
		"no document":  func(c *Config) { c.HPKE.Document = make([]byte, wire.KeyDocumentSize) },
		"other document": func(c *Config) {
			c.HPKE.Document = protocoltest.DocumentOf(t, 1, protocoltest.NewHPKE(t).PublicKey().Bytes())
		},
	} {
		bad := good
		change(&bad)
		_, err := New(bad)
		require.ErrorIs(t, err, protocol.ErrConfig, name)
	}
	longest := good
	longest.PendingLife = 30 * 24 * time.Hour
	_, err := New(longest)
	require.NoError(t, err)
	_, err = NewSoftwareSealer(bytes.Repeat([]byte{1}, 16))
	require.ErrorIs(t, err, protocol.ErrConfig)
	_, err = NewSoftwareSealer(make([]byte, 32))
	require.ErrorIs(t, err, protocol.ErrConfig)
	_, err = NewSoftwareSealer(bytes.Repeat([]byte{1}, 32), make([]byte, 32))
	require.ErrorIs(t, err, protocol.ErrConfig)
}

// zeroHPKE is the key of somebody who forgot to fill in its bytes.
func zeroHPKE(t *testing.T) hpke.PrivateKey {
	key, err := wire.KEM.NewPrivateKey(make([]byte, 32))
	require.NoError(t, err)
	return key
}

// TestDamagedRecord: a record that cannot be read is a failure, not a fresh start.
func TestDamagedRecord(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	value, version, err := s.store.Load(t.Context(), recordID(p.id))
	require.NoError(t, err)
	require.NoError(t, s.store.Swap(t.Context(), recordID(p.id), version, value[:len(value)-1]))
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.True(t, errors.Is(err, ErrRefused))
	require.Contains(t, s.logged(), "level=ERROR msg=\"request refused\"")
	_, err = s.Status(t.Context(), p.id)
	require.ErrorIs(t, err, ErrRecord)
	require.ErrorIs(t, s.Revoke(t.Context(), p.id, "x"), ErrRecord)
	require.ErrorIs(t, s.Reseal(t.Context(), p.id), ErrRecord)
}

// TestConfirmAgain: a wrong PIN can be corrected with the challenge of the enrolment's
// answer while it lives, and not after.
func TestConfirmAgain(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	p.enroll(t)
	var wrong *limiter.WrongPINError
	require.ErrorAs(t, p.Confirm(t.Context(), nil, protocoltest.WrongPIN), &wrong)
	s.clock.Add(DefaultChallengeLife)
	require.ErrorContains(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN), "the challenge has expired")
	require.ErrorIs(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN), protocol.ErrMalformed)
	require.NoError(t, p.Confirm(t.Context(), p.challenge(t), protocoltest.RightPIN))
}

// TestKeyOfRecord: a sweep over the store's ids finds each key, and nothing else.
func TestKeyOfRecord(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	found, ok := KeyOfRecord(recordID(p.id))
	require.True(t, ok)
	require.Equal(t, p.id, found)
	_, share := protocoltest.Shares()
	for _, other := range []string{"", "key/", "key/00", recordID(p.id) + "0", " " + recordID(p.id), p.id.String(), spentID(p.id), indexID(share)} {
		_, ok := KeyOfRecord(other)
		require.False(t, ok, other)
	}
}
