package hsm

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/fipstest"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestFIPSOnly: in FIPS 140-only mode a token seals and signs, and X25519 is refused with
// the cause.
func TestFIPSOnly(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	token := mustOpenFake(t, newFake(), nil)
	require.Equal(t, sealGCM, token.Capabilities().Seal)
	require.NotEmpty(t, token.Capabilities().Wrap)
	require.NotEmpty(t, token.Capabilities().RSA)
	require.Empty(t, token.Capabilities().Exchange)
	require.Contains(t, token.Capabilities().Refused, "X25519: "+splitkey.ErrFIPS.Error())
	_, err := token.GenerateExchanger(t.Context(), "hpke")
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorIs(t, err, splitkey.ErrFIPS)
}
