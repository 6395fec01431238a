package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// TestTokenMarkInUse: one process of a folder uses the mark that is in the token, as with
// one in a file.
func TestTokenMarkInUse(t *testing.T) {
	folder := t.TempDir()
	for _, spec := range []string{"token:node", ""} {
		place := serverConfig{Mark: spec}.markPlace(folder)
		k, err := place.open(folder, new(hsm.Token))
		require.NoError(t, err)
		_, err = place.open(folder, new(hsm.Token))
		require.ErrorIs(t, err, watermark.ErrInUse)
		require.NoError(t, k.Close())
		k, err = place.open(folder, new(hsm.Token))
		require.NoError(t, err)
		require.NoError(t, k.Close())
	}
	_, err := serverConfig{Mark: "token:node"}.markPlace(folder).open(folder, nil)
	require.Error(t, err)
}
