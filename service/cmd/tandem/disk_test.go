package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/durable"
)

// fill makes the disk full for files of this name, until the test ends or empty is
// called. Tests that use it are not parallel.
func fill(t *testing.T, op durable.Op, name string) (empty func()) {
	t.Helper()
	disk = durable.Observed(func(s durable.Step) error {
		if s.Op == op && strings.HasPrefix(filepath.Base(s.Name), name) {
			return syscall.ENOSPC
		}
		return nil
	})
	empty = func() { disk = durable.Disk{} }
	t.Cleanup(empty)
	return empty
}

// TestFullDisk: a signature that cannot be written was made and counted, and is had again
// without a PIN.
func TestFullDisk(t *testing.T) {
	server, device, file := enrolled(t)
	pin := map[string]string{"TANDEM_PIN": "80351"}
	sign := []string{"sign", "-server", server, "-device", device, file}
	code, out := inProcess(pin, sign...)
	require.Equal(t, exitOK, code, "%s", out)
	want, err := os.ReadFile(file + ".sig")
	require.NoError(t, err)
	require.NoError(t, os.Remove(file+".sig"))
	for _, op := range []durable.Op{durable.Create, durable.Write, durable.Sync, durable.Close} {
		empty := fill(t, op, filepath.Base(file)+".sig")
		code, out = inProcess(pin, append(sign, "-json")...)
		require.Equal(t, exitFailure, code, "%s", out)
		require.Contains(t, out, `"kind": "output"`)
		require.Contains(t, out, "no space left on device")
		require.NoFileExists(t, file+".sig")
		code, out = inProcess(nil, sign...)
		require.Equal(t, exitFailure, code, "%s", out)
		empty()
		code, out = inProcess(nil, append(sign, "-json")...)
		require.Equal(t, exitOK, code, "%s", out)
		require.Contains(t, out, `"resumed": true`)
		got, err := os.ReadFile(file + ".sig")
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.NoError(t, os.Remove(file+".sig"))
	}
	// Each was made once. Every run of the command is a node of its own, which may
	// deliver an event again, under its number.
	log, err := os.ReadFile(filepath.Join(server, auditFile))
	require.NoError(t, err)
	made := map[float64]bool{}
	for line := range strings.Lines(string(log)) {
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		if e["msg"] == "signature made" {
			made[e["event"].(float64)] = true
		}
	}
	require.Len(t, made, 5)
	names, err := filepath.Glob(file + "*")
	require.NoError(t, err)
	require.Equal(t, []string{file}, names, "no drafts")
}

// TestInitIsDurable: a new server's name is durable when init returns, and all that is in
// the folder before.
func TestInitIsDurable(t *testing.T) {
	dir := t.TempDir()
	server := filepath.Join(dir, "server")
	var steps []durable.Step
	disk = durable.Observed(func(s durable.Step) error {
		steps = append(steps, s)
		return nil
	})
	t.Cleanup(func() { disk = durable.Disk{} })
	code, out := inProcess(nil, "init", "-server", server, "-shape", "two-prime")
	require.Equal(t, exitOK, code, "%s", out)
	require.NotEmpty(t, steps)
	require.Equal(t, durable.SyncFolder, steps[len(steps)-3].Op)
	require.Equal(t, "server", strings.Split(filepath.Base(steps[len(steps)-3].Name), ".")[0])
	require.Equal(t, durable.Step{Op: durable.Rename, Name: server}, steps[len(steps)-2])
	require.Equal(t, durable.SyncFolder, steps[len(steps)-1].Op)
	require.Equal(t, dir, steps[len(steps)-1].Name)
}

// TestFailedInit: an init that fails leaves an empty folder empty, and none where there
// was none.
func TestFailedInit(t *testing.T) {
	for _, name := range []string{sealerFile, keysFile, configFile} {
		dir := t.TempDir()
		there := filepath.Join(dir, "there")
		require.NoError(t, os.Mkdir(there, 0o700))
		empty := fill(t, durable.Sync, name)
		for _, server := range []string{there, filepath.Join(dir, "absent")} {
			code, out := inProcess(nil, "init", "-server", server, "-shape", "two-prime")
			require.Equal(t, exitFailure, code, "%s", out)
		}
		empty()
		names, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, names, 1)
		names, err = os.ReadDir(there)
		require.NoError(t, err)
		require.Empty(t, names)
		code, out := inProcess(nil, "init", "-server", there, "-shape", "two-prime")
		require.Equal(t, exitOK, code, "%s", out)
	}
}
