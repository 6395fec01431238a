// Package durabletest is for tests that "make durable" runs in a long form: how often to
// repeat something, and what was shown in the end.
package durabletest

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

var long = flag.Bool("durable", false, "repeat faults as often as make durable does: for minutes")

// Long reports whether the long form runs.
func Long() bool { return *long }

// Times returns how often to repeat something: in the long form, as make test does, or
// with -short.
func Times(often, ordinary, short int) int {
	switch {
	case *long:
		return often
	case testing.Short():
		return short
	}
	return ordinary
}

// Claim says what a test has shown, with its figures. In the long form it is added to the
// file $CLAIMS, which make durable prints at its end.
func Claim(t testing.TB, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Log(line)
	if name := os.Getenv("CLAIMS"); *long && name != "" && !t.Failed() {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := fmt.Fprintln(f, line); err != nil {
			t.Fatal(err)
		}
	}
}
