//go:build unix

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadOnlyAsNobody looks at folders as a user who may not write to them, also where
// the test runs as root: a device's, and a server's whose store is to be read.
func TestReadOnlyAsNobody(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	dir := filepath.Dir(file)
	self, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(self)
	require.NoError(t, err)
	name := filepath.Join(dir, "tandem")
	require.NoError(t, os.WriteFile(name, program, 0o755))
	temporary := filepath.Join(dir, "tmp")
	require.NoError(t, os.Mkdir(temporary, 0o700))
	const nobody = 65534
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if os.Geteuid() == 0 {
			require.NoError(t, os.Chown(name, nobody, nobody))
		}
		if d.Name() == "lock" {
			return os.Remove(name)
		}
		return nil
	}))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711)) // t.TempDir's is 0700
	}
	mode := func(folderMode, fileMode fs.FileMode) {
		for _, folder := range []string{server, device} {
			require.NoError(t, filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
				require.NoError(t, err)
				if d.IsDir() {
					return os.Chmod(name, folderMode)
				}
				return os.Chmod(name, fileMode)
			}))
		}
	}
	t.Cleanup(func() { mode(0o700, 0o600) })
	mode(0o500, 0o400)
	before := []map[string]string{tree(t, server), tree(t, device)}
	for want, args := range map[string][]string{
		"BEGIN PUBLIC KEY":                   {"pubkey", "-device", device},
		"ready, RSA-2048":                    {"status", "-device", device},
		"server: active; wrong PINs: 3 left": {"status", "-device", device, "-server", server},
	} {
		cmd := exec.Command(name, args...)
		cmd.Args[0] = "tandem" // see TestMain
		cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), want)
	}
	require.Equal(t, before, []map[string]string{tree(t, server), tree(t, device)})
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)
}
