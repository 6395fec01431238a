package server

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/fipstest"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestFIPSOnly: in FIPS 140-only mode both parties enrol and sign; what the mode forbids
// is refused before a PIN is used.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	s := newService(t)
	_, err := device.New(device.Config{Storage: new(protocoltest.MemoryStorage), Transport: s.Handle, HPKEKey: s.HPKEKey(), StorageKey: bytes.Repeat([]byte{3}, 32)})
	require.ErrorIs(t, err, protocol.ErrConfig)
	require.ErrorIs(t, err, splitkey.ErrFIPS)

	pool, err := NewKeyPool(2048, 0)
	require.NoError(t, err)
	for _, keys := range []KeySource{nil, pool} {
		s := newService(t, func(c *Config) { c.Keys = keys })
		p := newReadyPhone(t, s)
		_, err = p.sign(t, "x", protocoltest.RightPIN)
		require.NoError(t, err)
		for _, salt := range []int{0, 20, 32} {
			opts := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: salt}
			challenge, err := s.ChallengeSign(t.Context(), p.id, protocoltest.DigestOf("y"), opts)
			require.NoError(t, err)
			_, err = p.Sign(t.Context(), challenge, protocoltest.DigestOf("y"), opts, protocoltest.RightPIN)
			require.NoError(t, err)
		}
		long := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 33}
		challenge, err := s.ChallengeSign(t.Context(), p.id, protocoltest.DigestOf("y"), &rsa.PSSOptions{Hash: crypto.SHA256})
		require.NoError(t, err)
		before := bytes.Clone(p.state.Data)
		_, err = p.Sign(t.Context(), challenge, protocoltest.DigestOf("y"), long, protocoltest.RightPIN)
		require.ErrorIs(t, err, splitkey.ErrMessage)
		require.ErrorIs(t, err, splitkey.ErrFIPS)
		require.Equal(t, before, p.state.Data)
	}
}
