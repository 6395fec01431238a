//go:build linux

// Package memorytest searches the whole memory of a process for secrets: heap, stacks,
// globals, and what the garbage collector has freed. The process that is searched is a
// child of the test, so that the test's own list of secrets is not found.
package memorytest

import (
	"bufio"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const childVariable = "MEMORYTEST_CHILD"

// IsChild reports whether this process is the one to be searched.
func IsChild() bool { return os.Getenv(childVariable) != "" }

// Process is the process to be searched.
type Process struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Start runs the calling test once more as a child, in which [IsChild] is true, with
// settings for GODEBUG. Asynchronous preemption is off in the child: it would save the
// vector registers, which hold the last 256 bytes that were copied, to memory at times
// that nobody controls. So is the shrinking of stacks: the collector would leave the old
// stack behind, with the words that a function had spilled, before erase.Do clears them.
func Start(t testing.TB, godebug string) *Process {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), childVariable+"=1", "GODEBUG=asyncpreemptoff=1,gcshrinkstackoff=1,"+godebug)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &Process{t, cmd, in, bufio.NewReader(out)}
}

// Send writes a secret to the child, which waits in [Receive].
func (p *Process) Send(secret []byte) {
	_, err := p.in.Write(secret)
	require.NoError(p.t, err)
}

// Wait returns when the child is in the named [Pause], stopped.
func (p *Process) Wait(name string) {
	p.t.Helper()
	for {
		line, err := p.out.ReadString('\n')
		require.NoError(p.t, err, "the child ended before %q", name)
		if at, ok := strings.CutPrefix(strings.TrimSpace(line), "memorytest: "); ok {
			require.Equal(p.t, name, at)
			return
		}
	}
}

// Continue ends the child's [Pause].
func (p *Process) Continue() { p.Send([]byte{1}) }

// Receive returns n bytes that the parent sent. There is only this copy: it is on the
// heap, since a stack is copied when it grows.
//
//go:noinline
func Receive(t testing.TB, n int) []byte {
	b := make([]byte, n)
	_, err := io.ReadFull(os.Stdin, b)
	require.NoError(t, err)
	return b
}

// Report sends a secret that the child made to the parent, which gets it from
// [Process.Reported]. It leaves no copy: the hexadecimal digits that it writes are
// cleared.
//
//go:noinline
func Report(t testing.TB, secret []byte) {
	line := make([]byte, 0, len(reported)+2*len(secret)+1)
	line = append(hex.AppendEncode(append(line, reported...), secret), '\n')
	_, err := os.Stdout.Write(line)
	require.NoError(t, err)
	clear(line)
	clear(secret)
}

const reported = "memorytest-value: "

// Reported returns what the child sends next by [Report].
func (p *Process) Reported() []byte {
	p.t.Helper()
	for {
		line, err := p.out.ReadString('\n')
		require.NoError(p.t, err, "the child ended")
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), reported); ok {
			secret, err := hex.DecodeString(value)
			require.NoError(p.t, err)
			return secret
		}
	}
}

// Pause stops the child until [Process.Continue].
func Pause(t testing.TB, name string) {
	_, err := os.Stdout.WriteString("memorytest: " + name + "\n")
	require.NoError(t, err)
	Receive(t, 1)
}
