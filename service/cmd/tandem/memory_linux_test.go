package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVerifyMemory gives verify files of 192 MiB, as FILE, key and signature: it needs
// memory for none.
func TestVerifyMemory(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	status := filepath.Join(t.TempDir(), "status")
	_, device, file := enrolled(t)
	pub, huge := file+".pem", filepath.Join(t.TempDir(), "huge")
	code, out := inProcess(nil, "pubkey", "-device", device, "-o", pub)
	require.Equal(t, exitOK, code, "%s", out)
	require.NoError(t, os.WriteFile(file+".sig", make([]byte, 256), 0o600))
	require.NoError(t, os.WriteFile(huge, nil, 0o600))
	require.NoError(t, os.Truncate(huge, 192<<20)) // sparse: it takes no room
	for _, args := range [][]string{
		{"verify", "-pubkey", pub, "-sig", huge, file},
		{"verify", "-pubkey", huge, "-sig", file + ".sig", file},
		{"verify", "-pubkey", pub, "-sig", file + ".sig", huge},
	} {
		var out strings.Builder
		cmd := exec.Command(self, args...)
		cmd.Args[0] = "tandem-peak" // see TestMain
		cmd.Env = append(os.Environ(), "PEAK="+status)
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		ends(t, cmd)
		require.Equal(t, exitFailure, cmd.ProcessState.ExitCode(), "%s", out.String())
		text, err := os.ReadFile(status)
		require.NoError(t, err)
		m := regexp.MustCompile(`(?m)^VmHWM:\s*(\d+) kB$`).FindSubmatch(text)
		require.NotNil(t, m, "%s", text)
		used, err := strconv.Atoi(string(m[1]))
		require.NoError(t, err)
		require.Less(t, used, 96<<10, "%v: %s", args, out.String())
	}
}
