package server

import (
	"context"
	"crypto"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Interfaces whose methods need a pointer that is not nil.
type (
	pointerStore  struct{ limiter.Store }
	pointerSealer struct{ Sealer }
	pointerKeys   struct{ KeySource }
)

// TestNothing: no nil, zero value or nil in an interface makes a panic, or passes for
// something.
func TestNothing(t *testing.T) {
	s := newService(t)
	server := func() any { return s.node(t) }
	pool := func() any {
		p, err := NewKeyPool(2048, 0)
		require.NoError(t, err)
		return p
	}
	niltest.Check(t, niltest.Package{
		Types:  []any{(*Server)(nil), (*KeyPool)(nil), (*SoftwareSealer)(nil), (*Config)(nil), (*HPKEKeys)(nil), (*Condition)(nil)},
		Values: []func() any{server, pool, func() any { return s.config.Sealer }},
		Functions: map[string]any{
			"New": New, "NewKeyPool": NewKeyPool, "NewSoftwareSealer": NewSoftwareSealer, "NewAuditLog": NewAuditLog, "SignKeyDocument": SignKeyDocument,
			"KeyOfRecord": KeyOfRecord,
		},
		Good: []any{protocoltest.DigestOf("x"), crypto.SHA256, s.config},
		Nils: []any{(*rsa.PSSOptions)(nil)},
	})
	for name, change := range map[string]func(*Config){
		"store": func(c *Config) { c.Store = (*pointerStore)(nil) }, "sealer": func(c *Config) { c.Sealer = (*pointerSealer)(nil) },
		"keys": func(c *Config) { c.Keys = (*pointerKeys)(nil) }, "zero sealer": func(c *Config) { c.Sealer = (*SoftwareSealer)(nil) },
	} {
		config := s.config
		change(&config)
		_, err := New(config)
		require.ErrorIs(t, err, protocol.ErrConfig, name)
	}
	var none context.Context
	_, err := s.Handle(none, nil)
	require.ErrorIs(t, err, ErrRefused)
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
	client, share := protocoltest.Shares()
	err = p.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: share})
	require.ErrorIs(t, err, device.ErrUnanswered)
}
