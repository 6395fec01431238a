// Package suite finds, builds and runs the benchmarks of all modules of the repository.
package suite

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Find returns the directories below root whose tests have benchmarks, as paths relative
// to root.
func Find(root string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != root && (base == "testdata" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		found, err := hasBenchmark(name)
		if err != nil || !found {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err == nil && !slices.Contains(out, dir) {
			out = append(out, dir)
		}
		return err
	})
	slices.Sort(out)
	return out, err
}

func hasBenchmark(file string) (bool, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Benchmark")
	}), nil
}

// Binary is the built test of a package.
type Binary struct {
	Package string // its directory, relative to the root
	dir     string // where it runs
	file    string
}

// Build builds the tests of the packages into a folder.
func Build(root, into string, packages []string) ([]*Binary, error) {
	var out []*Binary
	for i, p := range packages {
		b := &Binary{p, filepath.Join(root, p), filepath.Join(into, fmt.Sprintf("%d.test", i))}
		cmd := exec.Command("go", "test", "-c", "-o", b.file, ".")
		cmd.Dir = b.dir
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", p, err, text)
		}
		out = append(out, b)
	}
	return out, nil
}

// Options say what to run.
type Options struct {
	Bench     string        // regular expression of names
	BenchTime string        // for each benchmark, as "go test -benchtime" takes it: 200ms, 1x
	Timeout   time.Duration // of one run of a package
}

// Check refuses what every package would refuse after it was built.
func (o Options) Check() error {
	if _, err := regexp.Compile(o.Bench); err != nil {
		return err
	}
	if n, times := strings.CutSuffix(o.BenchTime, "x"); times {
		if n, err := strconv.Atoi(n); err == nil && n > 0 {
			return nil
		}
	} else if d, err := time.ParseDuration(o.BenchTime); err == nil && d > 0 {
		return nil
	}
	return fmt.Errorf("%q is neither a time for each benchmark (200ms) nor a number of times (1x)", o.BenchTime)
}

// Run runs a package's benchmarks once, and appends the results to w. On an error it has
// written nothing.
func (b *Binary) Run(w io.Writer, o Options) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.file, "-test.run=^$", "-test.bench="+o.Bench, "-test.benchtime="+o.BenchTime, "-test.count=1")
	cmd.Dir = b.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s%s", b.Package, err, &out, &errs)
	}
	_, err := w.Write(out.Bytes())
	return err
}
