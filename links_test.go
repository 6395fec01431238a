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

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	mdDropped = regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`)
)

// anchors returns the anchors that a forge gives to the headings of a file.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range mdHeading.FindAllStringSubmatch(text, -1) {
		name := mdDropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		out[strings.ReplaceAll(name, " ", "-")] = true
	}
	return out
}

// deadLinks returns the number of links between the repository's own files, and one line
// for each dead one.
func deadLinks(fsys fs.FS) (links int, dead []string, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == ".git" || path.Base(name) == "testdata") {
			return fs.SkipDir
		}
		if path.Ext(name) != ".md" {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		for _, m := range mdLink.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if _, err := fs.Stat(fsys, target); err != nil {
				dead = append(dead, fmt.Sprintf("%s: no file for %s", name, m[1]))
				continue
			}
			if anchor == "" {
				continue
			}
			there, err := fs.ReadFile(fsys, target)
			if err != nil {
				return err
			}
			if !anchors(string(there))[anchor] {
				dead = append(dead, fmt.Sprintf("%s: no heading for %s", name, m[1]))
			}
		}
		return nil
	})
	return links, dead, err
}

func TestLinks(t *testing.T) {
	links, dead, err := deadLinks(os.DirFS("."))
	require.NoError(t, err)
	require.NotZero(t, links)
	require.Empty(t, dead)
}

func TestLinksCaught(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	links, dead, err := deadLinks(fstest.MapFS{
		"README.md": file("# A\n[a](docs/b.md) [b](docs/b.md#2-the-splits-x) [c](#a) [d](https://example.com/none)\n" +
			"[e](docs/none.md) [f](docs/b.md#none)"),
		"docs/b.md": file("## 2. The split's `x`\n[a](../README.md#a)"),
	})
	require.NoError(t, err)
	require.Equal(t, 6, links)
	require.Equal(t, []string{"README.md: no file for docs/none.md", "README.md: no heading for docs/b.md#none"}, dead)
}

var (
	mdTestFunc = regexp.MustCompile("`(?:([\\w/]+)\\.)?((?:Test|Benchmark|Example|Fuzz)\\w+)(?:/[^`]*)?`")
	goTestFunc = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Example|Fuzz)\w+)\(`)
)

// unknownTests returns how often the documents name a test, and one line for each name
// that no test has, in the package that stands before it or, if there is none, anywhere.
// TestPromises reads promises.md.
func unknownTests(fsys fs.FS) (named int, unknown []string, err error) {
	tests := map[string]bool{}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(fsys, name)
		for _, m := range goTestFunc.FindAllSubmatch(text, -1) {
			tests[string(m[1])], tests[path.Dir(name)+"."+string(m[1])] = true, true
		}
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	documents, err := fs.Glob(fsys, "docs/*.md")
	for _, name := range documents {
		if path.Base(name) == "promises.md" {
			continue
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return 0, nil, err
		}
		for _, m := range mdTestFunc.FindAllSubmatch(text, -1) {
			test := string(m[2])
			if len(m[1]) > 0 {
				test = string(m[1]) + "." + test
			}
			if named++; !tests[test] {
				unknown = append(unknown, fmt.Sprintf("%s: no test %s", name, test))
			}
		}
	}
	return named, unknown, err
}

func TestNamedTests(t *testing.T) {
	named, unknown, err := unknownTests(os.DirFS("."))
	require.NoError(t, err)
	require.NotZero(t, named)
	require.Empty(t, unknown)
}

func TestNamedTestsCaught(t *testing.T) {
	named, unknown, err := unknownTests(fstest.MapFS{
		"docs/a.md":     {Data: []byte("`TestA`, `p.TestA/sub`, `p/q.BenchmarkB`, `TestGone`, `q.BenchmarkB`, `p/q.TestA`, TestNotQuoted")},
		"p/a_test.go":   {Data: []byte("package p\n\nfunc TestA(t *testing.T) {}\n")},
		"p/q/b_test.go": {Data: []byte("package q\n\nfunc BenchmarkB(b *testing.B) {}\n")},
	})
	require.NoError(t, err)
	require.Equal(t, 6, named)
	require.Equal(t, []string{"docs/a.md: no test TestGone", "docs/a.md: no test q.BenchmarkB", "docs/a.md: no test p/q.TestA"}, unknown)
}
