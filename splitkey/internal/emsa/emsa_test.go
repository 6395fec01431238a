package emsa

import (
	"crypto"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

// crypto/rsa's verification is the oracle: with the textbook signature EM^d of a
// key, it accepts exactly the encodings of RFC 8017.
func TestAgainstCryptoRSA(t *testing.T) {
	// With functions, salts and sizes that FIPS 140-only mode forbids.
	fips140.WithoutEnforcement(func() { testAgainstCryptoRSA(t) })
}

func testAgainstCryptoRSA(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	// A modulus of 2041 bits makes EM of EMSA-PSS one byte shorter than n.
	short := keyOfBits(t, 2041)
	for h, f := range functions {
		digest := make([]byte, f.size)
		rand.Read(digest)
		require.NoError(t, CheckDigest(h, digest))
		for _, k := range []*rsa.PrivateKey{key, short} {
			em, err := PKCS1v15(h, digest, k.Size())
			require.NoError(t, err)
			require.NoError(t, rsa.VerifyPKCS1v15(&k.PublicKey, h, digest, raw(k, em)), h)
			emBits := k.N.BitLen() - 1
			for _, n := range []int{0, 1, f.size, MaxSaltLength(h, emBits)} {
				salt := make([]byte, n)
				rand.Read(salt)
				em, err := PSS(h, digest, salt, emBits)
				require.NoError(t, err)
				opts := &rsa.PSSOptions{SaltLength: n}
				if n == 0 {
					opts.SaltLength = rsa.PSSSaltLengthAuto // zero means "find out"
				}
				require.NoError(t, rsa.VerifyPSS(&k.PublicKey, h, digest, raw(k, em), opts), "%v salt %d", h, n)
			}
			_, err = PSS(h, digest, make([]byte, MaxSaltLength(h, emBits)+1), emBits)
			require.ErrorIs(t, err, ErrTooLong)
		}
	}
}

func raw(k *rsa.PrivateKey, em []byte) []byte {
	s := new(big.Int).Exp(new(big.Int).SetBytes(em), k.D, k.N)
	return s.FillBytes(make([]byte, k.Size()))
}

func keyOfBits(t *testing.T, bits int) *rsa.PrivateKey {
	for {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		require.NoError(t, err)
		if k.N.BitLen() == bits {
			return k
		}
	}
}

func TestCheckDigest(t *testing.T) {
	for h, f := range functions {
		for _, n := range []int{0, f.size - 1, f.size + 1} {
			require.ErrorIs(t, CheckDigest(h, make([]byte, n)), ErrDigest)
		}
		require.NoError(t, CheckDigest(h, make([]byte, f.size)))
	}
	for _, h := range []crypto.Hash{0, crypto.MD5, crypto.SHA1, crypto.SHA224, crypto.SHA512_256, crypto.BLAKE2b_256, 99} {
		require.ErrorIs(t, CheckDigest(h, make([]byte, 32)), ErrHash)
	}
}

// TestPKCS1v15Short: the padding has at least eight bytes of 0xff.
func TestPKCS1v15Short(t *testing.T) {
	digest := make([]byte, 32)
	const least = 11 + 19 + 32
	_, err := PKCS1v15(crypto.SHA256, digest, least-1)
	require.ErrorIs(t, err, ErrTooLong)
	em, err := PKCS1v15(crypto.SHA256, digest, least)
	require.NoError(t, err)
	require.Equal(t, "0001ffffffffffffffff0030", fmt.Sprintf("%x", em[:12]))
}
