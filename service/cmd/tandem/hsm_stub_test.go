//go:build !cgo || !unix || nopkcs11

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoPKCS11 asks a build without PKCS #11 for a token: it says how to build one that
// has it.
func TestNoPKCS11(t *testing.T) {
	dir := t.TempDir()
	module := filepath.Join(dir, "module.so")
	require.NoError(t, os.WriteFile(module, nil, 0o600))
	code, out := inProcess(map[string]string{"TANDEM_HSM_PIN": "1234"}, "init", "-server", filepath.Join(dir, "s"), "-hsm", module+":token", "-json")
	require.Equal(t, exitFailure, code)
	require.Contains(t, out, `"kind": "hsm"`)
	require.Contains(t, out, "CGO_ENABLED=1")
	require.NoDirExists(t, filepath.Join(dir, "s"))
}
