package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// equivalents reads the changes that no test can see, and why: a line with the key of the
// change, and under it, indented, the reason.
func equivalents(name string) (map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[string]string{}
	var key string
	s := bufio.NewScanner(f)
	for s.Scan() {
		line := s.Text()
		switch {
		case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "\t"):
			if key == "" {
				return nil, fmt.Errorf("%s: a reason without a change: %s", name, line)
			}
			out[key] = strings.TrimSpace(out[key] + " " + strings.TrimSpace(line))
		default:
			if key = line; out[key] != "" {
				return nil, fmt.Errorf("%s: twice: %s", name, key)
			}
			out[key] = ""
		}
	}
	return out, s.Err()
}

const equivalentFile = "internal/mutants/equivalent.txt"

// sampling says which mutants by rule are tried, of those whose names match: all, or the
// first size that build from place skip of the draw on.
type sampling struct {
	seed, skip, size, parallel int
	all                        bool
	match                      *regexp.Regexp
}

// run tries them, and reports whether at least 95 of 100 that a test could see are
// killed.
func (d sampling) run(tmp string) (bool, error) {
	list, err := allChanges()
	if err != nil {
		return false, err
	}
	known, err := equivalents(equivalentFile)
	if err != nil {
		return false, err
	}
	list = slices.DeleteFunc(list, func(c change) bool { return !d.match.MatchString(c.key()) })
	draw(list, d.seed)
	population := len(list)
	list = list[min(d.skip, len(list)):]
	if d.all {
		d.size = len(list)
	}

	check, err := newChecker()
	if err != nil {
		return false, err
	}
	var drawn []change
	unbuilt := 0
	for _, c := range list {
		if len(drawn) == d.size {
			break
		}
		ok, err := check.builds(c)
		if err != nil {
			return false, err
		}
		if !ok {
			unbuilt++
			continue
		}
		drawn = append(drawn, c)
	}
	all, err := batches(drawn, tmp)
	if err != nil {
		return false, err
	}

	var mu sync.Mutex // over what follows
	suites := map[string]func() (*suite, error){}
	suiteOf := func(dir, of string) (*suite, error) {
		mu.Lock()
		key := dir + " of " + of
		if suites[key] == nil {
			suites[key] = sync.OnceValues(func() (*suite, error) { return measure(tmp, dir, of, d.parallel) })
		}
		get := suites[key]
		mu.Unlock()
		return get()
	}
	var firstErr error
	var count [len(verdictNames)]int
	var survivors []change
	report := func(c change, v verdict, by string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			firstErr = cmp.Or(firstErr, err)
			return
		}
		reason, listed := known[c.key()]
		switch {
		case listed && v != killed:
			v, by = equivalent, reason
		case listed:
			by += " (though equivalent.txt has it)"
		}
		count[v]++
		if v == survived || v == uncovered {
			survivors = append(survivors, c)
		}
		fmt.Printf("%s:%d %s: %s: %s %s\n", c.file, c.line, c.function, c.text, v, by)
	}
	type task struct {
		b *batch
		c change
	}
	var now, later []task
	for _, b := range all {
		for _, c := range b.changes {
			now = append(now, task{b, c})
		}
	}
	for pass := 1; pass <= 2 && firstErr == nil; pass++ {
		var wg sync.WaitGroup
		next := 0
		take := func() (t task, ok bool) {
			mu.Lock()
			defer mu.Unlock()
			if next == len(now) || firstErr != nil {
				return task{}, false
			}
			next++
			return now[next-1], true
		}
		for range d.parallel {
			wg.Go(func() {
				for t, ok := take(); ok; t, ok = take() {
					v, by, err := t.b.try(t.c, pass, func(tests string) (*suite, error) { return suiteOf(tests, t.b.target.dir) })
					if t.b.alone && (v == killed || pass == 2) {
						os.RemoveAll(t.b.tmp)
					}
					if err == nil && v != killed && pass == 1 {
						mu.Lock()
						later = append(later, t)
						fmt.Println("not yet killed:", t.c.key())
						mu.Unlock()
						continue
					}
					report(t.c, v, by, err)
				}
			})
		}
		wg.Wait()
		now, later = later, nil
	}
	if firstErr != nil {
		return false, firstErr
	}
	seen := count[killed] + count[survived] + count[uncovered]
	for _, c := range survivors {
		fmt.Println("survivor:", c.key())
	}
	fmt.Printf("mutants by rule: seed %d, %d of %d drawn: %d killed, %d survived, %d on lines that no test runs, %d equivalent; %d more do not build\n",
		d.seed, len(drawn), population, count[killed], count[survived], count[uncovered], count[equivalent], unbuilt)
	return 100*count[killed] >= 95*seen, nil
}
