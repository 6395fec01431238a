//go:build unix

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ends waits for a command, and fails the test where it would have to wait for ever.
func ends(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	require.True(t, stuck.Stop(), "the command did not end by itself")
}

// opened returns the other end of a pipe once a command has it open.
func opened(t *testing.T, cmd *exec.Cmd, pipe string) *os.File {
	t.Helper()
	for range 6000 {
		// Without a reader this is an error, with one it is not.
		if w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			return w
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	require.Fail(t, "the command does not open the pipe")
	return nil
}

// started runs the command as a process, with its output in out.
func started(t *testing.T, out io.Writer, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "tandem" // see TestMain
	cmd.Env = append(os.Environ(), "TANDEM_PIN=80351")
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	return cmd
}

// TestInterruptReading presses Ctrl-C once while each of the files is read that can be of
// any length, or a pipe: here a pipe that nobody fills. Nothing is counted.
func TestInterruptReading(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	pub := file + ".pem"
	code, out := inProcess(nil, "pubkey", "-device", device, "-o", pub)
	require.Equal(t, exitOK, code, "%s", out)
	signature := file + ".256"
	require.NoError(t, os.WriteFile(signature, make([]byte, 256), 0o600))
	for _, args := range [][]string{
		{"sign", "-server", server, "-device", device, pipe},
		{"sign", "-server", server, "-device", device, "-pin-file", pipe, file},
		{"enroll", "-server", server, "-device", device + "2", "-import", pipe},
		{"verify", "-pubkey", pub, "-sig", signature, pipe},
		{"verify", "-pubkey", pub, "-sig", pipe, file},
		{"verify", "-pubkey", pipe, "-sig", signature, file},
		{"demo", pipe},
	} {
		var out strings.Builder
		cmd := started(t, &out, args...)
		writer := opened(t, cmd, pipe)
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		ends(t, cmd)
		require.NoError(t, writer.Close())
		require.Equal(t, exitFailure, cmd.ProcessState.ExitCode(), "%v: %s", args, out.String())
		require.Contains(t, out.String(), "interrupted", "%v", args)
	}
	require.NoDirExists(t, device+"2")
}
