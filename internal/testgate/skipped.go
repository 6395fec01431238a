package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// skip is a test that did not run, and what it said about that.
type skip struct{ name, reason string }

var (
	// What t.Skip prints: "    file_test.go:12: reason".
	printed = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)\n$`)
	install = regexp.MustCompile(`apt-get install (.+)$`)
)

// reason returns what a skipped test printed last of itself.
func reason(output []string) string {
	for _, line := range slices.Backward(output) {
		if m := printed.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return "no reason given"
}

// note adds a line for each to the file. Without a name there is no file.
func note(file string, skips []skip) error {
	if file == "" || len(skips) == 0 {
		return nil
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, s := range skips {
		fmt.Fprintf(&text, "%s\t%s\n", s.name, s.reason)
	}
	_, err = f.WriteString(text.String())
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// list says what the lines of such a file come to.
func list(lines string) string {
	names := map[string][]string{} // by reason
	packages := map[string]bool{}
	n := 0
	for line := range strings.Lines(lines) {
		name, reason, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		name = strings.TrimPrefix(name, "github.com/tandem-rsa/tandem/")
		if slices.Contains(names[reason], name) {
			continue
		}
		n++
		names[reason] = append(names[reason], name)
		if m := install.FindStringSubmatch(reason); m != nil {
			for p := range strings.FieldsSeq(m[1]) {
				packages[p] = true
			}
		}
	}
	if n == 0 {
		return "Nothing was skipped.\n"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%d skipped:\n", n)
	for _, reason := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&out, "- %s\n    %s\n", reason, strings.Join(names[reason], "\n    "))
	}
	if len(packages) > 0 {
		fmt.Fprintf(&out, "On Debian all that is missing comes with: apt-get install %s\n", strings.Join(slices.Sorted(maps.Keys(packages)), " "))
	}
	return out.String()
}
