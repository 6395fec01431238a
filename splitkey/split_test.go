package splitkey_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
)

// TestSplitEverySize splits an ordinary key of every accepted size modulo 64 bits.
func TestSplitEverySize(t *testing.T) {
	step := 8
	if testing.Short() {
		step = 32
	}
	for bits := 2048; bits <= 2112; bits += step {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			key, err := rsa.GenerateKey(rand.Reader, bits)
			require.NoError(t, err)
			c, s, err := splitkey.Split(key, splitkey.Additive)
			require.NoError(t, err)
			requireSharesFit(t, key, splitkey.Additive, c.Secret(), s.Secret())
		})
	}
}
