package device

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
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// pointerStorage has methods that need a pointer that is not nil.
type pointerStorage struct{ Storage }

// TestNothing: no nil, zero value or nil in an interface makes a panic, or passes for
// something.
func TestNothing(t *testing.T) {
	s := newService(t)
	phone := func() any { return newReadyPhone(t, newService(t)).Device }
	folder := func() any {
		f, err := NewFileStorage(t.TempDir())
		require.NoError(t, err)
		return f
	}
	signer := func() any {
		s, _ := newSigner(t, newReadyPhone(t, newService(t)))
		return s
	}
	niltest.Check(t, niltest.Package{
		Types:     []any{(*Device)(nil), (*FileStorage)(nil), (*Config)(nil), (*EnrollOptions)(nil), (*Phase)(nil), (*Signer)(nil)},
		Values:    []func() any{phone, folder, signer},
		Functions: map[string]any{"New": New, "NewFileStorage": NewFileStorage},
		Good:      []any{protocoltest.DigestOf("x"), crypto.SHA256, protocoltest.RightPIN},
		Nils:      []any{(*rsa.PSSOptions)(nil)},
		May: map[string]string{
			"NewFileStorage":       "a relative path is meant from the working directory",
			"Phase.MarshalText":    "no key is a phase",
			"Signer.Err":           "no signature, no error",
			"Signer.Sign:0":        "the reader is not used",
			"Signer.SignMessage:0": "the reader is not used",
		},
	})
	transport := func(context.Context, []byte) ([]byte, error) { panic("sent") }
	for _, state := range []Storage{nil, (*pointerStorage)(nil), (*FileStorage)(nil)} {
		_, err := New(Config{Storage: state, Transport: transport, HPKEKey: s.HPKEKey()})
		require.ErrorIs(t, err, protocol.ErrConfig)
	}
	_, err := New(Config{Storage: new(protocoltest.MemoryStorage), Transport: transport, HPKEKey: s.HPKEKey(), Hardware: (*protocoltest.Hardware)(nil)})
	require.ErrorIs(t, err, protocol.ErrConfig)
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, share := protocoltest.Shares()
	for _, key := range []ecdsa.PublicKey{{}, {Curve: elliptic.P256()}, {Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)}} {
		_, err := New(Config{Storage: new(protocoltest.MemoryStorage), Transport: transport, HPKEKey: s.HPKEKey(),
			Hardware: &protocoltest.Hardware{Key: &ecdsa.PrivateKey{PublicKey: key}}})
		require.ErrorIs(t, err, protocol.ErrConfig)
	}
	for _, o := range []EnrollOptions{{Client: new(splitkey.ClientShare), Server: share}, {Client: client, Server: new(splitkey.ServerShare)},
		{Client: new(splitkey.ClientShare), Server: new(splitkey.ServerShare)}} {
		o.Challenge, o.PIN = challenge, protocoltest.RightPIN
		require.ErrorIs(t, newPhone(t, s, transport).Enroll(t.Context(), o), splitkey.ErrShare)
	}
}
