package hsmsigner_test

import (
	"crypto"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/service/ca/hsmsigner"
)

// TestNothing: no nil or zero value causes a panic or is accepted.
func TestNothing(t *testing.T) {
	for _, key := range []*hsm.Key{nil, {}} {
		_, err := hsmsigner.New(key)
		require.Error(t, err)
	}
	for _, s := range []*hsmsigner.Signer{nil, {}} {
		_, err := s.Sign(nil, make([]byte, 32), crypto.SHA256)
		require.ErrorIs(t, err, hsmsigner.ErrUnsupported)
		require.ErrorIs(t, s.Ping(t.Context()), hsmsigner.ErrUnsupported)
		require.Nil(t, s.Public().(*rsa.PublicKey))
	}
	_, err := new(hsmsigner.Signer).Sign(nil, nil, nil)
	require.ErrorIs(t, err, hsmsigner.ErrUnsupported)
}
