// Package needtest finds what a test needs and not every machine has: programs, and
// files of libraries.
//
// Without it the test is skipped, and says which Debian package to install; "make test"
// repeats that in one list at its end (see internal/testgate). With CI=true in the
// environment the test fails instead: a check that was skipped has not passed.
package needtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program returns the path of a program. The packages are separated by spaces.
func Program(t testing.TB, name, packages string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name, packages)
	}
	return path
}

// File returns the path of the first file that matches one of the patterns
// ([filepath.Glob]).
func File(t testing.TB, packages string, patterns ...string) string {
	t.Helper()
	for _, pattern := range patterns {
		if files, err := filepath.Glob(pattern); err == nil && len(files) > 0 {
			return files[0]
		}
	}
	Missing(t, filepath.Base(patterns[0]), packages)
	return ""
}

// Missing ends the test for want of something.
func Missing(t testing.TB, what, packages string) {
	t.Helper()
	Need(t, what+" is missing: apt-get install "+packages)
}

// Need ends the test for want of what no package brings: a right, a running service. The
// reason says what to do about it.
func Need(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
