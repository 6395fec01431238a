//go:build cgo && !nopkcs11

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// TestInterruptModule presses Ctrl-C once while a call hangs in the module: the first
// one, and one on the token.
func TestInterruptModule(t *testing.T) {
	for _, function := range []string{"C_Initialize", "C_OpenSession"} {
		t.Run(function, func(t *testing.T) {
			token := hsmtest.Faulty(t)
			t.Setenv("TANDEM_HSM_PIN", token.PIN)
			token.Add(hsmtest.Rule{Function: function, Action: hsmtest.Hold, Times: hsmtest.ForEver})
			folder := filepath.Join(t.TempDir(), "s")
			var out strings.Builder
			cmd := started(t, &out, "init", "-server", folder, "-hsm", token.Module+":"+token.Label)
			require.Eventually(t, func() bool { return token.Counts().Held > 0 }, time.Minute, 5*time.Millisecond)
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			ends(t, cmd)
			require.Equal(t, exitFailure, cmd.ProcessState.ExitCode(), "%s", out.String())
			require.Contains(t, out.String(), "interrupted")
			require.NoDirExists(t, folder)
		})
	}
}
