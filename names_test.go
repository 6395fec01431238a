package tandem_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// mostNames is how many names a package of the library may export, methods and fields
// aside: what somebody has to learn before using it.
const mostNames = 30

// surface is what a package shows to those who import it.
type surface struct {
	names    []string
	examples int
}

// surfaces reads the packages of the library: what another module may import, but for
// packages that only tests import.
func surfaces(fsys fs.FS) (map[string]*surface, error) {
	out := map[string]*surface{}
	for _, tree := range []string{"splitkey", "pinlock", "protocol", "hsm"} {
		err := fs.WalkDir(fsys, tree, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && slices.Contains([]string{"internal", "testdata"}, path.Base(name)) {
				return fs.SkipDir
			}
			if dir := path.Dir(name); path.Ext(name) == ".go" && !support(dir) {
				if out[dir] == nil {
					out[dir] = new(surface)
				}
				return out[dir].read(fsys, name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *surface) read(fsys fs.FS, name string) error {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
	if err != nil {
		return err
	}
	test := strings.HasSuffix(name, "_test.go")
	add := func(id *ast.Ident) {
		// A file for another platform may declare the same.
		if id.IsExported() && !test && !slices.Contains(s.names, id.Name) {
			s.names = append(s.names, id.Name)
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name)
			}
			if test && strings.HasPrefix(d.Name.Name, "Example") {
				s.examples++
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name)
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						add(id)
					}
				}
			}
		}
	}
	return nil
}

// tooMuch returns one line for each package that shows too much, or no example.
func tooMuch(packages map[string]*surface) (out []string) {
	for dir, s := range packages {
		if n := len(s.names); n > mostNames {
			out = append(out, fmt.Sprintf("%s exports %d names, want at most %d", dir, n, mostNames))
		}
		if s.examples == 0 {
			out = append(out, dir+" has no example")
		}
	}
	slices.Sort(out)
	return out
}

// TestNames: the documentation of each package is short, and has an example.
func TestNames(t *testing.T) {
	packages, err := surfaces(os.DirFS("."))
	require.NoError(t, err)
	for _, known := range []string{"splitkey", "pinlock", "pinlock/limiter", "protocol", "protocol/device", "protocol/server", "protocol/server/observe", "hsm"} {
		require.Contains(t, packages, known)
	}
	require.Contains(t, packages["splitkey"].names, "GenerateKey")
	require.Empty(t, tooMuch(packages))
}

func TestNamesCaught(t *testing.T) {
	fsys := fstest.MapFS{}
	for name, text := range map[string]string{
		"splitkey/a.go":              "package splitkey\nfunc A() {}\nfunc (T) M() {}\ntype T struct{ F int }\nfunc a() {}\nvar B, b = 1, 2\nconst (\n\tC = 1\n\tc = 2\n)\n",
		"splitkey/a_windows.go":      "package splitkey\nfunc A() {}\n",
		"splitkey/a_test.go":         "package splitkey\nfunc TestA() {}\nfunc Example() {}\n",
		"splitkey/internal/x/a.go":   "package x\nfunc A() {}\n",
		"splitkey/splitkeytest/a.go": "package splitkeytest\nfunc A() {}\n",
		"pinlock/a.go":               "package pinlock\n",
		"protocol/a.go":              "package protocol\nfunc Example() {}\n",
		"hsm/a.go":                   "package hsm\n",
		"hsm/a_test.go":              "package hsm\nfunc Example() {}\n",
	} {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for i := range mostNames + 1 {
		fsys["hsm/a.go"].Data = fmt.Appendf(fsys["hsm/a.go"].Data, "type T%d int\n", i)
	}
	packages, err := surfaces(fsys)
	require.NoError(t, err)
	require.Len(t, packages, 4)
	require.ElementsMatch(t, []string{"A", "T", "B", "C"}, packages["splitkey"].names)
	require.Equal(t, []string{
		"hsm exports 31 names, want at most 30",
		"pinlock has no example",
		"protocol has no example",
	}, tooMuch(packages))
}
