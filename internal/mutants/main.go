// Command mutants shows that the tests would notice: it breaks the library in every way
// that the tables list, one at a time, and runs the tests that are meant to see it. A mutant that all
// of them pass, that does not build, or whose place in the source is gone, is a failure.
//
// It changes no file: the go command reads each mutant through -overlay.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// A mutant is one change of one file, and the tests (a regular expression) of the packages that are run on it.
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

func main() {
	parallel := flag.Int("parallel", 2, "how many at once")
	only := flag.String("only", "", "a regular expression: only the mutants whose names match it")
	flag.Parse()
	match := regexp.MustCompile(*only)
	names := map[string]bool{}
	var list []mutant
	for _, m := range mutants {
		if names[m.name] {
			fmt.Fprintf(os.Stderr, "mutants: two of the name %q\n", m.name)
			os.Exit(1)
		}
		names[m.name] = true
		if match.MatchString(m.name) {
			list = append(list, m)
		}
	}
	tmp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(tmp)
	type result struct {
		by  string
		err error
	}
	results := make([]chan result, len(list))
	slots := make(chan struct{}, *parallel)
	var wg sync.WaitGroup
	for i := range list {
		results[i] = make(chan result, 1)
	}
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
	w := bufio.NewWriter(os.Stdout)
	for i, m := range list {
		if r := <-results[i]; r.err != nil {
			fmt.Fprintf(w, "NOT CAUGHT  %s: %v\n", m.name, r.err)
		} else {
			caught++
			fmt.Fprintf(w, "%s: caught by %s\n", m.name, r.by)
		}
		w.Flush()
	}
	wg.Wait()
	fmt.Fprintf(w, "mutants: %d of %d caught\n", caught, len(list))
	w.Flush()
	if caught != len(list) || len(list) == 0 {
		os.RemoveAll(tmp)
		os.Exit(1)
	}
}
