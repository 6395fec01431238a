package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/bench/internal/suite"
)

// On every machine the benchmark allocates exactly what it says.
const source = `package a

import "testing"

var sink []byte

func BenchmarkX(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for range %d {
			sink = make([]byte, 64)
		}
	}
}
`

// repository has a benchmark that allocates twice in its only commit.
func repository(t *testing.T) string {
	t.Setenv("GOWORK", "off")
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module example.org/m\n\ngo 1.26\n"), 0o600))
	allocate(t, root, 2)
	for _, args := range [][]string{
		{"init", "--quiet"}, {"add", "."},
		{"-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "-m", "x"},
	} {
		require.NoError(t, git(root, args...))
	}
	return root
}

func allocate(t *testing.T, root string, times int) {
	require.NoError(t, os.MkdirAll(filepath.Join(root, "a"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "a", "a_test.go"), fmt.Appendf(nil, source, times), 0o600))
}

// quick is a number of times, not a time: a busy machine might spend that on one run, to
// which all that is allocated meanwhile would count.
var quick = suite.Options{Bench: ".", BenchTime: "10000x", Timeout: time.Minute}

// TestCompare: the working tree against the commit, through git, go, and benchstat.
func TestCompare(t *testing.T) {
	root := repository(t)
	allocate(t, root, 3)
	var out bytes.Buffer
	require.ErrorIs(t, compare(&out, root, "HEAD", 6, quick, nil), errRegression)
	require.Contains(t, out.String(), "WORSE: example.org/m/a X")
	require.Contains(t, out.String(), "allocs/op from 2 to 3 (+50.0 %)")
	require.Regexp(t, `X\S*\s+2\.000 .*\s3\.000 .*\+50\.00%`, out.String(), "benchstat's line")

	// The other tree is gone.
	list, err := os.ReadDir(filepath.Join(root, ".git", "worktrees"))
	if err == nil {
		require.Empty(t, list)
	}
}

// TestCompareEqual: what did not change is printed, too.
func TestCompareEqual(t *testing.T) {
	root := repository(t)
	var out bytes.Buffer
	// By chance one of a hundred runs finds a difference of time.
	if err := compare(&out, root, "HEAD", 6, suite.Options{Bench: ".", BenchTime: "1000x", Timeout: time.Minute}, nil); err != nil {
		require.ErrorIs(t, err, errRegression)
		require.NotContains(t, out.String(), "allocs/op from")
	}
	require.Regexp(t, `X\S*\s+2\.000 .*\s2\.000 .*~`, out.String())
}

func TestCompareRefuses(t *testing.T) {
	root := repository(t)
	for _, c := range []struct {
		base     string
		count    int
		packages []string
	}{{"", 10, nil}, {"HEAD", 5, nil}, {"nosuchrevision", 10, nil}, {"HEAD", 10, []string{"b"}}} {
		err := compare(new(bytes.Buffer), root, c.base, c.count, quick, c.packages)
		require.Error(t, err)
		require.NotErrorIs(t, err, errRegression)
	}
	bad := quick
	bad.BenchTime = "fast"
	require.ErrorContains(t, compare(new(bytes.Buffer), root, "HEAD", 10, bad, nil), "fast")
}
