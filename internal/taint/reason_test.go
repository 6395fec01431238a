package taint_test

import (
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

	"github.com/stretchr/testify/require"
)

var root = filepath.Join("..", "..")

// TestReasons: every reason is explained, and given at one place in the repository; nothing is
// declassified without one.
func TestReasons(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, parser.ParseComments)
	require.NoError(t, err)
	places := map[string][]string{}
	for _, d := range file.Decls {
		d := d.(*ast.GenDecl)
		if d.Tok != token.CONST {
			continue
		}
		for _, s := range d.Specs {
			reason := s.(*ast.ValueSpec)
			require.Greater(t, len(strings.Fields(reason.Doc.Text())), 10, "%s is not explained", reason.Names[0])
			places[reason.Names[0].Name] = nil
		}
	}
	require.NotEmpty(t, places)

	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(file.Imports, func(i *ast.ImportSpec) bool {
			return i.Path.Value == `"github.com/tandem-rsa/tandem/internal/taint"`
		})
		if i < 0 {
			return nil
		}
		require.Nil(t, file.Imports[i].Name, "%s imports it by another name", name)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !strings.HasPrefix(exported(call.Fun), "Declassify") {
				return true
			}
			reason := exported(call.Args[1])
			require.Contains(t, places, reason, "%s declassifies for no reason of the list", name)
			places[reason] = append(places[reason], name)
			return true
		})
		return nil
	}))
	for _, reason := range slices.Sorted(maps.Keys(places)) {
		require.Len(t, places[reason], 1, "%s is given at %v", reason, places[reason])
	}
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

// TestAssembly: what the audit of package modexp does not see is here, and in no ordinary build.
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
	require.Equal(t, []string{"internal/taint", "splitkey/internal/modexp"}, slices.Sorted(maps.Keys(seen)))
}
