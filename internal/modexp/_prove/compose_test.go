package prove

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

var composed = flag.Int("composed", 3072, "the greatest number of bits of which whole products are composed, up to 8192")

// TestComposed proves whole products and squares of the ADX kernel.
func TestComposed(t *testing.T) {
	texts, err := sources(modexp, nil)
	if err != nil {
		t.Fatal(err)
	}
	functions, err := parse(texts["adx_amd64.s"])
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, bits := range []int{1024, 1536, 2048, 3072, 4096, 6144, 8192} {
		if bits > *composed {
			break
		}
		sizes = append(sizes, bits)
		for _, square := range []bool{false, true} {
			if err := proveComposed(functions, bits/512, square); err != nil {
				t.Errorf("%d bits, square %v: %v", bits, square, err)
			}
		}
	}
	t.Logf("products and squares of %v bits", sizes)
}

// loops are the functions of adx_amd64.go that compose.go repeats. Whoever changes one
// there changes compose.go, and then the text here.
var loops = map[string]string{
	"mul": `{
	clear(tmp[:len(x)])
	for i := 0; i < len(y); i += blockWords {
		adxMulRow(&tmp[i], &x[0], &y[i], k.blocks)
	}
	k.reduce(z, tmp)
}`,
	"sqr": `{
	for range n {
		clear(tmp[:len(z)])
		for i := range k.blocks {
			adxSqrRow(&tmp[2*blockWords*i], &z[blockWords*i], k.blocks-i)
		}
		adxSqrFinish(&tmp[0], &z[0], k.blocks)
		k.reduce(z, tmp)
	}
}`,
	"reduce": `{
	var carry uint64
	for i := 0; i < len(k.n); i += blockWords {
		carry = adxReduceRow(&t[i], &k.n[0], k.k0, carry, k.blocks)
	}
	adxSubMasked(&z[0], &t[len(k.n)], &k.n[0], -carry, k.blocks)
}`,
	"gather": `{
	adxGather(&z[0], &table[0], index, k.blocks)
}`,
}

// TestLoops compares them with the Go code.
func TestLoops(t *testing.T) {
	have := map[string]string{}
	for _, f := range goFunctions(t, "adx_amd64.go") {
		if f.Recv != nil && f.Body != nil {
			have[f.Name.Name] = source(t, f.Body)
		}
	}
	for name, want := range loops {
		if have[name] != want {
			t.Errorf("adx.%s is not what compose.go repeats:\n%s", name, have[name])
		}
	}
}

// TestDeclarations compares the contracts with the Go declarations: names, order and
// types of parameters.
func TestDeclarations(t *testing.T) {
	have := map[string]string{}
	files, err := filepath.Glob(filepath.Join(modexp, "*_amd64.go"))
	if err != nil || len(files) == 0 {
		t.Fatal("no Go files", err)
	}
	for _, file := range files {
		for _, f := range goFunctions(t, filepath.Base(file)) {
			if f.Body == nil {
				have[f.Name.Name] = strings.TrimPrefix(source(t, f.Type), "func")
			}
		}
	}
	for _, c := range contracts {
		if have[c.name] != c.signature {
			t.Errorf("%s is declared as %q, its contract says %q", c.name, have[c.name], c.signature)
		}
		delete(have, c.name)
	}
	for name := range have {
		t.Errorf("%s has a declaration, but no contract", name)
	}
}

func goFunctions(t *testing.T, name string) (functions []*ast.FuncDecl) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(modexp, name), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			functions = append(functions, fn)
		}
	}
	return functions
}

func source(t *testing.T, node any) string {
	t.Helper()
	var b strings.Builder
	config := printer.Config{Mode: printer.TabIndent | printer.UseSpaces, Tabwidth: 8}
	if err := config.Fprint(&b, token.NewFileSet(), node); err != nil {
		t.Fatal(fmt.Errorf("printing: %w", err))
	}
	return b.String()
}
