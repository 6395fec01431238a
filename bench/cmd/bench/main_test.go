package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/bench/internal/benchstat"
	"github.com/tandem-rsa/tandem/bench/internal/report"
	"github.com/tandem-rsa/tandem/bench/internal/suite"
)

// TestRun: packages that run are measured, packages that fail are named, and the command
// fails.
func TestRun(t *testing.T) {
	t.Setenv("GOWORK", "off")
	root, out := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module example.org/m\n\ngo 1.26\n",
		"a/a_test.go": "package a\n\nimport \"testing\"\n\nfunc BenchmarkGood(b *testing.B) { for b.Loop() {} }\n",
		"b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc BenchmarkBad(b *testing.B) { b.Fatal() }\n",
	} {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	o := suite.Options{Bench: ".", BenchTime: "1ms", Timeout: time.Minute}
	require.ErrorIs(t, run(root, 2, o, out, nil), errPackages)
	require.NoError(t, report.Write(out))
	text, err := os.ReadFile(filepath.Join(out, "report.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), "| Good |")
	require.Contains(t, string(text), "Did not run: b: exit status 1")

	// Anybody's run compares with what was printed.
	first := filepath.Join(out, "raw.txt")
	next := t.TempDir()
	require.NoError(t, run(root, 1, o, next, []string{"a"}))
	tables, err := benchstat.Compare(first, filepath.Join(next, "raw.txt"))
	require.NoError(t, err)
	require.Equal(t, "example.org/m/a", tables[0].Package)
	require.NotNil(t, tables[0].Rows[0].Base)
	require.NotNil(t, tables[0].Rows[0].Value)

	require.Error(t, run(root, 0, o, out, nil))
	require.Error(t, run(root, 1, suite.Options{Bench: ".", BenchTime: "fast", Timeout: time.Minute}, out, nil))
	require.Error(t, run(root, 1, o, out, []string{"none"}))
}
