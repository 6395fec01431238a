//go:build cgo && unix && !nopkcs11

package hsmsigner_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha512"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/hsm/hsmtest"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/hsmsigner"
)

// newKey makes a key of 3072 bits in a token.
func newKey(t *testing.T) *hsm.Key {
	token := hsmtest.SoftHSM(t)
	open, err := hsm.Open(t.Context(), hsm.Config{
		Module: token.Module, Label: token.Label, Sessions: 1, PIN: func(context.Context) ([]byte, error) { return []byte(token.PIN), nil },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, open.Close(context.Background())) })
	key, err := open.GenerateKey(t.Context(), "issuing", 3072)
	require.NoError(t, err)
	return key
}

// TestSign: what the token signs verifies, and it signs nothing but digests.
func TestSign(t *testing.T) {
	signer, err := hsmsigner.New(newKey(t))
	require.NoError(t, err)
	public := signer.Public().(*rsa.PublicKey)
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		digest := make([]byte, hash.Size())
		rand.Read(digest)
		signature, err := signer.Sign(nil, digest, hash)
		require.NoError(t, err)
		require.NoError(t, rsa.VerifyPKCS1v15(public, hash, digest, signature))
		for _, other := range [][]byte{nil, digest[1:], append(digest, 0)} {
			_, err = signer.Sign(nil, other, hash)
			require.ErrorIs(t, err, hsmsigner.ErrUnsupported)
		}
		_, err = signer.Sign(rand.Reader, digest, &rsa.PSSOptions{Hash: hash})
		require.ErrorIs(t, err, hsmsigner.ErrUnsupported)
	}
	for _, hash := range []crypto.Hash{0, crypto.SHA1} {
		_, err = signer.Sign(nil, make([]byte, 20), hash)
		require.ErrorIs(t, err, hsmsigner.ErrUnsupported)
	}

	// A root and an issuing CA, both under this key.
	root, err := ca.NewRoot(signer, ca.TestName("root"), 0)
	require.NoError(t, err)
	issuing, err := ca.NewIssuing(root, signer, signer.Public(), ca.TestName("issuing"), 0)
	require.NoError(t, err)
	require.NoError(t, issuing.CheckSignatureFrom(root))
}

// TestPing: a token that does not answer any more is found without a signature.
func TestPing(t *testing.T) {
	token := hsmtest.SoftHSM(t)
	open, err := hsm.Open(t.Context(), hsm.Config{
		Module: token.Module, Label: token.Label, Sessions: 1, PIN: func(context.Context) ([]byte, error) { return []byte(token.PIN), nil },
	})
	require.NoError(t, err)
	key, err := open.GenerateKey(t.Context(), "issuing", 3072)
	require.NoError(t, err)
	signer, err := hsmsigner.New(key)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, signer.Ping(t.Context()))
	}
	require.NoError(t, open.Close(context.Background()))
	require.ErrorIs(t, signer.Ping(t.Context()), hsm.ErrClosed)
}
