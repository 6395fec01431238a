package tandem_test

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const module = "github.com/tandem-rsa/tandem"

// layers says which parts of this repository a part may import, tests included. A part is
// a directory of the root. Dependencies point one way: splitkey <- pinlock <- protocol <-
// service, and hsm -> splitkey only.
var layers = map[string][]string{
	".":        {"internal"},
	"internal": {"internal", "pinlock", "splitkey"},
	"splitkey": {"splitkey", "internal"},
	"pinlock":  {"pinlock", "splitkey", "internal"},
	"protocol": {"protocol", "pinlock", "splitkey", "internal"},
	"hsm":      {"hsm", "splitkey", "internal"},
	"service":  {"service", "protocol", "hsm", "pinlock", "splitkey", "internal"},
	"vectors":  {"vectors", "protocol", "pinlock", "splitkey", "internal"},
	"examples": {"examples", "protocol", "pinlock", "splitkey", "internal"},
	"bench":    {"bench", "protocol", "hsm", "pinlock", "splitkey", "internal"},
}

// apart lists trees that must not import others, although the table of parts lets them,
// with the reason. Tests may.
var apart = []struct{ from, to, why string }{
	{"pinlock/limiter", "pinlock", "it is the server's half, and opens no lockbox"},
	{"pinlock", "pinlock/limiter", "it is the device's half, and counts nothing"},
}

// arrows are all that the packages of the protocol import of this module, apart from
// internal. Tests may import more: those of one party talk to the other.
var arrows = map[string][]string{
	"protocol":                {"splitkey", "pinlock/limiter"},
	"protocol/internal/wire":  {"protocol", "splitkey", "pinlock/limiter"},
	"protocol/device":         {"protocol", "protocol/internal/wire", "pinlock", "splitkey"},
	"protocol/server":         {"protocol", "protocol/internal/wire", "protocol/server/observe", "pinlock/limiter", "splitkey"},
	"protocol/server/observe": {"protocol"},
	"protocol/httptransport":  {"protocol", "protocol/device"},
	"protocol/httphandler":    {"protocol", "protocol/server", "protocol/server/observe"},
}

// confined lists imports that only some directories may have, with the reason.
// A directory stands for itself, or for its whole tree if it ends in "/...".
var confined = []struct {
	path  string   // the import, and everything below it
	dirs  []string // who may
	tests bool     // whether any test may
	why   string
}{
	{"filippo.io/bigmod", []string{"internal/modexp", "bench/peers/..."}, false,
		"one package is audited for constant time"},
	{module + "/internal/modexp", []string{"internal/modexp", "splitkey/...", "hsm"}, false,
		"what is computed with secrets is computed where keys are"},
	{"github.com/miekg/pkcs11", []string{"hsm/..."}, false,
		"it needs cgo"},
	{"math/big", []string{"splitkey", "pinlock", "protocol/...", "hsm", "bench/peers/...", "vectors/internal/gen", "service/ca", "service/cmd/tandem"}, true,
		"it is not constant time; crypto/rsa's PublicKey.N is a *big.Int, so these packages hold public moduli in one; certificates and CRLs have serial numbers in one; the keys of the vectors are published; the command splits a key that its owner has in a file"},
	{"math/rand", nil, true,
		"it is predictable"},
	{"unsafe", []string{"hsm/..."}, true,
		"nothing but calls into C needs it"},
	{"C", []string{"bench/peers/..."}, false,
		"all else builds without a C compiler"},
	{"testing", nil, true,
		"it belongs to tests and to packages named *test"},
	{"github.com/stretchr/testify/require", nil, true,
		"it belongs to tests and to packages named *test"},
	{"github.com/getkin/kin-openapi", nil, true,
		"it belongs to tests"},
	{"github.com/stretchr/testify/assert", nil, false,
		"tests stop at the first failure: use require"},
	{"github.com/stretchr/testify/suite", nil, false,
		"tests are plain functions"},
	{"github.com/stretchr/testify/mock", nil, false,
		"tests run the real thing"},
}

// direct is all that the root module may require by itself.
var direct = []string{
	"filippo.io/bigmod",
	"github.com/miekg/pkcs11",
	"github.com/stretchr/testify",
	"golang.org/x/crypto",
}

// source is what the guard sees of a Go file.
type source struct {
	name    string // path from the root of the repository
	imports []string
}

func (s source) dir() string { return path.Dir(s.name) }

// test reports whether the file is a test, or of a package that only tests import, whose
// name ends in "test" by convention, as storetest's does.
func (s source) test() bool {
	return strings.HasSuffix(s.name, "_test.go") || support(s.dir())
}

func support(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

func part(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// scan reads the imports of every Go file, whatever its build constraints, so
// that a file for another platform cannot hide from the guard.
func scan(fsys fs.FS) ([]source, error) {
	var out []source
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			// The go command ignores these; generators live in _asm.
			if name != "." && (base == "testdata" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{name: name}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

// violations returns one line for each import that breaks a rule.
func violations(sources []source) []string {
	var out []string
	for _, s := range sources {
		may, known := layers[part(s.dir())]
		if !known {
			out = append(out, fmt.Sprintf("%s: %q has no layer: add it to the table in imports_test.go", s.name, part(s.dir())))
			continue
		}
		for _, imp := range s.imports {
			if why := refuse(s, imp, may); why != "" {
				out = append(out, fmt.Sprintf("%s imports %s: %s", s.name, imp, why))
			}
		}
	}
	return out
}

func refuse(s source, imp string, may []string) string {
	if within(imp, module) {
		dir := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
		if !slices.Contains(may, part(dir)) {
			return fmt.Sprintf("%s may import %v only", part(s.dir()), may)
		}
		if support(dir) && !s.test() {
			return "it is for tests only"
		}
		for _, a := range apart {
			if !s.test() && without(s.dir(), a.from, a.to) && without(dir, a.to, a.from) {
				return a.why
			}
		}
		if to, ok := arrows[s.dir()]; ok && !s.test() && !within(dir, "internal") && !slices.Contains(to, dir) {
			return fmt.Sprintf("%s may import %v and internal only", s.dir(), to)
		}
		return ""
	}
	for _, c := range confined {
		if !within(imp, c.path) || c.tests && s.test() {
			continue
		}
		if !slices.ContainsFunc(c.dirs, func(d string) bool {
			tree, ok := strings.CutSuffix(d, "/...")
			return s.dir() == d || ok && within(s.dir(), tree)
		}) {
			return c.why
		}
	}
	return ""
}

func within(p, tree string) bool { return p == tree || strings.HasPrefix(p, tree+"/") }

// without reports whether p is in a tree but not in its part other.
func without(p, tree, other string) bool {
	return within(p, tree) && !(within(other, tree) && within(p, other))
}

func TestImports(t *testing.T) {
	sources, err := scan(os.DirFS("."))
	require.NoError(t, err)
	// One import is certain: if it is not found, the scan has seen nothing.
	require.True(t, slices.ContainsFunc(sources, func(s source) bool {
		return s.dir() == "internal/modexp" && slices.Contains(s.imports, "filippo.io/bigmod")
	}), "the scan found no import of bigmod in internal/modexp")
	require.Empty(t, violations(sources))
}

func TestImportsCaught(t *testing.T) {
	for _, c := range []struct{ file, imp, why string }{
		{"splitkey/a.go", module + "/pinlock", "splitkey may import"},
		{"splitkey/a_test.go", module + "/pinlock", "splitkey may import"},
		{"splitkey/internal/emsa/a.go", module + "/hsm", "splitkey may import"},
		{"pinlock/a.go", module + "/protocol", "pinlock may import"},
		{"pinlock/a.go", module + "/service/stores/bolt", "pinlock may import"},
		{"protocol/a.go", module + "/hsm", "protocol may import"},
		{"hsm/a.go", module + "/pinlock", "hsm may import"},
		{"doc.go", module + "/splitkey", ". may import"},
		{"helpers/a.go", "fmt", "has no layer"},
		{"splitkey/a.go", "filippo.io/bigmod", "audited"},
		{"splitkey/a_test.go", "filippo.io/bigmod", "audited"},
		{"internal/modexp/sub/a.go", "filippo.io/bigmod", "audited"},
		{"service/cmd/tandem/main.go", "github.com/miekg/pkcs11", "cgo"},
		{"internal/modexp/a.go", "math/big", "constant time"},
		{"splitkey/a.go", "math/rand", "predictable"},
		{"service/a.go", "math/rand/v2", "predictable"},
		{"splitkey/a.go", "unsafe", "calls into C"},
		{"splitkey/a_arm64.go", "C", "without a C compiler"},
		{"pinlock/a.go", "testing", "*test"},
		{"pinlock/a.go", "github.com/stretchr/testify/require", "*test"},
		{"service/rp/openapi/a.go", "github.com/getkin/kin-openapi/openapi3", "belongs to tests"},
		{"pinlock/a_test.go", "github.com/stretchr/testify/assert", "use require"},
		{"pinlock/a.go", module + "/splitkey/splitkeytest", "for tests only"},
		{"service/cmd/tandem/main.go", module + "/pinlock/limiter/storetest", "for tests only"},
		{"pinlock/a.go", module + "/pinlock/limiter", "counts nothing"},
		{"pinlock/limiter/a.go", module + "/pinlock", "opens no lockbox"},
		{"protocol/device/a.go", module + "/pinlock/limiter", "protocol/device may import"},
		{"protocol/device/a.go", module + "/protocol/server", "protocol/device may import"},
		{"protocol/server/a.go", module + "/protocol/device", "protocol/server may import"},
		{"protocol/server/a.go", module + "/pinlock", "protocol/server may import"},
		{"protocol/internal/wire/a.go", module + "/protocol/server", "protocol/internal/wire may import"},
		{"protocol/a.go", module + "/protocol/device", "protocol may import"},
		{"protocol/httptransport/a.go", module + "/protocol/server", "protocol/httptransport may import"},
		{"protocol/httptransport/a.go", module + "/protocol/httphandler", "protocol/httptransport may import"},
		{"protocol/httphandler/a.go", module + "/protocol/device", "protocol/httphandler may import"},
	} {
		got := violations([]source{{c.file, []string{"fmt", c.imp}}})
		require.Len(t, got, 1, "%s imports %s", c.file, c.imp)
		require.Contains(t, got[0], c.why)
		require.Contains(t, got[0], c.file)
	}
}

func TestImportsAllowed(t *testing.T) {
	for _, c := range []struct{ file, imp string }{
		{"splitkey/a.go", module + "/internal/modexp"},
		{"internal/modexp/a.go", "filippo.io/bigmod"},
		{"splitkey/a_test.go", "math/big"},
		{"splitkey/a_test.go", module + "/splitkey/splitkeytest"},
		{"pinlock/limiter/storetest/storetest.go", "github.com/stretchr/testify/require"},
		{"pinlock/limiter/storetest/storetest.go", "testing"},
		{"pinlock/limiter/storetest/storetest.go", module + "/pinlock/limiter"},
		{"pinlock/limiter/a_test.go", module + "/pinlock"},
		{"protocol/a.go", module + "/pinlock/limiter"},
		{"protocol/device/a.go", module + "/pinlock"},
		{"protocol/device/a.go", module + "/internal/isnil"},
		{"protocol/device/a_test.go", module + "/protocol/server"},
		{"protocol/server/a_test.go", module + "/protocol/device"},
		{"service/stores/bolt/a.go", "go.etcd.io/bbolt"},
		{"bench/peers/a_test.go", "filippo.io/bigmod"},
	} {
		require.Empty(t, violations([]source{{c.file, []string{c.imp}}}))
	}
}

func TestScan(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	sources, err := scan(fstest.MapFS{
		"a/a.go":          file("package a\nimport \"fmt\"\n"),
		"a/a_windows.go":  file("//go:build never\n\npackage a\nimport u \"unsafe\"\n"),
		"a/testdata/t.go": file("package t\nimport \"C\"\n"),
		"a/_asm/main.go":  file("package main\nimport \"C\"\n"),
		"a/README.md":     file("import"),
	})
	require.NoError(t, err)
	require.Equal(t, []source{{"a/a.go", []string{"fmt"}}, {"a/a_windows.go", []string{"unsafe"}}}, sources)

	_, err = scan(fstest.MapFS{"a/a.go": file("not Go")})
	require.Error(t, err)
}

// TestRequirements keeps the root module small. "go mod tidy -diff" checks that it
// requires no less than it imports.
func TestRequirements(t *testing.T) {
	text, err := exec.Command("go", "mod", "edit", "-json", "go.mod").Output()
	require.NoError(t, err)
	var mod struct {
		Module  struct{ Path string }
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace, Exclude []any
	}
	require.NoError(t, json.Unmarshal(text, &mod))
	require.Equal(t, module, mod.Module.Path)
	require.NotEmpty(t, mod.Require)
	for _, r := range mod.Require {
		require.True(t, r.Indirect || slices.Contains(direct, r.Path), "go.mod requires %s", r.Path)
	}
	// Neither has an effect on a program that imports the module.
	require.Empty(t, mod.Replace)
	require.Empty(t, mod.Exclude)
}

// TestPhoneCarriesNoServer: an app for a phone or a browser compiles no server, with its
// HTTP neither.
func TestPhoneCarriesNoServer(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "./protocol/device", "./protocol/httptransport")
	list.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "GOFLAGS=")
	list.Stderr = os.Stderr
	out, err := list.Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	require.Contains(t, deps, module+"/protocol/device")
	require.Contains(t, deps, module+"/protocol/httptransport")
	for _, p := range []string{module + "/protocol/server", module + "/protocol/httphandler", module + "/pinlock/limiter/storetest", module + "/hsm", "log/slog"} {
		require.NotContains(t, deps, p)
	}
}
