//go:build unix

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

func hostKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// runs runs a program with the agent, which ends with the test or after some minutes.
func (a *runningAgent) runs(t *testing.T, dir, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+a.socket, "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestAgentGit: git signs a commit with the key of PIN2, and verifies it; ssh-keygen
// signs and verifies a file. Neither takes another text.
func TestAgentGit(t *testing.T) {
	t.Parallel()
	git, keygen := needtest.Program(t, "git", "git"), needtest.Program(t, "ssh-keygen", "openssh-client")
	server, device, _ := enrolled(t)
	a := startAgent(t, "echo 80351", "-server", server, "-device", device, "-key", "sign")
	keys, err := a.dial(t).List()
	require.NoError(t, err)
	dir := t.TempDir()
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(keys[0])))
	for name, text := range map[string]string{"key.pub": public + "\n", "signers": "ann@example.com " + public + "\n", "file": "text", "other": "text."} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	run := func(program string, args ...string) string {
		t.Helper()
		out, err := a.runs(t, dir, program, args...)
		require.NoError(t, err, "%s%s", out, a.errOut)
		return out
	}
	run(git, "init", "-q", ".")
	for name, value := range map[string]string{
		"user.name": "Ann", "user.email": "ann@example.com", "gpg.format": "ssh", "user.signingkey": filepath.Join(dir, "key.pub"),
		"gpg.ssh.allowedSignersFile": filepath.Join(dir, "signers"),
	} {
		run(git, "config", name, value)
	}
	run(git, "add", "file")
	run(git, "commit", "-q", "-S", "-m", "signed by a phone")
	require.Contains(t, run(git, "verify-commit", "HEAD"), `Good "git" signature for ann@example.com with RSA key`)
	require.Len(t, a.prompts(t), 1)
	require.Contains(t, a.prompts(t)[0], `a signature for "git": verification code `)
	run(git, "commit", "-q", "--amend", "--no-gpg-sign", "-m", "not signed")
	out, err := a.runs(t, dir, git, "verify-commit", "HEAD")
	require.Error(t, err, out)

	run(keygen, "-Y", "sign", "-n", "file", "-f", "key.pub", "file")
	verify := func(file string) (string, error) {
		return a.runs(t, dir, "/bin/sh", "-c", fmt.Sprintf("'%s' -Y verify -f signers -I ann@example.com -n file -s file.sig < %s", keygen, file))
	}
	out, err = verify("file")
	require.NoError(t, err, out)
	out, err = verify("other")
	require.Error(t, err, out)
	require.Contains(t, a.prompts(t)[1], `a signature for "file"`)
	a.interrupt(t)
}

// sshd is Debian's, as a process of the test's: by root it runs as nobody, since only
// root may log others in.
type sshd struct {
	user, address string
	log           *syncBuffer
}

func startSSHD(t *testing.T, dir string, key ssh.PublicKey, host ed25519.PrivateKey) *sshd {
	t.Helper()
	program := needtest.File(t, "openssh-server", "/usr/sbin/sshd")
	me, err := user.Current()
	require.NoError(t, err)
	s := &sshd{user: me.Username, log: new(syncBuffer)}
	var as *syscall.Credential
	if os.Getuid() == 0 {
		nobody, err := user.Lookup("nobody")
		require.NoError(t, err)
		uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
		require.NoError(t, err)
		gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
		require.NoError(t, err)
		s.user, as = "nobody", &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	block, err := ssh.MarshalPrivateKey(host, "")
	require.NoError(t, err)
	config := fmt.Sprintf(`
HostKey %[1]s/host
AuthorizedKeysFile %[1]s/authorized
PidFile none
StrictModes no
AuthenticationMethods publickey
MaxStartups 100
UsePAM yes
Subsystem sftp internal-sftp
ForceCommand internal-sftp
`, dir)
	for name, data := range map[string][]byte{"host": pem.EncodeToMemory(block), "authorized": ssh.MarshalAuthorizedKey(key), "config": []byte(config)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
		if as != nil {
			require.NoError(t, os.Chown(filepath.Join(dir, name), int(as.Uid), int(as.Gid)))
		}
	}
	for range 10 { // somebody else may take a port that was free
		free, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		s.address = free.Addr().String()
		require.NoError(t, free.Close())
		cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(dir, "config"), "-o", "ListenAddress="+s.address)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		cmd.Stderr = s.log
		cmd.WaitDelay = 10 * time.Second
		require.NoError(t, cmd.Start())
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(ended)
		}()
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			<-ended
		})
		_, port, err := net.SplitHostPort(s.address)
		require.NoError(t, err)
		var listening bool
		require.Eventually(t, func() bool {
			listening = strings.Contains(s.log.String(), "Server listening on 127.0.0.1 port "+port)
			select {
			case <-ended:
				return true
			default:
				return listening
			}
		}, time.Minute, time.Millisecond, s.log)
		if listening {
			return s
		}
	}
	require.Fail(t, "sshd does not listen", s.log)
	return nil
}

// TestAgentLogin: ssh logs in to Debian's sshd, several times at once, with a PIN for
// each login; with a wrong PIN it does not.
func TestAgentLogin(t *testing.T) {
	t.Parallel()
	client := needtest.Program(t, "ssh", "openssh-client")
	server, device, _ := enrolled(t)
	answer := filepath.Join(t.TempDir(), "answer")
	require.NoError(t, os.WriteFile(answer, []byte("echo 2749\n"), 0o600))
	a := startAgent(t, ". '"+answer+"'", "-server", server, "-device", device, "-key", "auth")
	keys, err := a.dial(t).List()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("/tmp", "tandem-sshd-*") // where nobody may read
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	host := hostKey(t)
	s := startSSHD(t, dir, keys[0], host)
	address, port, err := net.SplitHostPort(s.address)
	require.NoError(t, err)
	hostPublic, err := ssh.NewPublicKey(host.Public())
	require.NoError(t, err)
	known := filepath.Join(t.TempDir(), "known")
	require.NoError(t, os.WriteFile(known, fmt.Appendf(nil, "[%s]:%s %s", address, port, ssh.MarshalAuthorizedKey(hostPublic)), 0o600))
	login := func() (string, error) {
		return a.runs(t, t.TempDir(), client, "-F", "none", "-v", "-o", "UserKnownHostsFile="+known, "-o", "StrictHostKeyChecking=yes",
			"-o", "BatchMode=yes", "-o", "PreferredAuthentications=publickey", "-o", "IdentityFile=none", "-p", port, s.user+"@"+address, "-s", "sftp")
	}
	type result struct {
		out string
		err error
	}
	results := make(chan result, 4)
	for range cap(results) {
		go func() {
			out, err := login()
			results <- result{out, err}
		}()
	}
	for range cap(results) {
		r := <-results
		require.NoError(t, r.err, "%s%s%s", r.out, s.log, a.errOut)
		require.Contains(t, r.out, `Authenticated to 127.0.0.1 ([127.0.0.1]:`+port+`) using "publickey"`)
	}
	accepted := func() int { return strings.Count(s.log.String(), "Accepted publickey for "+s.user) }
	// What sshd has written before, this process may read later.
	require.Eventually(t, func() bool { return accepted() >= cap(results) }, time.Minute, time.Millisecond, s.log)
	require.Equal(t, cap(results), accepted())
	require.Len(t, a.prompts(t), cap(results))
	require.Contains(t, a.prompts(t)[0], `a login as "`+s.user+`": verification code `)

	require.NoError(t, os.WriteFile(answer, []byte("echo 2748\n"), 0o600))
	out, err := login()
	require.Error(t, err, out)
	require.Contains(t, out, "Permission denied (publickey)")
	require.Equal(t, cap(results), accepted())
	require.Len(t, a.prompts(t), cap(results)+1)
	a.errOut.shows(t, "wrong PIN; it counts: 2 left before a lock")
	a.interrupt(t)
}
