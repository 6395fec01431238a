package server

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// smallestFit is the least modulus of 2048 bits that makes a composite of full length
// with every server key: 2^2055/168, rounded up.
func smallestFit() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), 2055)
	return n.Add(n, big.NewInt(0xa8-1)).Div(n, big.NewInt(0xa8))
}

// rough returns the first number from n on that the server takes for a modulus.
func rough(t *testing.T, n *big.Int) *big.Int {
	n = new(big.Int).SetBit(n, 0, 1)
	for ; ; n.Add(n, two) {
		if share, err := splitkey.ParseServerShare(shareFor(t, n)); err == nil && splitkey.CheckModulus(share.PublicKey()) == nil {
			return n
		}
	}
}

// withExponent changes the last byte of the exponent of an encoded share.
func withExponent(t *testing.T, share []byte, e byte) []byte {
	require.Equal(t, []byte{0, 1, 0, 1}, share[6:10])
	copy(share[6:10], []byte{0, 1, 0, e})
	return share
}

// TestMakesFullLength: from the bound on, n1*n2 has full length for the smallest n2 of a
// KeySource; below it, not for each. The smallest modulus that package splitkey makes is
// above.
func TestMakesFullLength(t *testing.T) {
	for _, bits := range []int{2048, 3072, 4096} {
		least := splitkey.LeastServerModulus(bits)
		half := uint(bits / 2)
		p := new(big.Int).Lsh(big.NewInt(7), half-3)
		require.True(t, makesFullLength(new(big.Int).Mul(p, p)))
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits+7))
		n.Div(n, big.NewInt(0xa8))
		for range 3 {
			require.Equal(t, bits, n.BitLen())
			require.Equal(t, new(big.Int).Mul(n, least).BitLen() == 2*bits, makesFullLength(n))
			n.Add(n, big.NewInt(1))
		}
		require.True(t, makesFullLength(n))
		require.False(t, makesFullLength(new(big.Int).Lsh(big.NewInt(1), uint(bits-1))))
	}
}

// TestRefusedBeforeAKeyIsDrawn: what cannot be enrolled costs no server key, however
// often it is sent, and is refused for the same reason each time.
func TestRefusedBeforeAKeyIsDrawn(t *testing.T) {
	keys := new(countingKeys)
	store := new(protocoltest.CountingStore)
	s := newService(t, countKeys(keys), func(c *Config) { store.Store = c.Store; c.Store = store })
	newReadyPhone(t, s)
	keys.drawn.Store(0)
	_, server := protocoltest.Shares()
	n := server.PublicKey().N
	least := smallestFit()
	for name, c := range map[string]struct {
		share []byte
		want  wire.Refusal
	}{
		"just above 2^2047": {shareFor(t, rough(t, new(big.Int).Lsh(big.NewInt(1), 2047))), wire.RefusedSmall},
		"just too small":    {shareFor(t, rough(t, new(big.Int).Sub(least, big.NewInt(100_000)))), wire.RefusedSmall},
		"too long":          {shareFor(t, rough(t, splitkeytest.Key(3072).N)), wire.RefusedLength},
		"another exponent":  {withExponent(t, shareFor(t, n), 3), wire.RefusedFactor},
		"even":              {shareFor(t, new(big.Int).SetBit(n, 0, 0)), wire.RefusedModulus},
		"no share":          {nil, wire.RefusedModulus},
		"enrolled already":  {server.Bytes(), wire.RefusedEnrolled},
	} {
		id, challenge, err := s.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		plaintext := protocoltest.EnrollmentOf(t, challenge, c.share)
		store.Writes = 0
		for range 3 {
			a := exchange(t, s, protocol.OpEnroll, id, plaintext)
			require.Equal(t, wire.CodeKeyRefused, a.Code, name)
			require.Equal(t, c.want, a.Refusal, name)
			require.NotContains(t, a.Refusal.String(), "Refusal(", name)
		}
		require.Zero(t, keys.drawn.Load(), name)
		require.Zero(t, store.Writes, name)
	}
	// One that is just large enough takes one key, and the first.
	a := enrollKey(t, s, shareFor(t, rough(t, least)))
	require.Equal(t, wire.CodeEnrolled, a.Code)
	require.EqualValues(t, 1, keys.drawn.Load())
	require.Equal(t, 4096, a.Public.N.BitLen())
}
