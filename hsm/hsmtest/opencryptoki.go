//go:build unix

package hsmtest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// opencryptoki keeps its state in directories fixed at build time, and talks to
// a daemon at a fixed socket. Its software token is slot 3 in the configuration
// that Debian ships.
const slotdSlot = "3"

// OpenCryptoki returns the software token of opencryptoki. There is one on a
// machine, so tests wait for each other; it is initialized for each test,
// provided that it is new or of an earlier test: any other token is left alone.
// The daemon is started for the test if it does not run, which takes root.
func OpenCryptoki(t testing.TB) Token {
	t.Helper()
	module := needtest.File(t, "opencryptoki opensc", "/usr/lib/*/pkcs11/libopencryptoki.so", "/usr/lib64/pkcs11/libopencryptoki.so", "/usr/lib/*/opencryptoki/libopencryptoki.so")
	tool := needtest.Program(t, "pkcs11-tool", "opensc")
	tok := Token{Name: "opencryptoki", Module: module, Label: label, PIN: "76543210", SOPIN: "87654321", Dir: "/var/lib/opencryptoki/swtok"}
	lock(t, tok.Dir)
	startSlotd(t)
	var list []byte
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		// The daemon takes a moment to start.
		var err error
		list, err = exec.Command(tool, "--module", module, "--list-slots").CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("hsmtest: pkcs11-tool: %v\n%s", err, list)
		}
	}
	if m := regexp.MustCompile(`token label\s*: (.*)`).FindSubmatch(list); m != nil && string(bytes.TrimSpace(m[1])) != label {
		t.Fatalf("hsmtest: slot %s of opencryptoki holds the token %q, which is not for tests", slotdSlot, m[1])
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, err := exec.Command(tool, "--module", module, "--slot", slotdSlot, "--init-token", "--label", label, "--so-pin", tok.SOPIN).CombinedOutput()
		if err == nil {
			break
		}
		// Another process whose test ended may have sessions until it ends itself.
		if !bytes.Contains(out, []byte("CKR_SESSION_EXISTS")) || time.Now().After(deadline) {
			t.Fatalf("hsmtest: pkcs11-tool --init-token: %v\n%s", err, out)
		}
	}
	run(t, "opensc", tool, "--module", module, "--slot", slotdSlot, "--init-pin", "--so-pin", tok.SOPIN, "--pin", tok.PIN)
	return tok
}

// lock holds the token's folder, which is the same for all users and every $TMPDIR.
func lock(t testing.TB, dir string) {
	t.Helper()
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		needtest.Need(t, "only the group pkcs11 may use opencryptoki: sudo usermod -a -G pkcs11 $USER")
	}
	require(t, err)
	t.Cleanup(func() { _ = f.Close() })
	require(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	t.Cleanup(func() { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) })
}

func startSlotd(t testing.TB) {
	t.Helper()
	if slotdRuns() {
		return
	}
	if os.Geteuid() != 0 {
		needtest.Need(t, "pkcsslotd does not run, and only root can start it: sudo pkcsslotd")
	}
	path := needtest.Program(t, "pkcsslotd", "opencryptoki")
	cmd := exec.Command(path, "-f")
	require(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

// slotdRuns asks for the process, not the socket: pkcsslotd 3.8 ends when
// somebody connects and leaves.
func slotdRuns() bool {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		if comm, err := os.ReadFile(name); err == nil && string(bytes.TrimSpace(comm)) == "pkcsslotd" {
			return true
		}
	}
	return false
}
