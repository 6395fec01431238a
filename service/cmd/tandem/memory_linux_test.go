package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVerifyMemory gives verify files of 384 MiB, as FILE, key and signature: it needs
// memory for none.
func TestVerifyMemory(t *testing.T) {
	t.Parallel()
	_, device, file := enrolled(t)
	pub, huge := file+".pem", filepath.Join(t.TempDir(), "huge")
	code, out := inProcess(nil, "pubkey", "-device", device, "-o", pub)
	require.Equal(t, exitOK, code, "%s", out)
	require.NoError(t, os.WriteFile(file+".sig", make([]byte, 256), 0o600))
	require.NoError(t, os.WriteFile(huge, nil, 0o600))
	require.NoError(t, os.Truncate(huge, 384<<20)) // sparse: it takes no room
	for _, args := range [][]string{
		{"verify", "-pubkey", pub, "-sig", huge, file},
		{"verify", "-pubkey", huge, "-sig", file + ".sig", file},
		{"verify", "-pubkey", pub, "-sig", file + ".sig", huge},
	} {
		var out strings.Builder
		cmd := started(t, &out, args...)
		ends(t, cmd)
		require.Equal(t, exitFailure, cmd.ProcessState.ExitCode(), "%s", out.String())
		used := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss // KiB
		require.Less(t, used, int64(128<<10), "%v: %s", args, out.String())
	}
}
