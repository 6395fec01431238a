// Command compare runs the benchmarks of another revision and of the working tree in
// turns. It prints what benchstat says of every benchmark, and fails if one got
// significantly worse by more than a tenth. Run it in the root of the repository.
//
//	go run ./bench/cmd/compare -base main [-count 10] [-benchtime 200ms]
//		[-bench REGEXP] [package folder ...]
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/bench/internal/benchstat"
	"github.com/tandem-rsa/tandem/bench/internal/suite"
)

func main() {
	base := flag.String("base", "", "revision to compare with")
	count := flag.Int("count", 10, "runs of each side")
	benchTime := flag.String("benchtime", "200ms", "time for each benchmark in a run, or how many times (1x)")
	expression := flag.String("bench", ".", "regular expression of benchmarks")
	flag.Parse()
	o := suite.Options{Bench: *expression, BenchTime: *benchTime, Timeout: 30 * time.Minute}
	if err := compare(os.Stdout, ".", *base, *count, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// errRegression is returned for a regression.
var errRegression = errors.New("significant regressions of more than 10 %")

func compare(w io.Writer, root, base string, count int, o suite.Options, packages []string) (err error) {
	if base == "" {
		return errors.New("-base is missing: make bench-compare BASE=revision")
	}
	if count < benchstat.MinSamples {
		return fmt.Errorf("-count %d: fewer than %d runs cannot differ significantly", count, benchstat.MinSamples)
	}
	if err := o.Check(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	other := filepath.Join(dir, "base")
	if err := git(root, "worktree", "add", "--quiet", "--detach", other, base); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, git(root, "worktree", "remove", "--force", other)) }()

	both, err := inBoth(root, other, packages)
	if err != nil {
		return err
	}
	var files [2]string
	var sides [2][]*suite.Binary
	for i, tree := range []string{other, root} {
		files[i] = filepath.Join(dir, fmt.Sprintf("%d.txt", i))
		bin := filepath.Join(dir, fmt.Sprintf("bin%d", i))
		if err := os.Mkdir(bin, 0o755); err != nil {
			return err
		}
		if sides[i], err = suite.Build(tree, bin, both); err != nil {
			return err
		}
	}
	if err := takeTurns(sides, files, count, o); err != nil {
		return err
	}
	all, err := benchstat.Text(files[0], files[1])
	if err != nil {
		return err
	}
	fmt.Fprintln(w, all)
	tables, err := benchstat.Compare(files[0], files[1])
	if err != nil {
		return err
	}
	return judge(w, tables)
}

// inBoth returns the packages with benchmarks in both trees: those asked for, or all.
func inBoth(root, other string, packages []string) ([]string, error) {
	here, err := suite.Find(root)
	if err != nil {
		return nil, err
	}
	there, err := suite.Find(other)
	if err != nil {
		return nil, err
	}
	for i, p := range packages {
		packages[i] = filepath.Clean(p)
		if !slices.Contains(here, packages[i]) || !slices.Contains(there, packages[i]) {
			return nil, fmt.Errorf("%s: no benchmarks on one side", p)
		}
	}
	if len(packages) > 0 {
		return packages, nil
	}
	both := slices.DeleteFunc(here, func(p string) bool { return !slices.Contains(there, p) })
	if len(both) == 0 {
		return nil, errors.New("no package has benchmarks on both sides")
	}
	return both, nil
}

// takeTurns runs a package of one side, then of the other; each round the other side
// begins.
func takeTurns(sides [2][]*suite.Binary, files [2]string, count int, o suite.Options) error {
	var out [2]*os.File
	for i, name := range files {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		defer f.Close()
		out[i] = f
	}
	for round := range count {
		for p := range sides[0] {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, count, sides[0][p].Package)
			for turn := range 2 {
				side := (round + turn) % 2
				if err := sides[side][p].Run(out[side], o); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// judge prints every significant change, and returns an error if there is a regression
// among them.
func judge(w io.Writer, tables []benchstat.Table) error {
	for _, t := range tables {
		for _, r := range t.Rows {
			if r.Significant {
				fmt.Fprintln(w, benchstat.Change{Package: t.Package, Name: r.Name, Unit: t.Unit, Base: r.Base.Median, Value: r.Value.Median})
			}
		}
	}
	for _, name := range benchstat.Missing(tables) {
		fmt.Fprintln(w, "no longer there:", name)
	}
	worse := benchstat.Regressions(tables)
	if len(worse) == 0 {
		fmt.Fprintln(w, "no significant regression of more than 10 %")
		return nil
	}
	fmt.Fprintln(w)
	for _, c := range worse {
		fmt.Fprintln(w, "WORSE:", c)
	}
	return errRegression
}

func git(dir string, args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return nil
}
