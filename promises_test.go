package tandem_test

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// complete lists the sections in which every promise must have a row in promises.md:
// every sentence with one of the words of promising. A nil list is all sections.
var complete = map[string][]string{"service.md": {"For the operator", "Profile", "What is not claimed", "Requests", "Results", "Device links", "Sessions", "Phones", "The database", "The registrar", "How an account begins and ends", "Notices and history", "Quotas", "The HTTP server", "Test persons", "The command", "Production", "Relying parties, registrar, accounts, phones"}, "command.md": {"Exit codes", "Folders"}, "scheme.md": {"2.1", "2.2", "2.3", "2.4", "2.5", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "4", "4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "5", "5.1", "5.2", "5.3", "5.4", "5.5", "5.6", "5.7", "5.8"}, "package internal/durable": nil, "package internal/erase": {"Do"}, "package pinlock": {"Lockbox", "WeakPINError"}, "package protocol/device": {"Signer", "SignerConfig", "Signer.Err", "Signer.SignAll", "Signer.WithContext"}, "package pinlock/limiter": {
	"Counter", "Counter.AppendBinary", "Counter.Destroyed", "Counter.MarshalBinary", "Limiter", "Limiter.Attempt", "Limiter.Create", "New",
	"ParseCounter", "package", "Policy", "Policy.Admit", "Policy.Next", "Update", "WrongPINError",
}}

var (
	promising = regexp.MustCompile(`(?i)\b(must|never|refuses?|refused|wipes?|wiped|verif(y|ies|ied)|at most|erased?)\b`)
	mdSection = regexp.MustCompile(`(?m)^(?:#+ +(\d+(?:\.\d+)*)?\.? *(.*)|\*\*(\d+\.\d+)\b.*)$`)
	mdQuoted  = regexp.MustCompile("`([^`]+)`")
	mdTest    = regexp.MustCompile(`^(?:(.*)\.)?((?:Test|Example|Fuzz)\w*)(?:/.*)?$`)
	mdSpace   = regexp.MustCompile(`\s+`)
	mdEnd     = regexp.MustCompile(`[.:;] |$`)
)

// promise is one row of promises.md.
type promise struct {
	document, section, text string
	tests, faults           []string
}

// readPromises returns the rows of promises.md, which has a heading for each document.
func readPromises(text string) ([]promise, error) {
	var out []promise
	var document string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			document = name
			continue
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| section") {
			continue
		}
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|")
		if len(cells) != 4 || document == "" {
			return nil, fmt.Errorf("promises.md: not a row of four cells under a document: %s", line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|"))
		}
		names := func(cell string) (names []string) {
			for _, m := range mdQuoted.FindAllStringSubmatch(cell, -1) {
				names = append(names, m[1])
			}
			return names
		}
		out = append(out, promise{document, cells[0], cells[1], names(cells[2]), names(cells[3])})
	}
	return out, nil
}

// sections returns the text of each section of a document, by its number, or by its title
// where it has none, with every run of white space as one space.
func sections(text string) map[string]string {
	out := map[string]string{}
	marks := mdSection.FindAllStringSubmatchIndex(text, -1)
	group := func(m []int, i int) string {
		if m[2*i] < 0 {
			return ""
		}
		return text[m[2*i]:m[2*i+1]]
	}
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		name := group(m, 1) + group(m, 3)
		if name == "" {
			name = group(m, 2)
		}
		out[name] = mdSpace.ReplaceAllString(text[m[0]:end], " ")
	}
	return out
}

// godoc returns the documentation of a package: of "package" itself, and of each exported
// type, function, method, constant and variable by its name, a method's being
// Type.Method.
func godoc(fsys fs.FS, dir string) (map[string]string, error) {
	names, err := fs.Glob(fsys, path.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	add := func(name string, comments ...*ast.CommentGroup) {
		for _, c := range comments {
			if c != nil && ast.IsExported(name[strings.LastIndex(name, ".")+1:]) || name == "package" {
				out[name] = strings.TrimSpace(out[name] + " " + mdSpace.ReplaceAllString(c.Text(), " "))
			}
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		add("package", f.Doc)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					t := d.Recv.List[0].Type
					if p, ok := t.(*ast.StarExpr); ok {
						t = p.X
					}
					if id, ok := t.(*ast.Ident); !ok || !id.IsExported() {
						continue
					} else {
						name = id.Name + "." + name
					}
				}
				add(name, d.Doc)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						add(s.Name.Name, d.Doc, s.Doc)
						if i, ok := s.Type.(*ast.InterfaceType); ok && s.Name.IsExported() {
							for _, m := range i.Methods.List {
								if len(m.Names) > 0 {
									add(s.Name.Name+"."+m.Names[0].Name, m.Doc)
								}
							}
						}
					case *ast.ValueSpec:
						add(s.Names[0].Name, d.Doc, s.Doc, s.Comment)
					}
				}
			}
		}
	}
	return out, nil
}

// testsOf returns the tests, examples and fuzz targets of a directory that a build for
// Linux on amd64 has, and for each whether it does something.
func testsOf(fsys fs.FS, dir string) (map[string]bool, error) {
	files, err := fs.Glob(fsys, path.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	context := build.Default
	context.GOOS, context.GOARCH, context.CgoEnabled = "linux", "amd64", true
	context.OpenFile = func(name string) (io.ReadCloser, error) { return fsys.Open(name) }
	out := map[string]bool{}
	for _, name := range files {
		if ok, err := context.MatchFile(path.Split(name)); err != nil || !ok {
			continue
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Body != nil && testName.MatchString(f.Name.Name) {
				out[f.Name.Name] = !doesNothing(f)
			}
		}
	}
	return out, nil
}

var testName = regexp.MustCompile(`^(Test|Example|Fuzz)`)

// doesNothing reports whether a test is empty, or skips first thing.
func doesNothing(f *ast.FuncDecl) bool {
	if len(f.Body.List) == 0 {
		return true
	}
	e, ok := f.Body.List[0].(*ast.ExprStmt)
	if !ok {
		return false
	}
	c, ok := e.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	s, ok := c.Fun.(*ast.SelectorExpr)
	return ok && strings.HasPrefix(s.Sel.Name, "Skip")
}

// fault is a row of the tables in internal/mutants.
type fault struct{ packages, tests string }

// faultsOf reads those tables.
func faultsOf(fsys fs.FS) (map[string]fault, error) {
	files, err := fs.Glob(fsys, "internal/mutants/*.go")
	if err != nil {
		return nil, err
	}
	constants := map[string]string{}
	var rows []*ast.CompositeLit
	for _, name := range files {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			return nil, err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, v := range n.Values {
					if s, ok := stringOf(v, constants); ok {
						constants[n.Names[i].Name] = s
					}
				}
			case *ast.CompositeLit:
				if a, ok := n.Type.(*ast.ArrayType); ok {
					if id, ok := a.Elt.(*ast.Ident); ok && id.Name == "mutant" {
						for _, e := range n.Elts {
							rows = append(rows, e.(*ast.CompositeLit))
						}
					}
				}
			}
			return true
		})
	}
	out := map[string]fault{}
	for _, r := range rows {
		if len(r.Elts) != 6 {
			continue
		}
		name, okName := stringOf(r.Elts[0], constants)
		packages, okPackages := stringOf(r.Elts[4], constants)
		tests, okTests := stringOf(r.Elts[5], constants)
		if !okName || !okPackages || !okTests {
			return nil, fmt.Errorf("internal/mutants: a row that is not all strings")
		}
		out[name] = fault{packages, tests}
	}
	return out, nil
}

// stringOf evaluates a string of literals, constants and sums.
func stringOf(e ast.Expr, constants map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		s, ok := constants[e.Name]
		return s, ok
	case *ast.BinaryExpr:
		x, okX := stringOf(e.X, constants)
		y, okY := stringOf(e.Y, constants)
		return x + y, okX && okY && e.Op == token.ADD
	}
	return "", false
}

// testOf splits directory.TestName/subtest. Tests of the root have no directory.
func testOf(test string) (dir, name string) {
	if m := mdTest.FindStringSubmatch(test); m != nil {
		return path.Clean(m[1]), m[2]
	}
	return ".", test
}

// runs reports whether the tests of a fault include the test of a row.
func (f fault) runs(test string) bool {
	dir, name := testOf(test)
	if !slices.Contains(strings.Fields(f.packages), "./"+dir) {
		return false
	}
	first, _, _ := strings.Cut(f.tests, "/")
	ok, err := regexp.MatchString(first, name)
	return err == nil && ok
}

// brokenPromises returns the number of rows, and one line for each fault of promises.md.
func brokenPromises(fsys fs.FS, complete map[string][]string) (rows int, bad []string, err error) {
	text, err := fs.ReadFile(fsys, "docs/promises.md")
	if err != nil {
		return 0, nil, err
	}
	promises, err := readPromises(string(text))
	if err != nil {
		return 0, nil, err
	}
	faults, err := faultsOf(fsys)
	if err != nil {
		return 0, nil, err
	}
	documents, tests := map[string]map[string]string{}, map[string]map[string]bool{}
	document := func(name string) (map[string]string, error) {
		if documents[name] == nil {
			if dir, ok := strings.CutPrefix(name, "package "); ok {
				d, err := godoc(fsys, dir)
				documents[name] = d
				return d, err
			}
			text, err := fs.ReadFile(fsys, path.Join("docs", name))
			if err != nil {
				return nil, err
			}
			documents[name] = sections(string(text))
		}
		return documents[name], nil
	}
	complain := func(p promise, format string, args ...any) {
		bad = append(bad, fmt.Sprintf("promises.md: %s, %s, %q: ", p.document, p.section, p.text)+fmt.Sprintf(format, args...))
	}
	for _, p := range promises {
		d, err := document(p.document)
		if err != nil {
			return 0, nil, err
		}
		if n := strings.Count(d[p.section], p.text); n != 1 || p.text == "" {
			complain(p, "this text is in the section %d times, want once", n)
		}
		if len(p.tests) == 0 {
			complain(p, "no test")
		}
		for _, test := range p.tests {
			dir, name := testOf(test)
			if tests[dir] == nil {
				if tests[dir], err = testsOf(fsys, dir); err != nil {
					return 0, nil, err
				}
			}
			if runs, ok := tests[dir][name]; !ok {
				complain(p, "no test %s", test)
			} else if !runs {
				complain(p, "%s does nothing", test)
			}
		}
		for _, name := range p.faults {
			f, ok := faults[name]
			if !ok {
				complain(p, "no planted fault %q", name)
			} else if !slices.ContainsFunc(p.tests, f.runs) {
				complain(p, "the planted fault %q is for other tests: %s in %s", name, f.tests, f.packages)
			}
		}
	}
	for name, list := range complete {
		d, err := document(name)
		if err != nil {
			return 0, nil, err
		}
		if list == nil {
			list = slices.Sorted(maps.Keys(d))
		}
		for _, section := range list {
			for _, sentence := range unpromised(d[section], name, section, promises) {
				bad = append(bad, fmt.Sprintf("promises.md has no row for %s, %s: %q", name, section, sentence))
			}
			if d[section] == "" {
				bad = append(bad, fmt.Sprintf("%s has no section %s", name, section))
			}
		}
	}
	return len(promises), bad, nil
}

// unpromised returns the sentences of a section that have a word of promising and that no
// row quotes.
func unpromised(text, document, section string, promises []promise) []string {
	var out []string
	for from := 0; from < len(text); {
		end := from + mdEnd.FindStringIndex(text[from:])[1]
		covered := slices.ContainsFunc(promises, func(p promise) bool {
			i := strings.Index(text, p.text)
			return p.document == document && p.section == section && i >= 0 && i < end && i+len(p.text) > from
		})
		if promising.MatchString(text[from:end]) && !covered {
			out = append(out, text[from:end])
		}
		from = end
	}
	return out
}

// TestPromises: each promise of the documents has tests that exist, and planted faults on
// which these tests run.
func TestPromises(t *testing.T) {
	rows, bad, err := brokenPromises(os.DirFS("."), complete)
	require.NoError(t, err)
	require.Empty(t, bad, "%s", strings.Join(bad, "\n"))
	require.NotZero(t, rows)
}

func TestPromisesCaught(t *testing.T) {
	const head = "# Promises\n\n## a.md\n\n| section | promise | tests | planted faults |\n|---|---|---|---|\n"
	good := map[string]string{
		"docs/a.md":                 "# A\n\n## 1. One\n\nThe share must\nbe wiped. It is blue.\n\n**1.1 Two.** Never\nagain. Nothing else.\n\n### Three\n\nx = a | b.\n",
		"p/a_test.go":               "package p\n\nfunc TestA(t *testing.T) { check(t) }\n\nfunc TestSkips(t *testing.T) { t.Skip() }\n\nfunc TestEmpty(t *testing.T) {}\n",
		"p/p.go":                    "// Package p does it. It must\n// work.\npackage p\n\n// S is blue.\ntype S struct{}\n\n// M sleeps. It never\n// ends.\nfunc (s *S) M() {}\n\n// it must not be exported\nfunc f() {}\n",
		"p/b_windows_test.go":       "package p\n\nfunc TestB(t *testing.T) { check(t) }\n",
		"internal/mutants/table.go": "package main\n\nconst (\n\tinP = \"./p\"\n\ttestA = \"TestA\"\n)\n\nvar list = []mutant{\n\t{\"keep it\", \"f\", \"old\", \"new\", inP, testA + \"/x\"},\n\t{\"elsewhere\", \"f\", \"old\", \"new\", \"./q\", testA},\n}\n",
	}
	for _, c := range []struct {
		row      string
		complete map[string][]string
		bad      []string
	}{
		{"| 1 | must be wiped | `p.TestA` | `keep it` |", map[string][]string{"a.md": {"1", "Three"}}, nil},
		{"| 1.1 | Never again | `p.TestA/sub` | |", map[string][]string{"a.md": {"1.1"}}, nil},
		{`| Three | x = a \| b | ` + "`p.TestA` | |", nil, nil},
		{"| 1 | must be kept | `p.TestA` | |", nil, []string{"in the section 0 times"}},
		{"| 1.1 | must be wiped | `p.TestA` | |", nil, []string{"in the section 0 times"}},
		{"| 1 | must be wiped | p.TestA | |", nil, []string{"no test"}},
		{"| 1 | must be wiped | `p.TestB` | |", nil, []string{"no test p.TestB"}},
		{"| 1 | must be wiped | `q.TestA` | |", nil, []string{"no test q.TestA"}},
		{"| 1 | must be wiped | `p.TestSkips` | |", nil, []string{"does nothing"}},
		{"| 1 | must be wiped | `p.TestEmpty` | |", nil, []string{"does nothing"}},
		{"| 1 | must be wiped | `p.TestA` | `lose it` |", nil, []string{"no planted fault"}},
		{"| 1 | must be wiped | `p.TestA` | `elsewhere` |", nil, []string{"is for other tests"}},
		{"| 1 | must be wiped | `p.TestA` | |", map[string][]string{"a.md": {"1", "1.1"}}, []string{`no row for a.md, 1.1: "**1.1 Two.** Never`}},
		{"| 1 | must be wiped | `p.TestA` | |", map[string][]string{"a.md": {"4"}}, []string{"no section 4"}},
		{"| 1 | must be wiped | `p.TestA` | |", map[string][]string{"a.md": nil}, []string{`no row for a.md, 1.1`}},
		{"| 1 | must be wiped | `p.TestA` | |", map[string][]string{"package p": nil}, []string{`row for package p, S.M: "It never`, `row for package p, package: "It must`}},
	} {
		fsys := fstest.MapFS{"docs/promises.md": {Data: []byte(head + c.row + "\n")}}
		for name, text := range good {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		rows, bad, err := brokenPromises(fsys, c.complete)
		require.NoError(t, err)
		require.Equal(t, 1, rows)
		require.Len(t, bad, len(c.bad), "%s: %v", c.row, bad)
		for i := range bad {
			require.Contains(t, bad[i], c.bad[i])
		}
	}
	for _, row := range []string{"| 1 | two |", "| 1 | a | b | must be wiped | `p.TestA` |"} {
		_, err := readPromises(head + row)
		require.Error(t, err)
	}
	_, err := readPromises("| 1 | must be wiped | `p.TestA` | |")
	require.Error(t, err, "under no document")
}

// TestEcosystem: every test that ecosystem.md names exists, and does something.
func TestEcosystem(t *testing.T) {
	text, err := os.ReadFile("docs/ecosystem.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Example)\\w+)`").FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(named), 10)
	for _, m := range named {
		tests, err := testsOf(os.DirFS("."), m[1])
		require.NoError(t, err)
		require.True(t, tests[m[2]], m[0])
	}
}
