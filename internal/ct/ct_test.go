package ct

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

// TestDeclassification compares the functions of public.go with their calls in the
// repository: every one has a reason, and is called at one place.
func TestDeclassification(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "public.go", nil, parser.ParseComments)
	require.NoError(t, err)
	calls := map[string][]string{}
	for _, d := range file.Decls {
		f := d.(*ast.FuncDecl)
		require.True(t, f.Name.IsExported())
		require.Greater(t, len(strings.Fields(f.Doc.Text())), 10, "%s has no reason", f.Name)
		// The name that seeded leaks know it by.
		call := f.Body.List[0].(*ast.ReturnStmt).Results[0].(*ast.CallExpr)
		require.Equal(t, `"`+f.Name.Name+`"`, call.Args[0].(*ast.BasicLit).Value)
		calls[f.Name.Name] = nil
	}
	require.NotEmpty(t, calls)

	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") && !strings.Contains(name, "taint") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		own := filepath.Base(filepath.Dir(name)) == "ct"
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "ct" {
					if _, public := calls[n.Sel.Name]; public {
						calls[n.Sel.Name] = append(calls[n.Sel.Name], name)
					}
				}
			case *ast.CallExpr:
				f, ok := n.Fun.(*ast.Ident)
				if ok && own && strings.HasPrefix(f.Name, "public") {
					require.Contains(t, []string{"public.go", "valgrind.go"}, filepath.Base(name))
				}
			}
			return true
		})
		return nil
	}))
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		require.Len(t, calls[name], 1, "%s is called at %v", name, calls[name])
	}
}

// TestAssembly: what the audit of package modexp does not see is here, and in no ordinary build.
func TestAssembly(t *testing.T) {
	root := filepath.Join("..", "..")
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
		if filepath.Base(dir) == "ct" {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(text), "//go:build valgrind && "), name)
		}
		return nil
	}))
	require.Equal(t, []string{"internal/ct", "splitkey/internal/modexp"}, slices.Sorted(maps.Keys(seen)))
}
