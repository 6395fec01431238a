package hsm

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
)

// TestNothing: no nil, zero value or nil context causes a panic or is accepted.
func TestNothing(t *testing.T) {
	token := mustOpenFake(t, newFake(), nil)
	_, err := token.GenerateSealingKey(t.Context(), "seal")
	require.NoError(t, err)
	require.NoError(t, token.GenerateWrappingKey(t.Context(), "wrap"))
	_, err = token.GenerateKey(t.Context(), "rsa", 2048)
	require.NoError(t, err)
	sealer := func() any {
		s, err := token.Sealer(t.Context(), "seal")
		require.NoError(t, err)
		return s
	}
	keys := func() any {
		k, err := token.ServerKeys(t.Context(), "wrap", 2048, 0)
		require.NoError(t, err)
		return k
	}
	key := func() any {
		k, err := token.Key(t.Context(), "rsa")
		require.NoError(t, err)
		return k
	}
	niltest.Check(t, niltest.Package{
		Types: []any{
			(*Token)(nil), (*Key)(nil), (*Sealer)(nil), (*ServerKeys)(nil), (*TokenError)(nil), (*CKR)(nil),
		},
		Values:    []func() any{func() any { return mustOpenFake(t, newFake(), nil) }, sealer, keys, key},
		Functions: map[string]any{"Open": Open},
		Good:      []any{"label", 2048},
	})
	// A method that uses a context refuses to go without one.
	var none context.Context
	_, err = token.Sealer(none, "seal")
	require.ErrorIs(t, err, ErrInput)
	require.ErrorIs(t, token.Close(none), ErrInput)
}
