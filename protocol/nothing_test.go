package protocol

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Interfaces whose methods need a pointer that is not nil.
type (
	pointerStore  struct{ limiter.Store }
	pointerSealer struct{ Sealer }
	pointerKeys   struct{ KeySource }
	pointerState  struct{ State }
)

// TestNothing: no nil, zero value or nil in an interface makes a panic, or passes for something.
func TestNothing(t *testing.T) {
	s := newService(t)
	server := func() any { return s.node(t) }
	device := func() any { return newReadyPhone(t, newService(t)).Device }
	pool := func() any {
		p, err := NewKeyPool(2048, 0)
		require.NoError(t, err)
		return p
	}
	state := func() any {
		f, err := NewFileState(t.TempDir())
		require.NoError(t, err)
		return f
	}
	niltest.Check(t, niltest.Package{
		Types: []any{
			(*Server)(nil), (*Device)(nil), (*KeyPool)(nil), (*SoftwareSealer)(nil), (*FileState)(nil), (*KeyID)(nil), (*DestroyedError)(nil),
			(*Config)(nil), (*HPKEKeys)(nil), (*DeviceConfig)(nil), (*EnrollOptions)(nil), (*Phase)(nil), (*Operation)(nil), (*Reason)(nil), (*Condition)(nil),
		},
		Values: []func() any{server, device, pool, state, func() any { return s.config.Sealer }},
		Functions: map[string]any{
			"NewServer": NewServer, "NewDevice": NewDevice, "NewKeyPool": NewKeyPool, "NewSoftwareSealer": NewSoftwareSealer, "NewFileState": NewFileState,
			"NewAuditLog": NewAuditLog,
			"ParseKeyID":  ParseKeyID, "VerificationCode": VerificationCode, "CodeChoice": CodeChoice, "SignKeyDocument": SignKeyDocument,
		},
		Good: []any{digestOf("x"), crypto.SHA256, rightPIN, s.config},
		Nils: []any{(*rsa.PSSOptions)(nil)},
		May: map[string]string{
			"NewFileState":      "a relative path is meant from the working directory",
			"KeyID.MarshalText": "an id of zeros is an id",
			"Phase.MarshalText": "no key is a phase",
		},
	})
	for name, change := range map[string]func(*Config){
		"store": func(c *Config) { c.Store = (*pointerStore)(nil) }, "sealer": func(c *Config) { c.Sealer = (*pointerSealer)(nil) },
		"keys": func(c *Config) { c.Keys = (*pointerKeys)(nil) }, "zero sealer": func(c *Config) { c.Sealer = (*SoftwareSealer)(nil) },
	} {
		config := s.config
		change(&config)
		_, err := NewServer(config)
		require.ErrorIs(t, err, ErrConfig, name)
	}
	transport := func(context.Context, []byte) ([]byte, error) { panic("sent") }
	for _, state := range []State{nil, (*pointerState)(nil), (*FileState)(nil)} {
		_, err := NewDevice(DeviceConfig{State: state, Transport: transport, ServerKey: s.ServerKey()})
		require.ErrorIs(t, err, ErrConfig)
	}
	_, err := NewDevice(DeviceConfig{State: new(memoryState), Transport: transport, ServerKey: s.ServerKey(), Hardware: (*testHardware)(nil)})
	require.ErrorIs(t, err, ErrConfig)
	var none context.Context
	_, err = s.Handle(none, nil)
	require.ErrorIs(t, err, ErrRefused)
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, share := testShares()
	for _, key := range []*ecdsa.PublicKey{{}, {Curve: elliptic.P256()}, {Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)}} {
		p := newPhone(t, s, transport)
		p.config.Hardware = newTestHardware(t)
		require.ErrorIs(t, p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN, Client: client, Server: share, HardwareKey: key}), ErrHardware)
	}
	for _, o := range []EnrollOptions{{Client: new(splitkey.ClientShare), Server: share}, {Client: client, Server: new(splitkey.ServerShare)},
		{Client: new(splitkey.ClientShare), Server: new(splitkey.ServerShare)}} {
		o.Challenge, o.PIN = challenge, rightPIN
		require.ErrorIs(t, newPhone(t, s, transport).Enroll(t.Context(), o), splitkey.ErrShare)
	}
}

// noKey is a key source that says neither a key nor why.
type noKey struct{}

func (noKey) Bits() int { return 2048 }

func (noKey) NewKey(context.Context) (splitkey.RSAKey, []byte, error) {
	return (*splitkey.SoftwareKey)(nil), []byte("x"), nil
}

func (noKey) LoadKey(context.Context, []byte) (splitkey.RSAKey, error) { return nil, nil }

func TestNoKeyOfTheSource(t *testing.T) {
	s := newService(t, func(c *Config) { c.Keys = noKey{} })
	p := newPhone(t, s, nil)
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, share := testShares()
	err = p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN, Client: client, Server: share})
	require.ErrorIs(t, err, ErrUnanswered)
}
