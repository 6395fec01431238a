//go:build !cgo || !unix || nopkcs11

package hsm

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Without PKCS #11 everything is there, and Open says why it cannot.
func TestOpenWithoutPKCS11(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for _, path := range []string{self, "/missing"} {
		_, err = Open(t.Context(), Config{Module: path, Label: "x", PIN: func(context.Context) ([]byte, error) { return nil, nil }})
		require.ErrorIs(t, err, ErrNoPKCS11)
	}
}
