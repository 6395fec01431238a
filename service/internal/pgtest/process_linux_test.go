package pgtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const childRole = "TANDEM_PGTEST_CHILD"

// TestEndsWithItsTest: a server ends when the process of its test is killed.
func TestEndsWithItsTest(t *testing.T) {
	if os.Getenv(childRole) != "" {
		s := New(t)
		fmt.Println("server", s.process.Process.Pid, s.dir)
		select {} // until it is killed
	}
	prepare(t) // skips the test if there is no PostgreSQL
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(self, "-test.run", "^TestEndsWithItsTest$")
	child.Env = append(os.Environ(), childRole+"=server")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() { child.Process.Kill() })
	var pid int
	var dir string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "server %d %s", &pid, &dir); err == nil {
			break
		}
	}
	require.Positive(t, pid, "the child starts no server")
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, syscall.Kill(pid, 0))
	require.NoError(t, child.Process.Kill())
	child.Wait()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		// A process that has ended and that nobody has waited for is still there.
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(status), ") Z ") {
			return
		}
		require.True(t, time.Now().Before(deadline), "the server outlives its test")
	}
}
