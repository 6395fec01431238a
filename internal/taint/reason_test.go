package taint_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

var root = filepath.Join("..", "..")

// TestReasons: every reason is explained, and given at one place in the repository;
// nothing is declassified without one.
func TestReasons(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, parser.ParseComments)
	require.NoError(t, err)
	var reasons []string
	for _, d := range file.Decls {
		d := d.(*ast.GenDecl)
		if d.Tok != token.CONST {
			continue
		}
		for _, s := range d.Specs {
			reason := s.(*ast.ValueSpec)
			require.Greater(t, len(strings.Fields(reason.Doc.Text())), 10, "%s is not explained", reason.Names[0])
			reasons = append(reasons, reason.Names[0].Name)
		}
	}
	require.NotEmpty(t, reasons)
	require.Empty(t, violations(t, os.DirFS(root), reasons))
}

// TestReasonsCaught plants what TestReasons refuses.
func TestReasonsCaught(t *testing.T) {
	const header = "package p\n\nimport \"github.com/tandem-rsa/tandem/internal/taint\"\n\n"
	for want, source := range map[string]string{
		"WeakPIN has 0 places: []":                  header,
		"WeakPIN has 2 places: [p.go p.go]":         header + "var a, b = taint.Declassify(1, taint.WeakPIN), taint.Declassify(2, taint.WeakPIN)",
		"p.go: \"Result\" is no reason of the list": header + "var a, b = taint.Declassify(1, taint.WeakPIN), taint.DeclassifyCopy(nil, taint.Result)",
		"p.go: \"\" is no reason of the list":       header + "var a, b = taint.Declassify(1, taint.WeakPIN), taint.DeclassifyBytes(nil, 1)",
		"p.go: imports taint by another name":       strings.Replace(header, "import", "import x", 1) + "var a = taint.Declassify(1, taint.WeakPIN)",
	} {
		fsys := fstest.MapFS{"p.go": {Data: []byte(source)}}
		require.Equal(t, []string{want}, violations(t, fsys, []string{"WeakPIN"}))
	}
}

// violations returns what the files declassify for no reason, and the reasons that are
// not given at one place.
func violations(t *testing.T, fsys fs.FS, reasons []string) (out []string) {
	places := map[string][]string{}
	require.NoError(t, fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") {
			return err
		}
		text, err := fs.ReadFile(fsys, name)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		require.NoError(t, err)
		i := slices.IndexFunc(file.Imports, func(i *ast.ImportSpec) bool {
			return i.Path.Value == `"github.com/tandem-rsa/tandem/internal/taint"`
		})
		if i < 0 {
			return nil
		}
		if file.Imports[i].Name != nil {
			out = append(out, name+": imports taint by another name")
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !strings.HasPrefix(exported(call.Fun), "Declassify") {
				return true
			}
			reason := exported(call.Args[1])
			if !slices.Contains(reasons, reason) {
				out = append(out, fmt.Sprintf("%s: %q is no reason of the list", name, reason))
			}
			places[reason] = append(places[reason], name)
			return true
		})
		return nil
	}))
	for _, reason := range reasons {
		if at := places[reason]; len(at) != 1 {
			out = append(out, fmt.Sprintf("%s has %d places: %v", reason, len(at), at))
		}
	}
	return out
}

// exported is the X of taint.X, or nothing.
func exported(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := s.X.(*ast.Ident); !ok || x.Name != "taint" {
		return ""
	}
	return s.Sel.Name
}

// TestAssembly: assembly that the audit of package modexp does not see is here only, and
// in no ordinary build; besides what the verifier compares the processor with, which is a
// module of its own.
func TestAssembly(t *testing.T) {
	seen := map[string]int{}
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".s") {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		seen[filepath.ToSlash(dir)]++
		if filepath.Base(dir) == "taint" {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(text), "//go:build valgrind && "), name)
		}
		return nil
	}))
	require.Equal(t, []string{"internal/modexp", "internal/modexp/_prove/hardware", "internal/taint"}, slices.Sorted(maps.Keys(seen)))
}
