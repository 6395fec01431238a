package devicelink_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// TestTokenLengths: a relying party's own token may have 24 to 64 characters.
func TestTokenLengths(t *testing.T) {
	secret := secretOf(t)
	for n, ok := range map[int]bool{23: false, 24: true, 64: true, 65: false} {
		s := session(rp.Authentication)
		s.Token = strings.Repeat("a", n)
		_, err := s.Link(secret, rp.FlowQR, 0, "eng")
		require.Equal(t, ok, err == nil, n)
	}
	require.Equal(t, "devicelink.Secret(hidden)", fmt.Sprint(secret))
}

// TestTokensAreUniform: each character of a token is as probable as any other.
func TestTokensAreUniform(t *testing.T) {
	const tokens, letters = 4000, 62
	count := map[rune]int{}
	for range tokens {
		for _, c := range devicelink.NewToken() {
			count[c]++
		}
	}
	require.Len(t, count, letters)
	for c, n := range count {
		// 1548 expected, standard deviation 39: 273 away with a probability below 2^-32.
		require.InDelta(t, tokens*24/letters, n, 273, "%c", c)
	}
}

// TestPartsOfALink: neither the query nor the authCode may be missing.
func TestPartsOfALink(t *testing.T) {
	link, err := session(rp.Authentication).Link(secretOf(t), rp.FlowQR, 0, "eng")
	require.NoError(t, err)
	_, err = devicelink.Parse(link)
	require.NoError(t, err)
	text, code, _ := strings.Cut(link, "&authCode=")
	base, query, _ := strings.Cut(text, "?")
	for _, part := range []string{"", base, query, text, text + "&authCode=", base + "&authCode=" + code, query + "&authCode=" + code, "&authCode=" + code, base + "?" + "&authCode=" + code} {
		_, err := devicelink.Parse(part)
		require.ErrorIs(t, err, devicelink.ErrMalformed, part)
	}
}
