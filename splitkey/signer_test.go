package splitkey_test

import (
	"crypto"
	"crypto/rsa"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestSignerKeepsKey: what a signer keeps from its first signature serves the next ones,
// and the caller cannot change it.
func TestSignerKeepsKey(t *testing.T) {
	p := splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, splitkeytest.ServerKey(2048))
	s := p.client.Signer(t.Context(), p.final(), p.complete)
	p.final().PublicKey().N.SetInt64(15)
	for range 3 {
		digest := digestFor(crypto.SHA256, "x")
		sig, err := s.Sign(nil, digest, crypto.SHA256)
		require.NoError(t, err)
		require.NoError(t, rsa.VerifyPKCS1v15(p.pub(), crypto.SHA256, digest, sig))
	}
}

func TestSignerWithoutKey(t *testing.T) {
	p := splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, nil)
	for _, key := range []*splitkey.FinalKey{nil, {}} {
		_, err := p.client.Signer(t.Context(), key, p.complete).Sign(nil, digestFor(crypto.SHA256, "x"), crypto.SHA256)
		require.ErrorIs(t, err, splitkey.ErrKey)
	}
}
