// Testgate reads "go test -json" from standard input, prints what a person
// needs of it, and fails unless every test ran and passed:
//
//	go test -json ./... | go run ./internal/testgate
//
// "go test" calls a skipped test a success. With CI=true in the environment
// this does not: a check that was not made is not a check that passed.
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

// gate copies the output of failed and skipped tests and one line for each
// package from r to w, and reports whether the run counts as passed, and what was skipped.
func gate(r io.Reader, w io.Writer, strict bool) (bool, []skip) {
	var (
		passed   int
		packages int
		skipped  []skip
		failed   = map[string]bool{}
		running  = map[string]bool{} // packages that started and have not ended
		output   = map[string][]string{}
	)
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
		name := e.Package
		if e.Test != "" {
			name += "." + e.Test
		}
		switch e.Action {
		case "start":
			running[name] = true
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "build-fail":
			failed[e.ImportPath] = true
		case "output":
			output[name] = append(output[name], e.Output)
		case "pass", "fail", "skip":
			delete(running, name)
			if e.Action == "fail" {
				failed[name] = true
			}
			switch {
			case e.Test == "":
				packages++
				// A package of its own prints its verdict, or why it could not start.
				if e.Action == "pass" {
					fmt.Fprintf(w, "ok   %s %.1f s\n", name, e.Elapsed)
				} else {
					fmt.Fprint(w, strings.Join(output[name], ""))
				}
			case e.Action == "pass":
				passed++
			default:
				fmt.Fprint(w, strings.Join(output[name], ""))
				if e.Action == "skip" {
					skipped = append(skipped, skip{name, reason(output[name])})
				}
			}
			delete(output, name)
		}
	}
	// A run that was cut off has packages without a verdict.
	for name := range running {
		failed[name] = true
	}
	fmt.Fprintf(w, "%d tests passed in %d packages, %d failed, %d skipped\n", passed, packages, len(failed), len(skipped))
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		fmt.Fprintln(w, "FAIL", name)
	}
	for _, s := range skipped {
		fmt.Fprintln(w, "SKIP", s.name)
	}
	return passed > 0 && len(failed) == 0 && !(strict && len(skipped) > 0), skipped
}
