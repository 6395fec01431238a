//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// runningAgent is the command as a process of its own.
type runningAgent struct {
	cmd    *exec.Cmd
	socket string
	asked  string // a file with a line for each prompt
	errOut *syncBuffer
}

// syncBuffer is a buffer that a process fills while the test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// shows waits until the text is there.
func (s *syncBuffer) shows(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.String(), text) }, time.Minute, time.Millisecond, text)
}

// startAgent starts the agent of a device. Whoever it asks types what pin, a shell
// command, prints.
func startAgent(t *testing.T, pin string, args ...string) *runningAgent {
	t.Helper()
	dir := t.TempDir()
	a := &runningAgent{asked: filepath.Join(dir, "asked"), errOut: new(syncBuffer)}
	askpass := filepath.Join(dir, "askpass")
	script := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$1\" >> '%s'\n%s\n", a.asked, pin)
	require.NoError(t, os.WriteFile(askpass, []byte(script), 0o700))
	self, err := os.Executable()
	require.NoError(t, err)
	a.cmd = exec.Command(self, append([]string{"agent"}, args...)...)
	a.cmd.Args[0] = "tandem" // see TestMain
	a.cmd.Env = append(os.Environ(), "SSH_ASKPASS="+askpass, "SSH_ASKPASS_REQUIRE=force")
	a.cmd.Stderr = a.errOut
	out, err := a.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, a.cmd.Start())
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill() // if the test has not ended it
		_ = a.cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, a.errOut)
	_, err = fmt.Sscanf(line, "SSH_AUTH_SOCK=%s export SSH_AUTH_SOCK;\n", &a.socket)
	require.NoError(t, err, line)
	a.socket = strings.TrimSuffix(a.socket, ";")
	return a
}

func (a *runningAgent) dial(t *testing.T) agent.ExtendedAgent {
	t.Helper()
	conn, err := net.Dial("unix", a.socket)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return agent.NewClient(conn)
}

func (a *runningAgent) prompts(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(a.asked)
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")[:bytes.Count(text, []byte("\n"))]
}

// interrupt is Ctrl-C; the agent must end by itself.
func (a *runningAgent) interrupt(t *testing.T) {
	t.Helper()
	require.NoError(t, a.cmd.Process.Signal(os.Interrupt))
	ends(t, a.cmd)
	require.Equal(t, exitOK, a.cmd.ProcessState.ExitCode(), a.errOut)
}

// TestAgent: both keys are listed; each signs by SHA-256 and SHA-512 and by nothing else,
// for one PIN each. The socket is this user's alone, and goes with the agent.
func TestAgent(t *testing.T) {
	t.Parallel()
	server, device, _ := enrolled(t)
	a := startAgent(t, "case \"$1\" in *PIN1*) echo 2749;; *) echo 80351;; esac", "-server", server, "-device", device)
	info, err := os.Stat(a.socket)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o600, info.Mode())
	info, err = os.Stat(filepath.Dir(a.socket))
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|0o700, info.Mode())

	c := a.dial(t)
	keys, err := c.List()
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.Equal(t, []string{"tandem auth (PIN1)", "tandem sign (PIN2)"}, []string{keys[0].Comment, keys[1].Comment})
	asked := 0
	for _, k := range keys {
		for flags, format := range map[agent.SignatureFlags]string{agent.SignatureFlagRsaSha256: ssh.KeyAlgoRSASHA256, agent.SignatureFlagRsaSha512: ssh.KeyAlgoRSASHA512} {
			s, err := c.SignWithFlags(k, []byte("data"), flags)
			require.NoError(t, err, a.errOut)
			require.Equal(t, format, s.Format)
			require.NoError(t, k.Verify([]byte("data"), s))
			asked++
			require.Len(t, a.prompts(t), asked)
		}
		for _, flags := range []agent.SignatureFlags{0, 1, 6, 8} {
			_, err := c.SignWithFlags(k, []byte("data"), flags)
			require.Error(t, err)
		}
		a.errOut.shows(t, "ssh-rsa, which is SHA-1")
	}
	require.Len(t, a.prompts(t), asked, "asked for what is refused")
	require.Contains(t, a.prompts(t)[0], "something unknown: verification code ")
	other, err := ssh.NewSignerFromKey(hostKey(t))
	require.NoError(t, err)
	_, err = c.SignWithFlags(other.PublicKey(), []byte("data"), agent.SignatureFlagRsaSha256)
	require.Error(t, err)

	// What OpenSSH asks before a login is refused in the way that lets it go on.
	_, err = c.Extension("session-bind@openssh.com", []byte("x"))
	require.ErrorIs(t, err, agent.ErrExtensionUnsupported)
	require.Error(t, c.Add(agent.AddedKey{PrivateKey: hostKey(t)}))
	require.Error(t, c.Remove(keys[0]))
	require.Error(t, c.RemoveAll())
	require.Error(t, c.Unlock([]byte("never locked")))
	require.NoError(t, c.Lock([]byte("pass")))
	require.Error(t, c.Lock([]byte("pass")))
	locked, err := a.dial(t).List()
	require.NoError(t, err)
	require.Empty(t, locked)
	_, err = c.SignWithFlags(keys[0], []byte("data"), agent.SignatureFlagRsaSha256)
	require.Error(t, err)
	require.Error(t, c.Unlock([]byte("word")))
	require.Len(t, a.prompts(t), asked)
	require.NoError(t, c.Unlock([]byte("pass")))
	again, err := c.List()
	require.NoError(t, err)
	require.Equal(t, keys, again)

	a.interrupt(t)
	_, err = os.Stat(filepath.Dir(a.socket))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestAgentOfOneKey: with -key and -a there is one key, on a socket of that name, which
// replaces nothing.
func TestAgentOfOneKey(t *testing.T) {
	t.Parallel()
	server, device, file := enrolled(t)
	socket := filepath.Join(t.TempDir(), "s")
	a := startAgent(t, "echo 80351", "-server", server, "-device", device, "-key", "sign", "-a", socket)
	require.Equal(t, socket, a.socket)
	info, err := os.Stat(socket)
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o600, info.Mode())
	keys, err := a.dial(t).List()
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Equal(t, "tandem sign (PIN2)", keys[0].Comment)

	for _, taken := range []string{socket, file} {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(self, "agent", "-server", server, "-device", device, "-a", taken)
		cmd.Args[0] = "tandem"
		cmd.Env = append(os.Environ(), "SSH_ASKPASS=/bin/true", "SSH_ASKPASS_REQUIRE=force")
		out := new(syncBuffer)
		cmd.Stderr = out
		require.NoError(t, cmd.Start())
		ends(t, cmd)
		out.shows(t, taken+" exists")
	}
	a.interrupt(t)
	left, err := os.ReadDir(filepath.Dir(socket))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestAgentWrongPIN: a wrong PIN is counted once, and the agent says so; what is no PIN
// is not sent; and a program that is ended without one is no PIN either.
func TestAgentWrongPIN(t *testing.T) {
	t.Parallel()
	server, device, _ := enrolled(t)
	answer := filepath.Join(t.TempDir(), "answer")
	a := startAgent(t, ". '"+answer+"'", "-server", server, "-device", device, "-key", "sign")
	c := a.dial(t)
	keys, err := c.List()
	require.NoError(t, err)
	sign := func(command string) error {
		require.NoError(t, os.WriteFile(answer, []byte(command+"\n"), 0o600))
		_, err := c.SignWithFlags(keys[0], []byte("data"), agent.SignatureFlagRsaSha256)
		return err
	}
	require.Error(t, sign("echo 80352"))
	a.errOut.shows(t, "not signed: wrong PIN; it counts: 2 left before a lock")
	require.Error(t, sign("echo"))
	a.errOut.shows(t, "a PIN is 4 to 12 digits; nothing was sent or counted")
	require.Error(t, sign("exit 1"))
	a.errOut.shows(t, "no PIN was typed")
	require.Error(t, sign("yes 80351"))
	a.errOut.shows(t, "more than a PIN")
	require.Error(t, sign("echo 80352"))
	a.errOut.shows(t, "1 left before a lock")
	require.NoError(t, sign("echo 80351"))
	require.Len(t, a.prompts(t), 6)
	a.interrupt(t)
}

// TestAgentAsksOneByOne: signatures with both keys at once open one prompt after the
// other.
func TestAgentAsksOneByOne(t *testing.T) {
	t.Parallel()
	server, device, _ := enrolled(t)
	notes := filepath.Join(t.TempDir(), "notes")
	a := startAgent(t, fmt.Sprintf("echo open >> '%[1]s'; sleep 0.3; echo shut >> '%[1]s'\ncase \"$1\" in *PIN1*) echo 2749;; *) echo 80351;; esac", notes),
		"-server", server, "-device", device)
	keys, err := a.dial(t).List()
	require.NoError(t, err)
	results := make(chan error, 4)
	for i := range cap(results) {
		c := a.dial(t)
		go func() {
			_, err := c.SignWithFlags(keys[i%2], []byte("data"), agent.SignatureFlagRsaSha512)
			results <- err
		}()
	}
	for range cap(results) {
		require.NoError(t, <-results, a.errOut)
	}
	text, err := os.ReadFile(notes)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("open\nshut\n", cap(results)), string(text))
	a.interrupt(t)
}

// TestAgentClientLeaves: a client that leaves takes its prompt along, and so does a
// signature that takes too long; the next one is asked for.
func TestAgentClientLeaves(t *testing.T) {
	t.Parallel()
	server, device, _ := enrolled(t)
	dir := t.TempDir()
	answer, hangs := filepath.Join(dir, "answer"), filepath.Join(dir, "hangs")
	// It says that it hangs once the answer is read, which may be another from then on.
	hang := []byte(fmt.Sprintf("echo . >> '%s'; exec sleep 3600\n", hangs))
	hanging := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			text, _ := os.ReadFile(hangs)
			return bytes.Count(text, []byte("\n")) == n
		}, time.Minute, time.Millisecond)
	}
	require.NoError(t, os.WriteFile(answer, hang, 0o600))
	a := startAgent(t, ". '"+answer+"'", "-server", server, "-device", device, "-key", "sign", "-timeout", "1s")
	keys, err := a.dial(t).List()
	require.NoError(t, err)
	slow, c := make(chan error, 1), a.dial(t)
	go func() {
		_, err := c.SignWithFlags(keys[0], []byte("data"), agent.SignatureFlagRsaSha256)
		slow <- err
	}()
	require.Error(t, soon(t, slow))
	a.errOut.shows(t, "context deadline exceeded")
	a.interrupt(t)

	require.NoError(t, os.RemoveAll(hangs))
	a = startAgent(t, ". '"+answer+"'", "-server", server, "-device", device, "-key", "sign", "-timeout", "1h")
	conn, err := net.Dial("unix", a.socket)
	require.NoError(t, err)
	gone := make(chan error, 1)
	go func() {
		_, err := agent.NewClient(conn).SignWithFlags(keys[0], []byte("data"), agent.SignatureFlagRsaSha256)
		gone <- err
	}()
	hanging(1)
	require.NoError(t, os.WriteFile(answer, []byte("echo 80351\n"), 0o600))
	require.NoError(t, conn.(*net.UnixConn).CloseWrite())
	require.Error(t, soon(t, gone))
	next, c := make(chan error, 1), a.dial(t)
	go func() {
		_, err := c.SignWithFlags(keys[0], []byte("data"), agent.SignatureFlagRsaSha256)
		next <- err
	}()
	require.NoError(t, soon(t, next), a.errOut)

	// Ctrl-C ends a prompt, too.
	require.NoError(t, os.WriteFile(answer, hang, 0o600))
	go a.dialQuietly(keys[0])
	hanging(2)
	require.Len(t, a.prompts(t), 3)
	a.interrupt(t)
}

// soon returns what a channel gets, and fails the test where it would have to wait for
// ever.
func soon(t *testing.T, c chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(time.Minute):
		require.Fail(t, "it does not end")
		return nil
	}
}

func (a *runningAgent) dialQuietly(key ssh.PublicKey) {
	if conn, err := net.Dial("unix", a.socket); err == nil {
		_, _ = agent.NewClient(conn).SignWithFlags(key, []byte("data"), agent.SignatureFlagRsaSha256)
		conn.Close()
	}
}

// TestAgentNeedsSomebody: without a terminal and SSH_ASKPASS nobody can type a PIN.
func TestAgentNeedsSomebody(t *testing.T) {
	t.Parallel()
	server, device, _ := enrolled(t)
	for _, c := range [][]string{{"SSH_ASKPASS=", "SSH_ASKPASS_REQUIRE="}, {"SSH_ASKPASS=/bin/true", "SSH_ASKPASS_REQUIRE=never"}} {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(self, "agent", "-server", server, "-device", device)
		cmd.Args[0] = "tandem"
		cmd.Env = append(os.Environ(), c...)
		out := new(syncBuffer)
		cmd.Stderr = out
		require.NoError(t, cmd.Start())
		ends(t, cmd)
		require.Equal(t, exitUsage, cmd.ProcessState.ExitCode())
		out.shows(t, "nobody can be asked for a PIN")
	}
}
