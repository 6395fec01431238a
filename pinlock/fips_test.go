package pinlock

import (
	"crypto/cipher"
	"crypto/fips140"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tandem-rsa/tandem/internal/fipstest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestFIPSOnly: in FIPS 140-only mode nothing is sealed with XChaCha20-Poly1305, and the
// error says so; a lockbox without a seal opens.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	share, _ := testShares(t, 2048, splitkey.Multiplicative, "TestFIPSOnly")
	b := lockFixed(share, "0846", reduced, "TestFIPSOnly")
	_, err := b.Seal(testStorageKey)
	require.ErrorIs(t, err, splitkey.ErrFIPS)
	require.NotErrorIs(t, err, ErrStorageKey)
	sealed, err := seal(b, testStorageKey)
	require.NoError(t, err)
	_, err = OpenLockbox(sealed, testStorageKey)
	require.ErrorIs(t, err, splitkey.ErrFIPS)
	require.NotErrorIs(t, err, ErrSealed)
	for _, key := range [][]byte{nil, testStorageKey[1:]} {
		_, err = b.Seal(key)
		require.ErrorIs(t, err, ErrStorageKey)
		_, err = OpenLockbox(sealed, key)
		require.ErrorIs(t, err, ErrStorageKey)
	}
	encoded, err := b.MarshalBinary()
	require.NoError(t, err)
	parsed, err := ParseLockbox(encoded)
	require.NoError(t, err)
	opened, err := parsed.Unlock([]byte("0846"), reduced)
	require.NoError(t, err)
	require.Equal(t, share.Secret(), opened.Secret())

	// A key with e = 3 is not for this mode, whatever it is in.
	fips140.WithoutEnforcement(func() {
		pub := share.PublicKey()
		pub.E = 3
		x := share.Secret()
		small, err := splitkey.NewClientShare(pub, splitkey.Additive, x)
		require.NoError(t, err)
		b = lockFixed(small, "0846", reduced, "TestFIPSOnly")
	})
	_, err = b.Unlock([]byte("0846"), reduced)
	require.ErrorIs(t, err, splitkey.ErrFIPS)
}

// Other tests call seal, openSealed and newX, so that they pass in that mode too.

func seal(b *Lockbox, storageKey []byte) (sealed []byte, err error) {
	fips140.WithoutEnforcement(func() { sealed, err = b.Seal(storageKey) })
	return sealed, err
}

func openSealed(sealed, storageKey []byte) (b *Lockbox, err error) {
	fips140.WithoutEnforcement(func() { b, err = OpenLockbox(sealed, storageKey) })
	return b, err
}

func newX(key []byte) (aead cipher.AEAD, err error) {
	fips140.WithoutEnforcement(func() { aead, err = chacha20poly1305.NewX(key) })
	return aead, err
}
