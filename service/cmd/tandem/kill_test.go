package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/stores/bolt"
)

// kills is how often a command is killed, at moments spread evenly over its run.
func kills() time.Duration {
	if testing.Short() {
		return 3
	}
	return 12
}

// enroll is a command that splits a key which is there: quicker than to make one.
func enroll(server string) []string {
	return []string{
		"enroll", "-server", server, "-device", server + "-d", "-key", "sign", "-argon2", "1,32,1",
		"-sharing", "additive", "-import", "testdata/keys/rsa2048.pem",
	}
}

// process runs the command as a process of its own and kills it after a while, unless
// that is 0. It returns how long it ran.
func process(t *testing.T, after time.Duration, pin string, args ...string) time.Duration {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "tandem" // see TestMain
	cmd.Env = append(os.Environ(), "TANDEM_PIN="+pin)
	start := time.Now()
	require.NoError(t, cmd.Start())
	if after > 0 {
		time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	}
	_ = cmd.Wait()
	return time.Since(start)
}

// TestKillInit kills init: there is a whole server or none, and the command works when it
// is run again.
func TestKillInit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := process(t, 0, "", "init", "-server", filepath.Join(dir, "first"), "-shape", "two-prime")
	for i := range kills() {
		server := filepath.Join(dir, string(rune('a'+i)))
		process(t, whole*(i+1)/kills(), "", "init", "-server", server, "-shape", "two-prime")
		want := exitOK
		if _, err := os.Stat(server); err == nil {
			want = exitFailure // it is finished, and is not overwritten
		}
		code, out := inProcess(nil, "init", "-server", server, "-shape", "two-prime")
		require.Equal(t, want, code, "%s", out)
		code, out = inProcess(map[string]string{"TANDEM_PIN": "80351"}, enroll(server)...)
		require.Equal(t, exitOK, code, "%s", out)
	}
}

// TestKillInitInPlace kills init in a folder that exists: with its config.json it is a
// whole server, and without one it is none, and init says so or makes one.
func TestKillInitInPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := process(t, 0, "", "init", "-server", filepath.Join(dir, "first"), "-shape", "two-prime")
	for i := range kills() {
		server := filepath.Join(dir, string(rune('a'+i)))
		require.NoError(t, os.Mkdir(server, 0o700))
		process(t, whole*(i+1)/kills(), "", "init", "-server", server, "-shape", "two-prime")
		if _, err := os.Stat(filepath.Join(server, configFile)); err != nil {
			code, out := inProcess(map[string]string{"TANDEM_PIN": "80351"}, enroll(server)...)
			require.Equal(t, exitFailure, code, "%s", out)
			require.Contains(t, out, "there is no server in")
			left, err := os.ReadDir(server)
			require.NoError(t, err)
			code, out = inProcess(nil, "init", "-server", server, "-shape", "two-prime")
			if len(left) > 0 {
				require.Equal(t, exitFailure, code, "%s", out)
				require.Contains(t, out, "of an init that was interrupted")
				continue
			}
			require.Equal(t, exitOK, code, "%s", out)
		}
		code, out := inProcess(map[string]string{"TANDEM_PIN": "80351"}, enroll(server)...)
		require.Equal(t, exitOK, code, "%s", out)
	}
}

// TestKillSign kills sign: no PIN is ever counted as wrong, the device is never taken for
// a clone, and the command works when it is run again.
func TestKillSign(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	sign := []string{"sign", "-server", server, "-device", device, file}
	whole := process(t, 0, "80351", sign...)
	require.FileExists(t, file+".sig")
	for i := range kills() {
		require.NoError(t, os.Remove(file+".sig"))
		process(t, whole*(i+1)/kills(), "80351", sign...)
		if _, err := os.Stat(file + ".sig"); err != nil {
			code, out := inProcess(map[string]string{"TANDEM_PIN": "80351"}, sign...)
			require.Equal(t, exitOK, code, "%s", out)
		}
		code, out := inProcess(nil, "pubkey", "-device", device, "-o", file+".pem")
		require.Equal(t, exitOK, code, "%s", out)
		code, out = inProcess(nil, "verify", "-pubkey", file+".pem", file)
		require.Equal(t, exitOK, code, "%s", out)
		require.NoError(t, os.Remove(file+".pem"))
	}
	code, out := inProcess(nil, "status", "-server", server, "-device", device)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "active; wrong PINs: 3 left before a lock, 9 before the key is destroyed")
}

// TestBusy has another process use the server.
func TestBusy(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	store, err := bolt.Open(filepath.Join(server, storeFile), bolt.Options{})
	require.NoError(t, err)
	defer store.Close()
	code, out := inProcess(map[string]string{"TANDEM_PIN": "80351"}, "sign", "-json", "-server", server, "-device", device, file)
	require.Equal(t, exitFailure, code)
	require.Contains(t, out, `"kind": "busy"`)
}
