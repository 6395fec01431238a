package splitkey_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

var sharings = []splitkey.Sharing{splitkey.Multiplicative, splitkey.Additive}

var hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512}

func digestFor(h crypto.Hash, text string) []byte {
	hh := h.New()
	hh.Write([]byte(text))
	return hh.Sum(nil)
}

// TestSameAsCryptoRSA: both sharings, all sizes and hashes: the PKCS #1 v1.5 signature is
// byte for byte what crypto/rsa makes with the whole key.
func TestSameAsCryptoRSA(t *testing.T) {
	for _, bits := range []int{2048, 3072, 4096} {
		for _, s := range sharings {
			t.Run(fmt.Sprintf("%d/%v", bits, s), func(t *testing.T) {
				t.Parallel()
				key := splitkeytest.Key(bits)
				c, srv, err := splitkey.Split(key, s)
				require.NoError(t, err)
				completer, err := splitkey.NewCompleter(srv, nil)
				require.NoError(t, err)
				require.True(t, key.PublicKey.Equal(completer.PublicKey()))
				for i, h := range hashes {
					if bits > 2048 && i > 0 && i != len(hashes)-1 {
						continue // the hash only changes EM: two of them do for the slow sizes
					}
					digest := digestFor(h, "text")
					m, err := splitkey.Encode(&key.PublicKey, digest, h)
					require.NoError(t, err)
					y, err := c.SignPartial(m)
					require.NoError(t, err)
					require.Len(t, y, bits/8)
					sig, err := completer.Complete(context.Background(), m, y)
					require.NoError(t, err)
					want, err := rsa.SignPKCS1v15(rand.Reader, key, h, digest)
					require.NoError(t, err)
					require.Equal(t, want, sig)
				}
			})
		}
	}
}
