//go:build linux

package hsmtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// Servers lists the makers of tokens whose module talks to another process. Each can do
// less than those of [Modules].
var Servers = []struct {
	Name string
	New  func(testing.TB) Token
}{
	{"TPM2", TPM2},
	{"p11-kit", P11Kit},
}

// server is a process that a module talks to.
type server struct {
	t     testing.TB
	make  func() *exec.Cmd
	ready func() error
	cmd   *exec.Cmd
	ended chan error
}

// serve runs a server until the end of the test.
func serve(t testing.TB, make func() *exec.Cmd, ready func() error) *server {
	t.Helper()
	s := &server{t: t, make: make, ready: ready}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start runs the server again, and waits until it is ready.
func (s *server) Start() {
	s.t.Helper()
	s.cmd = s.make()
	// What it starts goes with it.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require(s.t, s.cmd.Start())
	cmd, ended := s.cmd, make(chan error, 1)
	s.ended = ended
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := s.ready()
		if err == nil {
			return
		}
		select {
		case end := <-ended:
			s.cmd = nil
			s.t.Fatalf("hsmtest: %s ended: %v", cmd, end)
		default:
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("hsmtest: %s is not ready: %v", cmd, err)
		}
	}
}

// Stop ends the server, and waits for its end.
func (s *server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	<-s.ended
	s.cmd = nil
}

// P11Kit returns a token of SoftHSM that "p11-kit server" holds in a process of its own.
// Whoever talks to the socket at Dir talks to it.
func P11Kit(t testing.TB) Token {
	t.Helper()
	const packages = "p11-kit p11-kit-modules"
	client := needtest.File(t, packages, "/usr/lib/*/pkcs11/p11-kit-client.so", "/usr/lib64/pkcs11/p11-kit-client.so")
	program := needtest.Program(t, "p11-kit", packages)
	tok := SoftHSM(t)
	// A Unix socket's path has about a hundred bytes, which the test's own folder may
	// exceed.
	dir, err := os.MkdirTemp("", "p11-kit")
	require(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	module := tok.Module
	tok.Server = serve(t, func() *exec.Cmd {
		_ = os.Remove(socket)
		return exec.Command(program, "server", "-f", "-n", socket, "--provider", module, "pkcs11:token="+tok.Label)
	}, func() error {
		c, err := net.Dial("unix", socket)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	t.Setenv("P11_KIT_SERVER_ADDRESS", "unix:path="+socket)
	tok.Name, tok.Module = "p11-kit", client
	return tok
}

// TPM2 returns a token of tpm2-pkcs11 on swtpm, a software TPM of its own.
func TPM2(t testing.TB) Token {
	t.Helper()
	const packages = "libtpm2-pkcs11-1 libtss2-tcti-swtpm0 swtpm opensc"
	module := needtest.File(t, packages, "/usr/lib/*/libtpm2_pkcs11.so.1", "/usr/lib/*/pkcs11/libtpm2_pkcs11.so", "/usr/lib64/pkcs11/libtpm2_pkcs11.so")
	needtest.File(t, packages, "/usr/lib/*/libtss2-tcti-swtpm.so.0", "/usr/lib64/libtss2-tcti-swtpm.so.0")
	swtpm := needtest.Program(t, "swtpm", packages)
	tool := needtest.Program(t, "pkcs11-tool", packages)
	dir := t.TempDir()
	state, store := filepath.Join(dir, "tpm"), filepath.Join(dir, "store")
	require(t, os.Mkdir(state, 0o700))
	require(t, os.Mkdir(store, 0o700))
	port := twoPorts(t)
	process := serve(t, func() *exec.Cmd {
		return exec.Command(swtpm, "socket", "--tpm2", "--tpmstate", "dir="+state,
			"--server", fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port),
			"--ctrl", fmt.Sprintf("type=tcp,port=%d,bindaddr=127.0.0.1", port+1),
			"--flags", "not-need-init,startup-clear")
	}, func() error {
		return listening(port, port+1)
	})
	t.Setenv("TPM2_PKCS11_STORE", store)
	t.Setenv("TPM2_PKCS11_TCTI", fmt.Sprintf("swtpm:host=127.0.0.1,port=%d", port))
	t.Setenv("TPM2_PKCS11_LOG_LEVEL", "0")
	t.Setenv("TSS2_LOG", "all+none")
	tok := Token{Name: "TPM2", Module: module, Label: label, PIN: "1234", SOPIN: "87654321", Dir: store, Server: process}
	run(t, packages, tool, "--module", module, "--slot", "1", "--init-token", "--label", tok.Label, "--so-pin", tok.SOPIN)
	run(t, packages, tool, "--module", module, "--slot", "1", "--init-pin", "--so-pin", tok.SOPIN, "--pin", tok.PIN)
	return tok
}

// twoPorts returns the first of two free ports in a row: the client of swtpm expects the
// control channel next to the server. They are below those that the kernel gives to
// whoever asks for any, so nobody takes them meanwhile.
func twoPorts(t testing.TB) int {
	t.Helper()
	free := func(port int) bool {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
		}
		return err == nil
	}
	for range 100 {
		if port := 20_000 + rand.IntN(10_000); free(port) && free(port+1) {
			return port
		}
	}
	t.Fatal("hsmtest: no two free ports in a row")
	return 0
}

// listening returns nil if somebody listens at all of the ports. It asks the kernel: to
// connect would use swtpm up, which serves one client, and to bind could be in its way.
func listening(ports ...int) error {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return err
	}
	for _, port := range ports {
		// local address, remote address, state LISTEN
		if !strings.Contains(string(table), fmt.Sprintf(":%04X 00000000:0000 0A ", port)) {
			return fmt.Errorf("nobody listens at port %d", port)
		}
	}
	return nil
}
