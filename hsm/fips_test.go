package hsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/fipstest"
)

// TestFIPSOnly: in FIPS 140-only mode a token seals and signs.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	token := mustOpenFake(t, newFake(), nil)
	require.Equal(t, sealCBC, token.Capabilities().Seal)
	require.NotEmpty(t, token.Capabilities().Wrap)
	sealer, err := token.GenerateSealingKey(t.Context(), "seal")
	require.NoError(t, err)
	sealed, err := sealer.Seal(t.Context(), nil, []byte("share"))
	require.NoError(t, err)
	_, err = sealer.Open(t.Context(), nil, sealed)
	require.NoError(t, err)
	_, err = token.GenerateKey(t.Context(), "key", 2048)
	require.NoError(t, err)
}
