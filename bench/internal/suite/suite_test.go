package suite

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// module writes a module with benchmarks.
func module(t *testing.T, body string) string {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                    "module example.org/m\n\ngo 1.26\n",
		"a/a_test.go":               "package a\n\nimport \"testing\"\n\nfunc BenchmarkX(b *testing.B) { " + body + " }\n\nfunc BenchmarkY(b *testing.B) {}\n",
		"b/b_test.go":               "package b\n\nimport \"testing\"\n\nfunc TestX(t *testing.T) {}\n\nconst source = `\nfunc BenchmarkX() {}\n`\n",
		"testdata/c/c_test.go":      "package c\n\nfunc BenchmarkX() {}\n",
		"_d/d_test.go":              "package d\n\nfunc BenchmarkX() {}\n",
		"f/f.go":                    "package f\n\nfunc BenchmarkX() {}\n",
		"nested/e/deeper/e_test.go": "package e\n\nimport \"testing\"\n\nfunc BenchmarkX(b *testing.B) {}\n",
	} {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	return root
}

func build(t *testing.T, body string) *Binary {
	t.Setenv("GOWORK", "off")
	root := module(t, body)
	bins, err := Build(root, t.TempDir(), []string{"a"})
	require.NoError(t, err)
	return bins[0]
}

var quick = Options{Bench: "X", BenchTime: "1ms", Timeout: time.Minute}

func TestFind(t *testing.T) {
	got, err := Find(module(t, ""))
	require.NoError(t, err)
	require.Equal(t, []string{"a", filepath.Join("nested", "e", "deeper")}, got)

	_, err = Find(filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, build(t, "for b.Loop() {}").Run(&out, quick))
	require.Contains(t, out.String(), "pkg: example.org/m/a")
	require.Contains(t, out.String(), "BenchmarkX")
	require.NotContains(t, out.String(), "BenchmarkY")
}

// TestRunFails: a benchmark that fails leaves no numbers behind.
func TestRunFails(t *testing.T) {
	var out bytes.Buffer
	require.ErrorContains(t, build(t, `b.Fatal("broken")`).Run(&out, quick), "broken")
	require.Empty(t, out.String())

	slow := quick
	slow.Timeout = 100 * time.Millisecond
	require.Error(t, build(t, "select {}").Run(&out, slow))
}

func TestBuildFails(t *testing.T) {
	t.Setenv("GOWORK", "off")
	_, err := Build(module(t, "undefined()"), t.TempDir(), []string{"a"})
	require.ErrorContains(t, err, "undefined")
}

func TestOptions(t *testing.T) {
	for _, good := range []string{"200ms", "1s", "1x", "100x"} {
		require.NoError(t, Options{".", good, time.Minute}.Check(), good)
	}
	for _, bad := range []string{"", "x", "0x", "-1x", "1", "0s", "-1s", "1.5x", "fast"} {
		require.ErrorContains(t, Options{".", bad, time.Minute}.Check(), "1x", bad)
	}
	require.Error(t, Options{"(", "1x", time.Minute}.Check())

	var out bytes.Buffer
	times := quick
	times.BenchTime = "3x"
	require.NoError(t, build(t, "for b.Loop() {}").Run(&out, times))
	require.Regexp(t, `BenchmarkX\S*\s+3\s`, out.String())
}
