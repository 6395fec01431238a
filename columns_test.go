package tandem_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// commentColumns is how long a line of a comment may be. A tab counts as 4.
const commentColumns = 90

// longComments returns the number of lines that are comments in the Go files of a tree,
// and one line for each that is too long.
func longComments(fsys fs.FS) (comments int, long []string, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == ".git" || path.Base(name) == "testdata") {
			return fs.SkipDir
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		source, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		number := 0
		for line := range strings.Lines(string(source)) {
			number++
			line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "    ")
			text := strings.TrimLeft(line, " ")
			if !strings.HasPrefix(text, "//") || strings.HasPrefix(text, "//go:") {
				continue
			}
			comments++
			if n := utf8.RuneCountInString(line); n > commentColumns {
				long = append(long, fmt.Sprintf("%s:%d: a comment of %d columns, want at most %d", name, number, n, commentColumns))
			}
		}
		return nil
	})
	return comments, long, err
}

func TestCommentColumns(t *testing.T) {
	comments, long, err := longComments(os.DirFS("."))
	require.NoError(t, err)
	require.Greater(t, comments, 1000)
	require.Empty(t, long)
}

func TestCommentColumnsCaught(t *testing.T) {
	comment := func(columns int) string { return "// " + strings.Repeat("ä", columns-3) + "\n" }
	comments, long, err := longComments(fstest.MapFS{
		"a.go":          {Data: []byte("package a\n\n" + comment(90) + comment(91) + "\t" + comment(86) + "\t" + comment(87))},
		"b/b.go":        {Data: []byte("//go:build " + strings.Repeat("b", 90) + "\n" + `var s = "` + strings.Repeat("b", 90) + `"`)},
		"testdata/c.go": {Data: []byte(comment(99))},
		"d.md":          {Data: []byte(comment(99))},
	})
	require.NoError(t, err)
	require.Equal(t, 4, comments)
	require.Equal(t, []string{"a.go:4: a comment of 91 columns, want at most 90", "a.go:6: a comment of 91 columns, want at most 90"}, long)
}
