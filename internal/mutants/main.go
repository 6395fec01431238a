// Command mutants shows that the tests would notice a fault: it breaks the library in one
// way after another, and the tests must fail each time. It changes no file: the go
// command reads each mutant through -overlay.
//
// The tables (table.go) hold faults that somebody thought of: a promise that is broken,
// with the tests that are meant to see it. A mutant that all of them pass, that does not
// build, or whose place in the source is gone, is a failure.
//
// Beside them are mutants by rule, of which nobody thought (operators.go): thousands, of
// which a sample is drawn, in an order that the seed and the mutants' names decide. Those
// of one package are built at once, each behind a switch (build.go). On each, the tests
// run that run its line, the fastest first. Which these are is measured, and kept in the
// user's cache folder under the hash of the tests' binary. At least 95 of 100 must be
// killed; what no test can see is listed in equivalent.txt, with the reason.
//
//	go run ./internal/mutants                            the tables
//	go run ./internal/mutants -only REGEXP               of the tables, some
//	go run ./internal/mutants -part 4/5                  of the tables, a fifth, by name
//	go run ./internal/mutants -table=false -sample 300   300 by rule
//	go run ./internal/mutants -table=false -all -rule '^pinlock/seal'
//
// go-gremlins/gremlins (v0.6.0), a tool for the second part, does not fit: it removes no
// statement (a clear, a Wipe, a defer), which is what this library must notice first,
// drops no error, draws no sample, and runs all tests of a package on each mutant, in a
// copy of the whole module for each worker.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// A mutant is one change of one file, and the tests (a regular expression) of the
// packages that are run on it.
type mutant struct {
	name     string
	file     string
	old, new string
	packages string
	tests    string
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^panic: (.*)$`)

// apply returns the mutant's source. The old text must be there exactly once.
func (m mutant) apply(source []byte) ([]byte, error) {
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%q is in %s %d times, want once", m.old, m.file, n)
	}
	return bytes.Replace(source, []byte(m.old), []byte(m.new), 1), nil
}

// caught returns the test that the mutant fails.
func (m mutant) caught(dir string) (string, error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	changed, err := m.apply(source)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, path.Base(m.file))
	if err := os.WriteFile(name, changed, 0o600); err != nil {
		return "", err
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: name}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		return "", err
	}
	args := append([]string{"test", "-overlay", filepath.Join(dir, "overlay.json"), "-count=1", "-vet=off", "-failfast", "-timeout=5m", "-run", m.tests}, strings.Fields(m.packages)...)
	out, err := exec.Command("go", args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && bytes.Contains(out, []byte("no tests to run")):
		return "", fmt.Errorf("no test %s", m.tests)
	case err == nil:
		return "", errors.New("no test fails")
	case !errors.As(err, &exit):
		return "", err
	case bytes.Contains(out, []byte("[build failed]")):
		return "", fmt.Errorf("it does not build:\n%s", out)
	}
	// The innermost subtest is named last.
	var by string
	for _, match := range failed.FindAllSubmatch(out, -1) {
		if found := string(match[1]); strings.HasPrefix(found, by) {
			by = found
		}
		if by == "" && len(match[2]) > 0 {
			by = "a panic: " + string(match[2])
		}
	}
	if by == "" {
		return "", fmt.Errorf("the tests did not end as they should:\n%s", out)
	}
	return by, nil
}

// runTable tries the mutants of the tables whose names match and says whether all are
// caught.
func runTable(tmp string, match *regexp.Regexp, p part, parallel int) (bool, error) {
	names := map[string]bool{}
	var list []mutant
	for _, m := range mutants {
		if names[m.name] {
			return false, fmt.Errorf("two mutants of the name %q", m.name)
		}
		names[m.name] = true
		if match.MatchString(m.name) && p.has(m.name) {
			list = append(list, m)
		}
	}
	if err := pass(list); err != nil {
		return false, err
	}
	type result struct {
		by  string
		err error
	}
	results := make([]chan result, len(list))
	for i := range list {
		results[i] = make(chan result, 1)
	}
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i, m := range list {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				dir := filepath.Join(tmp, fmt.Sprint(i))
				err := os.Mkdir(dir, 0o700)
				var by string
				if err == nil {
					by, err = m.caught(dir)
				}
				results[i] <- result{by, err}
			})
		}
	})
	caught := 0
	for i, m := range list {
		if r := <-results[i]; r.err != nil {
			fmt.Printf("NOT CAUGHT  %s: %v\n", m.name, r.err)
		} else {
			caught++
			fmt.Printf("%s: caught by %s\n", m.name, r.by)
		}
	}
	wg.Wait()
	fmt.Printf("mutants: %d of %d caught, part %d of %d of the tables\n", caught, len(list), p.number+1, p.of)
	return caught == len(list) && len(list) > 0, nil
}

// pass runs the tests of the mutants on the source as it is. They must pass: one that
// fails anyway would catch every mutant.
func pass(list []mutant) error {
	tests := map[string][]string{}
	for _, m := range list {
		if !slices.Contains(tests[m.packages], m.tests) {
			tests[m.packages] = append(tests[m.packages], m.tests)
		}
	}
	for packages, names := range tests {
		args := append([]string{"test", "-count=1", "-vet=off", "-timeout=10m", "-run", strings.Join(names, "|")}, strings.Fields(packages)...)
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("tests of %s fail without a mutant: %w\n%s", packages, err, out)
		}
	}
	return nil
}

// A part is one of several of the tables: the mutants whose names have a hash that is its
// number modulo their number. A new mutant changes the part of no other.
type part struct{ number, of int }

// parsePart reads "k/n". k is taken modulo n: with the number of commits as k, each
// commit tries the next part.
func parsePart(s string) (part, error) {
	var p part
	var rest string
	if n, _ := fmt.Sscanf(s, "%d/%d%s", &p.number, &p.of, &rest); n != 2 || p.number < 0 || p.of < 1 {
		return p, fmt.Errorf("-part %q: want k/n", s)
	}
	p.number %= p.of
	return p, nil
}

func (p part) has(name string) bool {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32()%uint32(p.of)) == p.number
}

func main() {
	only := flag.String("only", "", "a regular expression: the mutants of the tables whose names match it, and none by rule")
	table := flag.Bool("table", true, "try the mutants of the tables")
	var draw sampling
	flag.IntVar(&draw.size, "sample", 0, "how many mutants by rule to draw")
	flag.IntVar(&draw.seed, "seed", 1, "of the draw")
	flag.IntVar(&draw.skip, "skip", 0, "how many to leave out at the beginning of the draw")
	flag.BoolVar(&draw.all, "all", false, "draw every mutant by rule: hours")
	rule := flag.String("rule", "", "a regular expression: mutants by rule whose names (file | function | old => new | number) match it")
	flag.IntVar(&draw.parallel, "parallel", runtime.NumCPU(), "how many at once")
	of := flag.String("part", "0/1", "which part of the tables, k/n: k may be any number, and counts modulo n")
	flag.Parse()
	p, err := parsePart(*of)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
	draw.match = regexp.MustCompile(*rule)
	match := regexp.MustCompile(*only)
	tmp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
	ok := true
	if *table {
		ok, err = runTable(tmp, match, p, draw.parallel)
	}
	if err == nil && *only == "" && (draw.size > 0 || draw.all) {
		var enough bool
		enough, err = draw.run(tmp)
		ok = ok && enough
	}
	os.RemoveAll(tmp)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}
