package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/term"
)

var agentCommand = &command{
	name: "agent", args: "-server DIR -device DIR [-key auth] [-a SOCKET]",
	about: "is an ssh-agent whose keys are a device's",
	help: `
Agent listens on a socket, as ssh-agent(1) does, and prints the line that tells ssh, git and
ssh-keygen of it. It holds the device's two keys, or one with -key. For each signature it asks for
the PIN: by SSH_ASKPASS, where that is set and standard input is no terminal or SSH_ASKPASS_REQUIRE
is "force" or "prefer", else at the terminal. The prompt says what is signed, and has the
verification code. A signature takes as long as -timeout at most, and ends when its client leaves.

It signs with rsa-sha2-256 and rsa-sha2-512 only. No key can be added or removed; "ssh-add -x" locks
it, and "ssh-add -X" unlocks it. Ctrl-C ends it.`,
	plain: true,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		a := new(sshAgent)
		a.declareDevice(flags)
		a.declareServer(flags)
		a.hsm.declare(flags)
		flags.StringVar(&a.key, "key", "", "`key` to offer, auth or sign; both if empty")
		flags.StringVar(&a.socket, "a", "", "`socket` to listen on, which must not exist; one in a new folder if empty")
		flags.DurationVar(&a.timeout, "timeout", 2*time.Minute, "how `long` a signature may take, with the time to type the PIN")
		return a.run
	},
}

// sshAgent is one run of the command.
type sshAgent struct {
	folders
	hsm         hsmPIN
	key, socket string
	timeout     time.Duration

	c      *call
	ctx    context.Context
	b      *backend
	prompt chan struct{} // has one item unless a prompt is open
	keys   []*agentKey

	mu     sync.Mutex
	locked *[32]byte // hash of the passphrase
}

func (a *sshAgent) run(ctx context.Context, c *call) (_ result, err error) {
	a.fill(c)
	if a.key != "" {
		if err := checkKeyName(a.key); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(c.noFiles(), a.needBoth()); err != nil {
		return nil, err
	}
	if a.timeout <= 0 {
		return nil, usagef("-timeout is how long a signature may take, not %v", a.timeout)
	}
	if !a.asksBy(c) && !term.IsTerminal(int(c.stdin.Fd())) {
		return nil, usagef("nobody can be asked for a PIN: standard input is no terminal, and SSH_ASKPASS is not set")
	}
	if a.b, err = openBackend(ctx, c, a.server, a.hsm); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.b.close()) }()
	if err := checkServer(a.device, a.b); err != nil {
		return nil, err
	}
	a.c, a.ctx, a.prompt = c, ctx, make(chan struct{}, 1)
	a.prompt <- struct{}{}
	if err := a.open(); err != nil {
		return nil, err
	}
	listener, remove, err := listenPrivately(a.socket)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if _, err := fmt.Fprintf(c.out, "SSH_AUTH_SOCK=%s; export SSH_AUTH_SOCK;\n", quote(listener.Addr().String())); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	log.SetOutput(io.Discard) // of package agent, which says less than a.tell
	a.serve(listener)
	return agentResult{}, nil
}

// serve answers clients until the command is interrupted.
func (a *sshAgent) serve(listener net.Listener) {
	context.AfterFunc(a.ctx, func() { listener.Close() })
	var clients sync.WaitGroup
	defer clients.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if a.ctx.Err() == nil {
				a.tell("no more clients: %v", err)
			}
			return
		}
		clients.Go(func() { a.attend(conn) })
	}
}

// attend answers one client until it leaves. What it waits for ends then, too.
func (a *sshAgent) attend(conn net.Conn) {
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { conn.Close() })
	in, out := io.Pipe()
	go func() {
		_, err := io.Copy(out, conn)
		cancel()
		out.CloseWithError(errors.Join(io.EOF, err))
	}()
	defer in.Close()
	_ = agent.ServeAgent(&agentClient{a, ctx}, struct {
		io.Reader
		io.Writer
	}{in, conn}) // whatever it was, the client has gone
}

// tell writes a line to the person at the terminal.
func (a *sshAgent) tell(format string, args ...any) {
	fmt.Fprintf(a.c.errOut, "tandem agent: "+format+"\n", args...)
}

type agentResult struct{}

func (agentResult) text(io.Writer) {}

// listenPrivately returns a listener on a socket that only this user can connect to, and
// what removes it. The socket is made in a folder of this user's alone, and gets its name
// when it has its mode.
func listenPrivately(name string) (net.Listener, func() error, error) {
	parent := ""
	if name != "" {
		if err := checkNew(name); err != nil {
			return nil, nil, err
		}
		absolute, err := filepath.Abs(name)
		if err != nil {
			return nil, nil, err
		}
		name, parent = absolute, filepath.Dir(absolute)
	}
	folder, err := os.MkdirTemp(parent, "tandem-*")
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(folder) }
	inside := filepath.Join(folder, "agent")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: inside, Net: "unix"})
	if err != nil {
		const next = "give a shorter name with -a: a socket's has 103 bytes at most"
		return nil, nil, errors.Join(failf("output", next, "%s: %w", inside, err), remove())
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(inside, secretMode)
	if name == "" || err != nil {
		return l, remove, err
	}
	if err := os.Link(inside, name); err != nil { // which replaces nothing
		return nil, nil, errors.Join(err, l.Close(), remove())
	}
	return namedListener{l, name}, func() error { return errors.Join(os.Remove(name), remove()) }, nil
}

// namedListener is a listener whose socket has another name than that it was made with.
type namedListener struct {
	net.Listener
	name string
}

func (n namedListener) Addr() net.Addr { return &net.UnixAddr{Name: n.name, Net: "unix"} }
