package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memoryLimit is the address space of one run of tests, in KiB: a mutant may allocate
// without end.
const memoryLimit = 12 << 20

// suite is the tests of one package, and which of them run which lines of a target.
type suite struct {
	dir   string // of the package
	tests []test // the fastest first
}

type test struct {
	Name  string
	Time  time.Duration     // of processors
	Clock time.Duration     // on the clock
	Lines map[string][]span // of each file that it runs
}

type span struct{ From, To int }

func (t test) runs(c change) bool {
	return slices.ContainsFunc(t.Lines[c.file], func(s span) bool { return s.From <= c.runs && c.runs <= s.To })
}

// measure builds the tests of a package and runs each by itself, several at once, to know
// what it runs and how long that takes. What it finds is kept for the next time, under
// the hash of the binary.
func measure(tmp, dir, of string, parallel int) (*suite, error) {
	binary := filepath.Join(tmp, strings.ReplaceAll(dir+" "+of, "/", "-")+".test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-cover", "-coverpkg=./"+of, "-o", binary, "./"+dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %v\n%s", dir, err, out)
	}
	s := &suite{dir: dir}
	contents, err := os.ReadFile(binary)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil // without tests of its own
	}
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	known := filepath.Join(cache, "tandem-mutants", fmt.Sprintf("%x.json", sha256.Sum256(contents)))
	if text, err := os.ReadFile(known); err == nil && json.Unmarshal(text, &s.tests) == nil {
		return s, nil
	}
	list, err := run(dir, time.Minute, 0, binary, "-test.list", "^(Test|Fuzz|Example)")
	if err != nil {
		return nil, fmt.Errorf("%s: %v\n%s", dir, err, list)
	}
	names := slices.DeleteFunc(strings.Fields(string(list)), func(name string) bool { return !testName.MatchString(name) })
	found, errs := make([]*test, len(names)), make([]error, len(names))
	slots := make(chan struct{}, parallel)
	var group sync.WaitGroup
	for i, name := range names {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			found[i], errs[i] = measureOne(dir, binary, name)
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, t := range found {
		if t != nil {
			s.tests = append(s.tests, *t)
		}
	}
	slices.SortStableFunc(s.tests, func(a, b test) int { return int(a.Time - b.Time) })
	text, err := json.Marshal(s.tests)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(known), 0o755)
	}
	if err == nil {
		err = os.WriteFile(known, text, 0o600)
	}
	return s, err
}

// measureOne runs one test. It returns none for a test that does not pass.
func measureOne(dir, binary, name string) (*test, error) {
	profile := binary + "." + name
	start := time.Now()
	out, took, err := timed(dir, 10*time.Minute, 0, binary, "-test.short", "-test.run", "^"+name+"$", "-test.coverprofile", profile)
	t := &test{Name: name, Time: took, Clock: time.Since(start)}
	if err != nil {
		// Counters change what a few tests look at (allocations, memory). Such a test
		// says nothing of coverage.
		fmt.Printf("mutants: %s.%s does not pass with counters and is left out\n%s", dir, name, tail(out))
		return nil, nil
	}
	text, err := os.ReadFile(profile)
	if err != nil {
		return nil, err
	}
	os.Remove(profile)
	t.Lines, err = parseProfile(text)
	return t, err
}

var testName = regexp.MustCompile(`^(Test|Fuzz|Example)\w*$`)

// parseProfile returns the lines that were run of each file, which is named from the
// root.
func parseProfile(text []byte) (map[string][]span, error) {
	lines := map[string][]span{}
	for line := range strings.Lines(string(text)) {
		var s span
		var c [4]int
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || name == "mode" {
			continue
		}
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &s.From, &c[0], &s.To, &c[1], &c[2], &c[3]); err != nil {
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
func run(dir string, limit time.Duration, mutant int, binary string, args ...string) ([]byte, error) {
	out, _, err := timed(dir, limit, mutant, binary, args...)
	return out, err
}

// timed also returns the processor time that it took.
func timed(dir string, limit time.Duration, mutant int, binary string, args ...string) ([]byte, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -v ` + strconv.Itoa(memoryLimit) + `; exec "$0" "$@"`, binary}, args...)...)
	cmd.Dir = dir
	if mutant != 0 {
		cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(mutant))
	}
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return out, 0, context.DeadlineExceeded
	}
	if cmd.ProcessState == nil { // it did not start
		return out, 0, err
	}
	return out, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
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
	equivalent // survived, and equivalent.txt says why no test can see it
)

var verdictNames = [...]string{"killed", "SURVIVED", "NOT COVERED", "equivalent"}

func (v verdict) String() string { return verdictNames[v] }

// A mutant is tried in two passes. The first runs the tests of its own package that take
// less than short each, in two processes: those that take no time at all, then the
// others. The second begins when all mutants have had the first. It runs the long tests,
// those of other packages, and those that do not run the line themselves.
const (
	noTime = 500 * time.Millisecond // all of the first process
	short  = time.Second
)

// rounds returns the tests of a package that run in one pass on a change, those of one
// process together, and whether any of the package runs the line.
func (s *suite) rounds(c change, own bool, pass int) (rounds [][]test, covered bool) {
	var fast, rest, long, others []test
	var sum time.Duration
	for _, t := range s.tests {
		sum += t.Time
		switch {
		case !t.runs(c):
			others = append(others, t)
			sum -= t.Time
		case sum < noTime:
			fast = append(fast, t)
		case t.Time < short:
			rest = append(rest, t)
		default:
			long = append(long, t)
		}
	}
	add := func(list []test) {
		if len(list) > 0 {
			rounds = append(rounds, list)
		}
	}
	if own == (pass == 1) {
		add(fast)
		add(rest)
	}
	if pass == 2 {
		for _, t := range long {
			add([]test{t})
		}
		// Some run the line in a process of their own: of other packages those that
		// search its memory.
		if !own {
			others = slices.DeleteFunc(others, func(t test) bool { return !strings.HasPrefix(t.Name, "TestMemory") })
		}
		add(others)
	}
	return rounds, len(fast)+len(rest)+len(long) > 0
}

// try runs the tests of one pass on a change. suiteOf gives the tests of a package.
func (b *batch) try(c change, pass int, suiteOf func(dir string) (*suite, error)) (verdict, string, error) {
	result := uncovered
	for i, dir := range b.target.tests {
		if pass == 1 && i > 0 {
			break
		}
		s, err := suiteOf(dir)
		if err != nil {
			return 0, "", err
		}
		rounds, covered := s.rounds(c, i == 0, pass)
		if covered {
			result = survived
		}
		if len(rounds) == 0 {
			continue
		}
		binary, err := b.binary(dir, s)
		if err != nil {
			return 0, "", err
		}
		for _, round := range rounds {
			out, err := runTests(dir, binary, round, b.number(c))
			var exit *exec.ExitError
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				return killed, dir + ": it does not end", nil
			case errors.As(err, &exit):
				by := "a crash"
				if m := failed.FindSubmatch(out); m != nil {
					by = string(m[1]) + string(m[2])
				}
				return killed, dir + ": " + by, nil
			case err != nil:
				return 0, "", err
			}
		}
	}
	return result, "", nil
}

// runTests runs some tests of a binary with one mutant switched on, or none.
func runTests(dir, binary string, tests []test, mutant int) ([]byte, error) {
	var names []string
	limit := 30 * time.Second
	for _, t := range tests {
		names = append(names, t.Name)
		limit += 10 * t.Clock
	}
	return run(dir, limit, mutant, binary, "-test.short", "-test.failfast", "-test.run", "^("+strings.Join(names, "|")+")$")
}
