package report

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWatched: the ten benchmarks that docs/performance.md names are there, and in the
// published run.
func TestWatched(t *testing.T) {
	const root = "../../.."
	text, err := os.ReadFile(filepath.Join(root, "docs/performance.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "## Ten lines to watch\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	lines := regexp.MustCompile("(?m)^\\| `([^`/]+)(/[^`]*)?` \\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1)
	require.Len(t, lines, 10)
	s, err := load(filepath.Join(root, Published))
	require.NoError(t, err)
	for _, line := range lines {
		name, rest, folder := line[1], line[2], line[3]
		files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
		require.NoError(t, err)
		var source strings.Builder
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			source.Write(text)
		}
		require.Contains(t, source.String(), "func Benchmark"+name+"(b *testing.B)", folder)
		if s.bench.Raw != "" { // else it is of an older revision
			_, there := s.bench.median(folder, name+rest, "sec/op")
			require.True(t, there, "%s %s", folder, name+rest)
		}
	}
}
