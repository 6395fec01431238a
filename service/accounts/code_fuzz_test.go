package accounts

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzReadCode: what is read as a code is one, and is read as the same however it is
// written.
func FuzzReadCode(f *testing.F) {
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := readCode(typed)
		if !ok {
			return
		}
		require.Len(t, code, codeLength)
		require.Empty(t, strings.Trim(code, codeAlphabet))
		for _, written := range []string{
			code, strings.ToLower(code), code[:4] + "-" + code[4:8] + " " + code[8:],
			strings.NewReplacer("0", "o", "1", "i").Replace(code),
		} {
			again, ok := readCode(written)
			require.True(t, ok)
			require.Equal(t, code, again)
		}
	})
}

// TestNewCode: what is drawn is read as it is shown, and has all characters.
func TestNewCode(t *testing.T) {
	seen := map[rune]bool{}
	for range 300 {
		shown := newCode()
		code, ok := readCode(shown)
		require.True(t, ok)
		require.Equal(t, strings.ReplaceAll(shown, "-", ""), code)
		require.Len(t, shown, codeLength+codeLength/codeGroup-1)
		for _, c := range code {
			seen[c] = true
		}
	}
	require.Len(t, seen, len(codeAlphabet))
}
