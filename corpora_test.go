package tandem_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// corpora returns the number of fuzz targets, and one line for each target without a
// committed corpus (it would never get past the first length check) and for each corpus
// without a target.
func corpora(fsys fs.FS) (targets int, bad []string, err error) {
	seeds := map[string]bool{} // by directory of the corpus: whether it has a target
	want := map[string]string{}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && path.Base(name)[0] == '.':
			return fs.SkipDir
		case d.IsDir():
			return nil
		case strings.Contains(name, "/testdata/fuzz/"):
			seeds[path.Dir(name)] = true
		case strings.HasSuffix(name, "_test.go"):
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				return err
			}
			for _, m := range fuzzTarget.FindAllSubmatch(text, -1) {
				want[path.Join(path.Dir(name), "testdata/fuzz", string(m[1]))] = name
				targets++
			}
		}
		return nil
	})
	for dir, name := range want {
		if !seeds[dir] {
			bad = append(bad, fmt.Sprintf("%s: %s has no seeds in %s", name, path.Base(dir), dir))
		}
	}
	for dir := range seeds {
		if want[dir] == "" {
			bad = append(bad, fmt.Sprintf("%s: no such fuzz target", dir))
		}
	}
	return targets, bad, err
}

func TestFuzzCorpora(t *testing.T) {
	_, bad, err := corpora(os.DirFS("."))
	require.NoError(t, err)
	require.Empty(t, bad)
}

func TestFuzzCorporaCaught(t *testing.T) {
	target := &fstest.MapFile{Data: []byte("package a\n\nfunc FuzzA(f *testing.F) {}\n")}
	seed := &fstest.MapFile{Data: []byte("go test fuzz v1\n")}
	for _, c := range []struct {
		name string
		fsys fstest.MapFS
		bad  int
	}{
		{"good", fstest.MapFS{"p/a_test.go": target, "p/testdata/fuzz/FuzzA/short": seed}, 0},
		{"no corpus", fstest.MapFS{"p/a_test.go": target}, 1},
		{"elsewhere", fstest.MapFS{"p/a_test.go": target, "q/testdata/fuzz/FuzzA/short": seed}, 2},
		{"stale", fstest.MapFS{"p/a_test.go": target, "p/testdata/fuzz/FuzzA/x": seed, "p/testdata/fuzz/FuzzB/x": seed}, 1},
	} {
		n, bad, err := corpora(c.fsys)
		require.NoError(t, err, c.name)
		require.Equal(t, 1, n, c.name)
		require.Len(t, bad, c.bad, c.name)
	}
}
