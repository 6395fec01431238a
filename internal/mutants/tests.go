package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memoryLimit is the address space of one run of tests, in KiB: a mutant may allocate without end.
const memoryLimit = 12 << 20

// suite is the tests of one package, and which of them run which lines of a target.
type suite struct {
	dir   string // of the package
	tests []test // the fastest first
}

type test struct {
	name  string
	time  time.Duration
	lines map[string][]span // of each file that it runs
}

type span struct{ from, to int }

func (t test) runs(c change) bool {
	return slices.ContainsFunc(t.lines[c.file], func(s span) bool { return s.from <= c.line && c.line <= s.to })
}

// measure builds the tests of a package and runs each by itself, to know what it runs and how
// long that takes. All must pass.
func measure(tmp, dir, of string) (*suite, error) {
	binary := filepath.Join(tmp, strings.ReplaceAll(dir+" "+of, "/", "-")+".test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-cover", "-coverpkg=./"+of, "-o", binary, "./"+dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %v\n%s", dir, err, out)
	}
	list, err := run(dir, time.Minute, binary, "-test.list", "^(Test|Fuzz|Example)")
	if err != nil {
		return nil, fmt.Errorf("%s: %v\n%s", dir, err, list)
	}
	s := &suite{dir: dir}
	for _, name := range strings.Fields(string(list)) {
		if !testName.MatchString(name) {
			continue
		}
		profile := filepath.Join(tmp, "profile")
		start := time.Now()
		out, err := run(dir, 10*time.Minute, binary, "-test.run", "^"+name+"$", "-test.coverprofile", profile)
		t := test{name: name, time: time.Since(start)}
		if err != nil {
			// Counters change what a few tests look at (allocations, memory). Such a test says
			// nothing of coverage.
			fmt.Printf("mutants: %s.%s does not pass with counters and is left out\n%s", dir, name, tail(out))
			continue
		}
		text, err := os.ReadFile(profile)
		if err != nil {
			return nil, err
		}
		if t.lines, err = parseProfile(text); err != nil {
			return nil, err
		}
		s.tests = append(s.tests, t)
	}
	slices.SortStableFunc(s.tests, func(a, b test) int { return int(a.time - b.time) })
	return s, nil
}

var testName = regexp.MustCompile(`^(Test|Fuzz|Example)\w*$`)

// parseProfile returns the lines that were run of each file, which is named from the root.
func parseProfile(text []byte) (map[string][]span, error) {
	lines := map[string][]span{}
	for line := range strings.Lines(string(text)) {
		var s span
		var c [4]int
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || name == "mode" {
			continue
		}
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &s.from, &c[0], &s.to, &c[1], &c[2], &c[3]); err != nil {
			return nil, fmt.Errorf("profile: %q: %v", line, err)
		}
		if c[3] > 0 {
			name = strings.TrimPrefix(name, "github.com/tandem-rsa/tandem/")
			lines[name] = append(lines[name], s)
		}
	}
	return lines, nil
}

// run runs a program in a folder, with bounds on its time and memory.
func run(dir string, limit time.Duration, binary string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -v ` + strconv.Itoa(memoryLimit) + `; exec "$0" "$@"`, binary}, args...)...)
	cmd.Dir = dir
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return out, context.DeadlineExceeded
	}
	return out, err
}

func tail(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], "\n") + "\n"
}

// A verdict says what became of a change.
type verdict int

const (
	killed verdict = iota
	survived
	uncovered  // no test runs the line
	unbuilt    // not a Go program: no mutant at all
	equivalent // survived, and equivalent.txt says why no test can see it
)

var verdictNames = [...]string{"killed", "SURVIVED", "NOT COVERED", "does not build", "equivalent"}

func (v verdict) String() string { return verdictNames[v] }

// try builds the tests with the change and runs those that run its line: the fastest first,
// and all in one process that take less than short. suiteOf gives the tests of a package.
func (c change) try(tmp string, suiteOf func(dir string) (*suite, error)) (verdict, string, error) {
	const short = 300 * time.Millisecond
	source, err := os.ReadFile(c.file)
	if err != nil {
		return 0, "", err
	}
	changed, overlay := filepath.Join(tmp, path.Base(c.file)), filepath.Join(tmp, "overlay.json")
	original, err := filepath.Abs(c.file)
	if err != nil {
		return 0, "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		return 0, "", err
	}
	if err := errors.Join(os.WriteFile(changed, c.apply(source), 0o600), os.WriteFile(overlay, text, 0o600)); err != nil {
		return 0, "", err
	}
	result := uncovered
	for _, dir := range targetOf(c.file).tests {
		s, err := suiteOf(dir)
		if err != nil {
			return 0, "", err
		}
		var rounds [][]test
		for _, t := range s.tests {
			if !t.runs(c) {
				continue
			}
			if len(rounds) == 0 || t.time > short {
				rounds = append(rounds, nil)
			}
			rounds[len(rounds)-1] = append(rounds[len(rounds)-1], t)
		}
		if len(rounds) == 0 {
			continue
		}
		result = survived
		binary := filepath.Join(tmp, "changed.test")
		if out, err := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, "./"+s.dir).CombinedOutput(); err != nil {
			if bytes.Contains(out, []byte(path.Base(c.file)+":")) {
				return unbuilt, "", nil
			}
			return 0, "", fmt.Errorf("%s: %v\n%s", c.key(), err, out)
		}
		for _, round := range rounds {
			var names []string
			limit := 30 * time.Second
			for _, t := range round {
				names = append(names, t.name)
				limit += 10 * t.time
			}
			out, err := run(s.dir, limit, binary, "-test.failfast", "-test.run", "^("+strings.Join(names, "|")+")$")
			var exit *exec.ExitError
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				return killed, s.dir + ": it does not end", nil
			case errors.As(err, &exit):
				by := "a crash"
				if m := failed.FindSubmatch(out); m != nil {
					by = string(m[1]) + string(m[2])
				}
				return killed, s.dir + ": " + by, nil
			case err != nil:
				return 0, "", err
			}
		}
	}
	return result, "", nil
}
