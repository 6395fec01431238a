// Package fipstest runs tests in FIPS 140-only mode, which a process is started in.
package fipstest

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Only reports whether the process enforces FIPS 140-3. Where it does not, Only runs the
// same test once more in a process that does, and the test is over.
func Only(t *testing.T) bool {
	t.Helper()
	if fips140.Enforced() {
		return true
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "in FIPS 140-only mode:\n%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}
