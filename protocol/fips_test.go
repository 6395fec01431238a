package protocol

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/fipstest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestFIPSOnly: in FIPS 140-only mode both parties enrol and sign; what the mode forbids
// is refused before a PIN is used.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	s := newService(t)
	_, err := NewDevice(DeviceConfig{State: new(memoryState), Transport: s.Handle, ServerKey: s.ServerKey(), StorageKey: bytes.Repeat([]byte{3}, 32)})
	require.ErrorIs(t, err, ErrConfig)
	require.ErrorIs(t, err, splitkey.ErrFIPS)

	pool, err := NewKeyPool(2048, 0)
	require.NoError(t, err)
	for _, keys := range []KeySource{nil, pool} {
		s := newService(t, func(c *Config) { c.Keys = keys })
		p := newReadyPhone(t, s)
		_, err = p.sign(t, "x", rightPIN)
		require.NoError(t, err)
		for _, salt := range []int{0, 20, 32} {
			opts := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: salt}
			challenge, err := s.ChallengeSign(t.Context(), p.id, digestOf("y"), opts)
			require.NoError(t, err)
			_, err = p.Sign(t.Context(), challenge, digestOf("y"), opts, rightPIN)
			require.NoError(t, err)
		}
		long := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 33}
		challenge, err := s.ChallengeSign(t.Context(), p.id, digestOf("y"), &rsa.PSSOptions{Hash: crypto.SHA256})
		require.NoError(t, err)
		before := bytes.Clone(p.state.data)
		_, err = p.Sign(t.Context(), challenge, digestOf("y"), long, rightPIN)
		require.ErrorIs(t, err, splitkey.ErrMessage)
		require.ErrorIs(t, err, splitkey.ErrFIPS)
		require.Equal(t, before, p.state.data)
	}
}
