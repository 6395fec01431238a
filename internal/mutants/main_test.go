package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTable: every mutant still has its place in the source, and there are enough of them.
func TestTable(t *testing.T) {
	t.Chdir("../..")
	require.GreaterOrEqual(t, len(mutants), 40)
	names := map[string]bool{}
	for _, m := range mutants {
		require.False(t, names[m.name], m.name)
		names[m.name] = true
		source, err := os.ReadFile(m.file)
		require.NoError(t, err, m.name)
		changed, err := m.apply(source)
		require.NoError(t, err, m.name)
		require.NotEqual(t, source, changed, m.name)
	}
}
