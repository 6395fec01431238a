package protocol_test

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// TestVerificationCode: the worked example of docs/scheme.md, section 9, and its rule
// about zeros.
func TestVerificationCode(t *testing.T) {
	digest := sha256.Sum256([]byte("hello\n"))
	require.Equal(t, "4540", protocol.VerificationCode(digest[:]))
	seen := make(map[byte]bool)
	for i := range 1000 {
		code := protocol.VerificationCode([]byte{byte(i), byte(i >> 8)})
		require.Len(t, code, 4)
		seen[code[0]] = true
	}
	require.Len(t, seen, 10, "every first digit, zero included")
}

// TestCodeChoice: the right code once, three different ones, each place as likely as the
// others.
func TestCodeChoice(t *testing.T) {
	digest := protocoltest.DigestOf("contract")
	right := protocol.VerificationCode(digest)
	var places [3]int
	for range 3000 {
		c := protocol.CodeChoice(digest)
		require.NotEqual(t, c[0], c[1])
		require.NotEqual(t, c[1], c[2])
		require.NotEqual(t, c[0], c[2])
		found := 0
		for i := range c {
			require.Regexp(t, `^[0-9]{4}$`, c[i])
			if c[i] == right {
				places[i]++
				found++
			}
		}
		require.Equal(t, 1, found)
	}
	for _, n := range places {
		// 1000 expected, standard deviation 26: beyond 200 with a probability below
		// 2^-45.
		require.InDelta(t, 1000, n, 200)
	}
	// Two codes that nothing keeps apart are equal once in 10,000: none here with a
	// probability below 2^-28.
	for range 200_000 {
		if c := protocol.CodeChoice(digest); c[0] == c[1] || c[1] == c[2] || c[0] == c[2] {
			require.Fail(t, "two equal codes", c)
		}
	}
}

// TestCodeChoiceOf: any code may be the right one.
func TestCodeChoiceOf(t *testing.T) {
	for _, code := range []string{"0000", "4927", "9999"} {
		c, err := protocol.CodeChoiceOf(code)
		require.NoError(t, err)
		require.Contains(t, c, code)
		require.NotEqual(t, c[0], c[1])
		require.NotEqual(t, c[1], c[2])
		require.NotEqual(t, c[0], c[2])
	}
	for _, code := range []string{"", "123", "12345", "12 4", "+123", "١٢"} {
		_, err := protocol.CodeChoiceOf(code)
		require.ErrorIs(t, err, protocol.ErrMalformed, code)
	}
}

func TestRandomCode(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		code := protocol.RandomCode()
		require.Regexp(t, `^[0-9]{4}$`, code)
		seen[code] = true
	}
	// 1813 different ones expected, standard deviation 12.
	require.Greater(t, len(seen), 1650)
}
