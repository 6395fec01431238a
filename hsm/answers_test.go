package hsm

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
)

// The known answers for exponents in the token come from math/big.
func TestExponentAnswers(t *testing.T) {
	for _, bits := range []int{2048, 3072, 4096} {
		require.Len(t, exponentAnswers[bits], 4)
		for i, want := range exponentAnswers[bits] {
			q := exponentQuestion(bits, i)
			require.NoError(t, checkBase(q.m, q.n))
			y := power(q.n, q.d, q.m)
			require.Equal(t, want, fmt.Sprintf("%x", sha256.Sum256(y)))
			require.Equal(t, i == 3, y[0] == 0 && y[1] == 0, "only the last has leading zeros")
		}
	}
}

// power is m^d mod n by another program.
func power(n, d, m []byte) []byte {
	y := new(big.Int).Exp(new(big.Int).SetBytes(m), new(big.Int).SetBytes(d), new(big.Int).SetBytes(n))
	return y.FillBytes(make([]byte, len(n)))
}
