package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUpToDate: the page's samples are what its files hold.
func TestUpToDate(t *testing.T) {
	page, err := os.ReadFile("../../verify.html")
	require.NoError(t, err)
	written, err := withSamples(page, "../..")
	require.NoError(t, err)
	require.True(t, string(page) == string(written), "go run ./vectors/internal/page vectors")
}
