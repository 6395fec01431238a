// Testgate reads "go test -json" from standard input, prints what a person
// needs of it, and fails unless every test ran and passed:
//
//	go test -json ./... | go run ./internal/testgate
//
// "go test" calls a skipped test a success. With CI=true in the environment testgate does
// not: a check that was skipped has not passed.
//
// With $SKIPPED in the environment it adds each skipped test to that file, of
// which "testgate -skipped FILE" makes one list, by what is missing.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	file := flag.String("skipped", "", "print a list of the skipped tests in this file")
	flag.Parse()
	if *file != "" {
		lines, err := os.ReadFile(*file)
		if err != nil {
			fmt.Fprintln(os.Stderr, "testgate:", err)
			os.Exit(1)
		}
		fmt.Print(list(string(lines)))
		return
	}
	passed, skips := gate(os.Stdin, os.Stdout, os.Getenv("CI") == "true")
	if err := note(os.Getenv("SKIPPED"), skips); err != nil {
		fmt.Fprintln(os.Stderr, "testgate:", err)
		passed = false
	}
	if !passed {
		os.Exit(1)
	}
}

// event is documented by "go doc test2json" and, for builds, "go help buildjson".
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

// A test of a package, or with an empty test the package itself.
type key struct{ pkg, test string }

func (k key) String() string {
	if k.test == "" {
		return k.pkg
	}
	return k.pkg + "." + k.test
}

// gate copies the output of failed and skipped tests and one line for each package from r
// to w, and reports whether the run counts as passed, and what was skipped.
func gate(r io.Reader, w io.Writer, strict bool) (bool, []skip) {
	var (
		passed   int
		packages int
		skipped  []skip
		failed   = map[string]bool{}
		running  = map[key]bool{} // packages and tests that started and have not ended
		output   = map[key][]string{}
	)
	// cut prints the output of a package's tests that did not end. When a process ends
	// before its tests, by a panic or a timeout, its last words, the stacks of all
	// goroutines, are the output of one of them.
	cut := func(pkg string) {
		for _, k := range slices.SortedFunc(maps.Keys(output), func(a, b key) int { return strings.Compare(a.test, b.test) }) {
			if k.pkg != pkg || k.test == "" {
				continue
			}
			if slices.ContainsFunc(output[k], func(line string) bool { return !strings.HasPrefix(line, "=== ") }) {
				fmt.Fprint(w, strings.Join(output[k], ""))
			}
			delete(output, k)
		}
		for k := range running {
			if k.pkg == pkg {
				failed[k.String()] = true
				delete(running, k)
			}
		}
	}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line == "" && err != nil {
			break
		}
		var e event
		if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
			// Not an event: the go command itself complains.
			fmt.Fprint(w, line)
			failed["go test"] = true
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "start", "run", "cont":
			running[k] = true
		case "pause":
			delete(running, k) // it waits for its turn
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "build-fail":
			failed[e.ImportPath] = true
		case "output":
			output[k] = append(output[k], e.Output)
		case "pass", "fail", "skip":
			delete(running, k)
			if e.Action == "fail" {
				failed[k.String()] = true
			}
			switch {
			case e.Test == "":
				packages++
				cut(e.Package)
				// A package of its own prints its verdict, or why it could not start.
				// One without tests has nothing to say.
				switch e.Action {
				case "pass":
					fmt.Fprintf(w, "ok  \t%s\t%.1fs\n", k, e.Elapsed)
				case "fail":
					fmt.Fprint(w, strings.Join(output[k], ""))
				}
			case e.Action == "pass":
				passed++
			default:
				fmt.Fprint(w, strings.Join(output[k], ""))
				if e.Action == "skip" {
					skipped = append(skipped, skip{k.String(), reason(output[k])})
				}
			}
			delete(output, k)
		}
	}
	// A run that was cut off has packages without a verdict.
	for _, k := range slices.SortedFunc(maps.Keys(running), func(a, b key) int { return strings.Compare(a.pkg, b.pkg) }) {
		cut(k.pkg)
	}
	fmt.Fprintf(w, "%d packages\n%d passed, %d failed, %d skipped\n", packages, passed, len(failed), len(skipped))
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		fmt.Fprintln(w, "FAIL", name)
	}
	for _, s := range skipped {
		fmt.Fprintln(w, "SKIP", s.name)
	}
	return passed > 0 && len(failed) == 0 && !(strict && len(skipped) > 0), skipped
}
