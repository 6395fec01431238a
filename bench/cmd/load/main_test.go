//go:build unix

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLoad: all requests of a recording are answered with signatures, as often as they
// are sent to a store that is as it was.
func TestLoad(t *testing.T) {
	r, err := record(2, 3, 2048)
	require.NoError(t, err)
	defer r.close()
	require.Len(t, r.requests, 2)
	require.Positive(t, r.recordSize())
	for _, rate := range []float64{0, 1000} {
		m, err := r.replay(rate)
		require.NoError(t, err)
		require.Len(t, m.took, 6)
		require.Positive(t, m.rate)
		require.LessOrEqual(t, m.quantile(0.5), m.quantile(0.99))
	}
	r.requests[1] = r.requests[1][1:] // the first is missing: what follows is a clone
	_, err = r.replay(0)
	require.ErrorContains(t, err, "answered with a signature")
	require.ErrorContains(t, run(2, 1, 2048, "0"), "no number of processors")
}
