package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Building the tests takes most of the time of a mutant. So all mutants drawn for one
// package are built at once, each with a switch: mutantOn(N) is true in a process whose
// environment says MUTANT=N. A condition, a statement or a definition is there in both
// forms. What cannot be switched, or lies within another mutant, is built by itself.

// switched returns the text of the unit of c, with a switch.
func (c change) switched(source []byte, number int) string {
	u := c.unit
	old := string(source[u.from:u.to])
	new := string(source[u.from:c.from]) + c.new + string(source[c.to:u.to])
	on := fmt.Sprintf("mutantOn(%d)", number)
	switch u.kind {
	case condition:
		return fmt.Sprintf("(%s && (%s) || !%s && (%s))", on, new, on, old)
	case statement:
		return fmt.Sprintf("if %s { %s } else { %s }", on, new, old)
	case definition:
		right := string(source[u.at:c.from]) + c.new + string(source[c.to:u.to])
		return fmt.Sprintf("%s; if %s { %s = %s }", old, on, u.assigned, right)
	}
	panic("no unit")
}

const switchSource = `
import "os"

var mutantNumber = os.Getenv("MUTANT")

func mutantOn(n int) bool {
	if mutantNumber == "" {
		return false
	}
	want := 0
	for _, d := range mutantNumber {
		want = 10*want + int(d-'0')
	}
	return n == want
}
`

// checker type-checks a package of which one file is changed.
type checker struct {
	fset     *token.FileSet
	importer types.Importer
	packages map[string]*parsed
}

type parsed struct {
	name  string
	files map[string]*ast.File
}

// newChecker takes the packages that the targets import as the compiler wrote them.
func newChecker() (*checker, error) {
	all, err := targets()
	if err != nil {
		return nil, err
	}
	args := []string{"list", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}"}
	for _, t := range all {
		args = append(args, "./"+t.dir)
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, file, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			exports[name] = file
		}
	}
	c := &checker{fset: token.NewFileSet(), packages: map[string]*parsed{}}
	c.importer = importer.ForCompiler(c.fset, "gc", func(name string) (io.ReadCloser, error) {
		if exports[name] == "" {
			return nil, fmt.Errorf("no export data of %s", name)
		}
		return os.Open(exports[name])
	})
	return c, nil
}

func (c *checker) parse(dir string) (*parsed, error) {
	if p := c.packages[dir]; p != nil {
		return p, nil
	}
	names, err := filesOf(dir)
	if err != nil {
		return nil, err
	}
	p := &parsed{files: map[string]*ast.File{}}
	for _, name := range names {
		f, err := parser.ParseFile(c.fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.name, p.files[name] = f.Name.Name, f
	}
	c.packages[dir] = p
	return p, nil
}

// builds reports whether the package still compiles with the change, in the form in which
// it is built.
func (c *checker) builds(ch change) (bool, error) {
	p, err := c.parse(path.Dir(ch.file))
	if err != nil {
		return false, err
	}
	source, err := os.ReadFile(ch.file)
	if err != nil {
		return false, err
	}
	text := ch.apply(source)
	if ch.unit.kind != noUnit {
		text = replaced(source, []change{ch}, 1)
	}
	changed, err := parser.ParseFile(c.fset, ch.file, text, parser.SkipObjectResolution)
	if err != nil {
		return false, nil
	}
	extra, err := parser.ParseFile(c.fset, "switch.go", "package "+p.name+switchSource, parser.SkipObjectResolution)
	if err != nil {
		return false, err
	}
	files := []*ast.File{changed, extra}
	for name, f := range p.files {
		if name != ch.file {
			files = append(files, f)
		}
	}
	config := types.Config{Importer: c.importer, Error: func(error) {}}
	_, err = config.Check(path.Dir(ch.file), c.fset, files, nil)
	return err == nil, nil
}

// replaced returns the source with a switch for each of its changes that has a unit,
// numbered in their order from first on. Units do not overlap.
func replaced(source []byte, list []change, first int) []byte {
	order := make([]int, len(list))
	for i := range list {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return list[a].unit.from - list[b].unit.from })
	var out bytes.Buffer
	at := 0
	for _, i := range order {
		out.Write(source[at:list[i].unit.from])
		out.WriteString(list[i].switched(source, first+i))
		at = list[i].unit.to
	}
	out.Write(source[at:])
	return out.Bytes()
}

// A batch is changes of one package that are built at once, or one that is built by
// itself.
type batch struct {
	target  target
	changes []change
	alone   bool
	tmp     string

	mu    sync.Mutex
	built map[string]string // the binary of each package of tests
}

// batches divides a draw.
func batches(list []change, tmp string) ([]*batch, error) {
	var out []*batch
	together := map[string]*batch{}
	for _, c := range list {
		t := targetOf(c.file)
		b := together[t.dir]
		overlaps := func(other change) bool {
			return other.file == c.file && other.unit.from < c.unit.to && c.unit.from < other.unit.to
		}
		switch {
		case c.unit.kind == noUnit || b != nil && slices.ContainsFunc(b.changes, overlaps):
			b = &batch{target: t, alone: true}
			out = append(out, b)
		case b == nil:
			b = &batch{target: t}
			together[t.dir] = b
			out = append(out, b)
		}
		b.changes = append(b.changes, c)
	}
	for i, b := range out {
		b.tmp, b.built = filepath.Join(tmp, fmt.Sprint("batch", i)), map[string]string{}
		if err := os.Mkdir(b.tmp, 0o700); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// binary builds the tests of a package on the changes. With none switched on all must
// pass.
func (b *batch) binary(dir string, s *suite) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.built[dir] != "" {
		return b.built[dir], nil
	}
	replace := map[string]string{}
	add := func(name string, text []byte) error {
		original, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		replace[original] = filepath.Join(b.tmp, path.Base(name))
		return os.WriteFile(replace[original], text, 0o600)
	}
	var err error
	of := map[string][]change{}
	for _, c := range b.changes {
		of[c.file] = append(of[c.file], c)
	}
	first := 1
	for _, name := range b.files() {
		source, readErr := os.ReadFile(name)
		text := source
		if readErr == nil && b.changes[0].unit.kind == noUnit { // alone, then
			text = b.changes[0].apply(source)
		} else if readErr == nil {
			text = replaced(source, of[name], first)
			first += len(of[name])
			p, parseErr := parser.ParseFile(token.NewFileSet(), name, source, parser.PackageClauseOnly)
			if err = errors.Join(err, parseErr); parseErr == nil {
				err = errors.Join(err, add(path.Join(b.target.dir, "mutant_switch.go"), []byte("package "+p.Name.Name+switchSource)))
			}
		}
		err = errors.Join(err, readErr, add(name, text))
	}
	overlay, jsonErr := json.Marshal(map[string]any{"Replace": replace})
	overlayFile := filepath.Join(b.tmp, "overlay.json")
	if err = errors.Join(err, jsonErr, os.WriteFile(overlayFile, overlay, 0o600)); err != nil {
		return "", err
	}
	binary := filepath.Join(b.tmp, strings.ReplaceAll(dir, "/", "-")+".test")
	out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlayFile, "-o", binary, "./"+dir).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("the tests of %s on mutants of %s: %v\n%s", dir, b.target.dir, err, out)
	}
	if !b.alone {
		// A test that fails now (one of memory may) would fail on every mutant: it says
		// nothing.
		for {
			out, err := runTests(dir, binary, s.tests, 0)
			if err == nil {
				break
			}
			m := failed.FindSubmatch(out)
			i := -1
			if m != nil {
				top, _, _ := strings.Cut(string(m[1]), "/")
				i = slices.IndexFunc(s.tests, func(t test) bool { return t.Name == top })
			}
			if i < 0 {
				return "", fmt.Errorf("the tests of %s do not pass with mutants of %s that are off: %v\n%s", dir, b.target.dir, err, tail(out))
			}
			fmt.Printf("mutants: %s.%s does not pass with mutants that are off and is left out\n", dir, s.tests[i].Name)
			s.tests = slices.Delete(slices.Clone(s.tests), i, i+1)
		}
	}
	b.built[dir] = binary
	return binary, nil
}

// files are those that are changed, in the order in which their changes are numbered.
func (b *batch) files() []string {
	var out []string
	for _, c := range b.changes {
		if !slices.Contains(out, c.file) {
			out = append(out, c.file)
		}
	}
	return out
}

// number is what MUTANT must be for a change.
func (b *batch) number(c change) int {
	n := 0
	for _, name := range b.files() {
		for _, other := range b.changes {
			if other.file == name {
				if n++; other.key() == c.key() {
					return n
				}
			}
		}
	}
	panic("not in the batch")
}
