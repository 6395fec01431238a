package printtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type planted struct{ Secret []byte }

// TestPlanted finds what everything(v) shows of a type that hides nothing.
func TestPlanted(t *testing.T) {
	secret := []byte("0123456789abcdefghijklmn")
	for how, out := range everything(planted{secret}) {
		shown := false
		for _, form := range Forms(secret) {
			shown = shown || strings.Contains(out, form)
		}
		switch strings.Fields(how)[0] {
		case "%v", "%+v", "%#v", "%s", "%x", "%d", "error", "slog":
			require.True(t, shown, "%s: %s", how, out)
		}
	}
	all := everything(planted{secret})
	require.Contains(t, all["json"], "MDEyMzQ1")
	require.Contains(t, all["gob"], string(secret))
	require.Contains(t, all["panic"], "48 49 50")
}
