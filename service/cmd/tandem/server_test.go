package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFolderOfAnotherVersion: a server's folder of another version is refused by name.
func TestFolderOfAnotherVersion(t *testing.T) {
	config := serverConfig{Version: configVersion, Shape: composite, ClientBits: 2048}
	require.NoError(t, config.check())
	for _, version := range []int{0, 1, configVersion + 1} {
		config.Version = version
		require.ErrorContains(t, config.check(), "of a server's folder")
	}
}
