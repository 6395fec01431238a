package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new pseudo-terminal (pts(4)).
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { keyboard.Close() })
	fd := int(keyboard.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	return keyboard, terminal
}

// prompted starts the command with a terminal as standard input, and waits for its
// prompt.
func prompted(t *testing.T, terminal *os.File, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "tandem" // see TestMain
	cmd.Env = append(os.Environ(), "TANDEM_PIN=")
	cmd.Stdin = terminal
	errOut, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	r := bufio.NewReader(errOut)
	prompt, err := r.ReadString(':')
	for err == nil && !strings.Contains(prompt, "PIN") {
		prompt, err = r.ReadString(':')
	}
	require.NoError(t, err)
	// Written before echo was turned off, the next byte would show.
	for range 30_000 {
		if !echoes(t, terminal) {
			return cmd, r
		}
		time.Sleep(time.Millisecond)
	}
	_ = cmd.Process.Kill()
	require.Fail(t, "the terminal shows what is typed")
	return cmd, r
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return state.Lflag&unix.ECHO != 0
}

// TestPrompt types a PIN, and looks at what the terminal shows of it: nothing.
func TestPrompt(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	keyboard, terminal := openTerminal(t)
	cmd, errOut := prompted(t, terminal, "sign", "-server", server, "-device", device, file)
	_, err := keyboard.WriteString("80351\n")
	require.NoError(t, err)
	rest, err := io.ReadAll(errOut)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), "%s", rest)
	require.FileExists(t, file+".sig")
	require.True(t, echoes(t, terminal), "echo is on again")
	require.NoError(t, terminal.Close())
	shown, _ := io.ReadAll(keyboard) // ends with an error: there is no terminal any more
	require.Empty(t, strings.TrimSpace(string(shown)))
	require.NotContains(t, string(rest), "80351")
}

// TestInterrupt presses Ctrl-C at the prompt: nothing is sent, and the terminal is as
// before.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	_, terminal := openTerminal(t)
	cmd, errOut := prompted(t, terminal, "sign", "-server", server, "-device", device, file)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(errOut)
	require.NoError(t, err)
	require.Error(t, cmd.Wait())
	require.Equal(t, exitFailure, cmd.ProcessState.ExitCode(), "%s", rest)
	require.Contains(t, string(rest), "nothing was sent")
	require.True(t, echoes(t, terminal))
	require.NoFileExists(t, file+".sig")
}

// remaining waits for a command and returns what else it says.
func remaining(t *testing.T, cmd *exec.Cmd, errOut io.Reader) string {
	t.Helper()
	stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	rest, err := io.ReadAll(errOut)
	require.NoError(t, err)
	_ = cmd.Wait()
	require.True(t, stuck.Stop(), "the command did not end by itself: %s", rest)
	return string(rest)
}

// TestEndOfInput presses Ctrl-D at the prompt, on an empty line and after some digits:
// these are no PIN, are not sent and not counted.
func TestEndOfInput(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	for _, typed := range []string{"\x04", "8035\x04", "80351\x04"} {
		keyboard, terminal := openTerminal(t)
		cmd, errOut := prompted(t, terminal, "sign", "-server", server, "-device", device, file)
		_, err := keyboard.WriteString(typed)
		require.NoError(t, err)
		rest := remaining(t, cmd, errOut)
		require.Equal(t, exitFailure, cmd.ProcessState.ExitCode(), "%s", rest)
		require.Contains(t, rest, "no PIN was typed; nothing was sent")
		require.True(t, echoes(t, terminal))
		require.NoError(t, terminal.Close())
	}
	require.NoFileExists(t, file+".sig")
	code, out := inProcess(nil, "status", "-server", server, "-device", device)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "3 left before a lock")
}

// TestPromptHoldsNothing uses the server and the device while somebody thinks about a
// PIN.
func TestPromptHoldsNothing(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	for _, args := range [][]string{
		{"sign", "-server", server, "-device", device, "-o", file + ".1", file},
		{"enroll", "-server", server, "-device", device + "2", "-key", "auth", "-argon2", "1,32,1"},
	} {
		keyboard, terminal := openTerminal(t)
		cmd, errOut := prompted(t, terminal, args...)
		for _, suffix := range []string{".2", ".3"} {
			code, out := inProcess(map[string]string{"TANDEM_PIN": "80351"}, "sign", "-server", server, "-device", device, "-o", file+suffix, file)
			require.Equal(t, exitOK, code, "%s", out)
			require.NoError(t, os.Remove(file+suffix))
		}
		_, err := keyboard.WriteString(map[string]string{"sign": "80351\n", "enroll": "2749\n2749\n"}[args[0]])
		require.NoError(t, err)
		rest := remaining(t, cmd, errOut)
		require.Equal(t, exitOK, cmd.ProcessState.ExitCode(), "%s", rest)
	}
	require.FileExists(t, file+".1")
}

// TestAgentAtTerminal: without SSH_ASKPASS the agent asks at its terminal, which does not
// show what is typed.
func TestAgentAtTerminal(t *testing.T) {
	t.Parallel()
	server, device, _ := enrolled(t)
	keyboard, terminal := openTerminal(t)
	socket := filepath.Join(t.TempDir(), "s")
	signed := make(chan error, 1)
	go func() {
		var conn net.Conn
		var err error
		for range 6000 {
			if conn, err = net.Dial("unix", socket); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			signed <- err
			return
		}
		defer conn.Close()
		client := agent.NewClient(conn)
		keys, err := client.List()
		if err == nil {
			_, err = client.SignWithFlags(keys[0], []byte("data"), agent.SignatureFlagRsaSha256)
		}
		signed <- err
	}()
	cmd, _ := prompted(t, terminal, "agent", "-server", server, "-device", device, "-key", "sign", "-a", socket)
	_, err := keyboard.WriteString("80351\n")
	require.NoError(t, err)
	require.NoError(t, <-signed)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	ends(t, cmd)
	require.Equal(t, exitOK, cmd.ProcessState.ExitCode())
	require.True(t, echoes(t, terminal))
}
