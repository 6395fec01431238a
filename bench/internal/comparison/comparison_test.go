package comparison

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/bench/internal/machine"
)

func TestQuartiles(t *testing.T) {
	require.Equal(t, Quartiles{2, 3, 4}, QuartilesOf([]float64{5, 1, 4, 2, 3}))
	require.Equal(t, Quartiles{1.75, 2.5, 3.25}, QuartilesOf([]float64{4, 3, 2, 1}))
	require.Equal(t, Quartiles{7, 7, 7}, QuartilesOf([]float64{7}))
}

// TestRatio: a slow round does not count against either side.
func TestRatio(t *testing.T) {
	require.Equal(t, Quartiles{4, 4, 4}, Ratio([]float64{4, 8, 40, 4}, []float64{1, 2, 10, 1}))
}

func TestMet(t *testing.T) {
	require.True(t, Target{Bound: 5, Ratio: Quartiles{4, 5, 6}}.Met())
	require.False(t, Target{Bound: 5, Ratio: Quartiles{4, 4.9, 6}}.Met())
	require.True(t, Target{Bound: 0.25, AtMost: true, Ratio: Quartiles{0.1, 0.2, 0.3}}.Met())
	require.False(t, Target{Bound: 0.25, AtMost: true, Ratio: Quartiles{0.1, 0.26, 0.3}}.Met())
	require.False(t, Target{Bound: 0.25, AtMost: true, Missing: "no such processor"}.Met())
}

func TestSave(t *testing.T) {
	want := &Result{Machine: machine.Describe(), Rounds: 3,
		Rows:    []Row{{Task: "signature", Bits: 2048, Name: "x", Time: Quartiles{1, 2, 3}}},
		Targets: []Target{{Claim: "c", Bound: 1, Ratio: Quartiles{1, 2, 3}}}}
	file := filepath.Join(t.TempDir(), "peers.json")
	require.NoError(t, want.Save(file))
	got, err := Load(file)
	require.NoError(t, err)
	require.Equal(t, want, got)

	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err = Load(file)
	require.Error(t, err)
}
