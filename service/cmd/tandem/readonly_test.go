package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// tree is what is in a folder: names, modes, contents.
func tree(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		all[name] = info.Mode().String() + " " + info.ModTime().String()
		if !d.IsDir() {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			all[name] += string(text)
		}
		return nil
	}))
	return all
}

// TestReadOnly looks at a device's folder that cannot be written (by anybody but root):
// pubkey and status make nothing in it, not even a lock.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	server, device, _ := enrolled(t)
	key := filepath.Join(device, pin2Key)
	require.NoError(t, os.Remove(filepath.Join(key, "lock")))
	folders := []string{key, device}
	for _, folder := range folders {
		require.NoError(t, os.Chmod(folder, 0o500))
		t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
	}
	before := tree(t, device)
	for _, args := range [][]string{
		{"pubkey", "-device", device}, {"pubkey", "-device", device, "-json"},
		{"status", "-device", device}, {"status", "-device", device, "-server", server, "-json"},
	} {
		code, out := inProcess(nil, args...)
		require.Equal(t, exitOK, code, "%v: %s", args, out)
	}
	require.Equal(t, before, tree(t, device))
}

// TestInitInPlace makes a server in a folder that exists: it stays the same one, as a
// mount point must.
func TestInitInPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := filepath.Join(dir, "server")
	require.NoError(t, os.Mkdir(server, 0o700))
	before, err := os.Stat(server)
	require.NoError(t, err)
	code, out := inProcess(nil, "init", "-server", server, "-shape", "two-prime")
	require.Equal(t, exitOK, code, "%s", out)
	after, err := os.Stat(server)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
	require.FileExists(t, filepath.Join(server, configFile))
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1)
}
