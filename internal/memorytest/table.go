//go:build linux

package memorytest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/erase"
)

// The columns of the table in docs/assurance.md.
const (
	Assembly = "assembly"
	Bigmod   = "bigmod"
	erasing  = "runtimesecret"
)

// PauseTwice stops the child for [Process.RequireWipedTwice]: after a collection, which
// runtime/secret needs, and in a build without it also before one, when no garbage has
// gone back to the system.
func PauseTwice(t testing.TB) {
	if !erase.Enabled {
		Pause(t, "wiped")
	}
	runtime.GC()
	runtime.GC()
	Pause(t, "collected")
}

// RequireWipedTwice is [Process.RequireWiped] in each of the states of [PauseTwice].
func (p *Process) RequireWipedTwice(test, arithmetic string, runs ...map[string][]byte) {
	p.t.Helper()
	if !erase.Enabled {
		p.Wait("wiped")
		p.RequireWiped(test, arithmetic, runs...)
		p.Continue()
	}
	p.Wait("collected")
	p.RequireWiped(test, arithmetic, runs...)
	p.Continue()
}

// RequireWiped searches the child for the secrets that the table of docs/assurance.md
// lists under the test's name, for each of several runs. It fails if one is found that
// may not stay, by the column of the arithmetic, or in a build with runtime/secret by
// that column.
func (p *Process) RequireWiped(test, arithmetic string, runs ...map[string][]byte) {
	p.t.Helper()
	if erase.Enabled {
		arithmetic = erasing
	}
	listed, err := stays(readTable(p.t), test, arithmetic)
	require.NoError(p.t, err)
	for _, secrets := range runs {
		require.Equal(p.t, slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(secrets)),
			"the secrets that the table says %s looks for, and those that it does", test)
	}
	found := p.Search(runs...)
	p.t.Logf("%s: words left: %v", arithmetic, found)
	maps.DeleteFunc(found, func(name string, _ int) bool { return listed[name] })
	require.Empty(p.t, found, "words of secrets that are still in memory")
}

func readTable(t testing.TB) string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if b, err := os.ReadFile(filepath.Join(dir, "docs/assurance.md")); err == nil {
			return string(b)
		}
	}
	require.Fail(t, "no docs/assurance.md")
	return ""
}

// stays returns the secrets that a test looks for, and whether each may stay.
func stays(text, test, arithmetic string) (map[string]bool, error) {
	_, text, ok := strings.Cut(text, "\n## What stays in memory\n")
	if !ok {
		return nil, fmt.Errorf("no section on memory")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	cells := func(line string) []string {
		var out []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			out = append(out, strings.TrimSpace(cell))
		}
		return out
	}
	var header []string
	listed := map[string]bool{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		row := cells(line)
		if header == nil {
			header = row
		}
		column := slices.Index(header, arithmetic)
		if column < 2 || len(row) != len(header) {
			return nil, fmt.Errorf("the table has no column %q in %q", arithmetic, line)
		}
		if row[1] != "`"+test+"`" {
			continue
		}
		var may bool
		switch cell := row[column]; {
		case cell == "nothing":
		case cell == "may stay", strings.HasPrefix(cell, "may stay: "):
			may = true
		default:
			return nil, fmt.Errorf("the table says neither nothing nor may stay: %q", cell)
		}
		for name := range strings.SplitSeq(row[0], ", ") {
			if _, twice := listed[name]; twice {
				return nil, fmt.Errorf("%s is in the table of %s twice", name, test)
			}
			listed[name] = may
		}
	}
	if len(listed) == 0 {
		return nil, fmt.Errorf("the table has no row of %s", test)
	}
	return listed, nil
}
