package splitkey_test

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// TestFactorLongerThanModulus: such a factor is refused for its length, before anything
// is computed with it.
func TestFactorLongerThanModulus(t *testing.T) {
	for i := range 2 {
		key := *splitkeytest.Key(2048)
		key.Primes = append([]*big.Int(nil), key.Primes...)
		long := new(big.Int).Lsh(key.N, 1)
		key.Primes[i] = long.SetBit(long, 0, 1)
		_, _, err := splitkey.Split(&key, splitkey.Additive)
		require.ErrorIs(t, err, splitkey.ErrKey)
		require.ErrorContains(t, err, "longer than the modulus")
	}
}
