package device

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestErrorsAreExplained: the package documentation says what an app does on each error.
func TestErrorsAreExplained(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var source []byte
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		source = append(source, text...)
	}
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	names := regexp.MustCompile(`(?m)^\t?(?:var )?(Err\w+) += errors\.New`).FindAllSubmatch(source, -1)
	require.GreaterOrEqual(t, len(names), 11)
	for _, m := range names {
		require.Regexp(t, `(?m)^//\t`+string(m[1])+`\b`, string(doc))
	}
}
