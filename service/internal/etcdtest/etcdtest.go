// Package etcdtest starts etcd clusters for tests: on 127.0.0.1, on free ports, in
// private folders. They end with the test, also where its process dies.
package etcdtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/internal/proxytest"
	"github.com/tandem-rsa/tandem/service/internal/childtest"
)

// Program returns the path of etcd: TANDEM_ETCD, which "make durable" sets to the current
// version, or what PATH has.
func Program(t testing.TB) string {
	if path := os.Getenv("TANDEM_ETCD"); path != "" {
		return path
	}
	return needtest.Program(t, "etcd", "etcd-server")
}

// Cluster is a cluster that runs.
type Cluster struct {
	t     testing.TB
	Nodes []*Node
}

// Node is one member. The others and the clients reach it through two proxies.
type Node struct {
	Name    string
	Folder  string
	Peers   *proxytest.Proxy // what the other members send to this one
	Clients *proxytest.Proxy
	direct  string // the address of the member itself, for clients
	args    []string
	member  []string // those of args that say which member of which cluster it is
	program string
	tls     *tls.Config
	cmd     *exec.Cmd
	ended   chan struct{}
	log     bytes.Buffer
}

// Start starts a cluster with further flags for each member.
func Start(t testing.TB, members int, flags ...string) *Cluster {
	t.Helper()
	return launch(t, members, nil, flags)
}

// StartTLS starts one member whose clients use TLS. own is for this package's clients.
func StartTLS(t testing.TB, own *tls.Config, flags ...string) *Cluster {
	t.Helper()
	return launch(t, 1, own, flags)
}

func launch(t testing.TB, members int, own *tls.Config, flags []string) *Cluster {
	t.Helper()
	program := Program(t)
	var c *Cluster
	t.Cleanup(func() {
		for _, n := range c.Nodes {
			n.Kill()
			if t.Failed() {
				t.Logf("%s: %s", n.Name, n.log.String())
			}
		}
	})
	for range 5 {
		c = newCluster(t, program, members, own, flags)
		var err error
		for _, n := range c.Nodes {
			err = errors.Join(err, n.await())
		}
		if err == nil {
			return c
		}
		for _, n := range c.Nodes {
			n.Kill()
		}
		require.ErrorIs(t, err, errTaken)
	}
	require.Fail(t, "no ports for etcd")
	return nil
}

func newCluster(t testing.TB, program string, members int, own *tls.Config, flags []string) *Cluster {
	scheme := "http://"
	if own != nil {
		scheme = "https://"
	}
	c := &Cluster{t: t}
	var initial []string
	ports := free(t, 2*members)
	for i := range members {
		client, peer := ports[2*i], ports[2*i+1]
		n := &Node{Name: fmt.Sprint("n", i), Folder: t.TempDir(), direct: client, program: program, tls: own,
			Peers: proxytest.New(t, peer), Clients: proxytest.New(t, client)}
		n.member = []string{"--name", n.Name, "--initial-advertise-peer-urls", "http://" + n.Peers.Address()}
		n.args = append([]string{
			"--data-dir", filepath.Join(n.Folder, "data"), "--log-level", "error", "--logger", "zap",
			"--listen-client-urls", scheme + client, "--advertise-client-urls", scheme + n.Clients.Address(),
			"--listen-peer-urls", "http://" + peer,
			"--heartbeat-interval", "50", "--election-timeout", "500",
		}, flags...)
		initial = append(initial, n.Name+"=http://"+n.Peers.Address())
		c.Nodes = append(c.Nodes, n)
	}
	for _, n := range c.Nodes {
		n.member = append(n.member, "--initial-cluster", strings.Join(initial, ","))
		n.args = append(n.args, n.member...)
		require.NoError(t, n.start())
	}
	return c
}

// free returns addresses that nobody listens at.
func free(t testing.TB, n int) (addresses []string) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

func (n *Node) start() error {
	n.cmd = exec.Command(n.program, n.args...)
	n.cmd.Dir = n.Folder
	n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
	if err := childtest.Start(n.cmd, syscall.SIGKILL); err != nil {
		return err
	}
	n.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(n.cmd, n.ended)
	return nil
}

// Endpoints are where clients reach the members.
func (c *Cluster) Endpoints() (all []string) {
	for _, n := range c.Nodes {
		all = append(all, n.Clients.Address())
	}
	return all
}

// Direct is a member's own address, without a proxy.
func (n *Node) Direct() string { return n.direct }

// Client returns a client of the whole cluster, for what a store does not do.
func (c *Cluster) Client() *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), TLS: c.Nodes[0].tls, Logger: zap.NewNop()})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { client.Close() })
	return client
}

// patience is longer than any cluster takes that will ever be ready.
const patience = 2 * time.Minute

// Await returns once every member that runs takes part in a majority.
func (c *Cluster) Await() {
	c.t.Helper()
	for _, n := range c.Nodes {
		if n.Running() {
			require.NoError(c.t, n.await())
		}
	}
}

// errTaken says that somebody else has taken a member's port, between its choice and its
// use.
var errTaken = errors.New("etcdtest: a port is taken")

func (n *Node) await() error {
	begin := time.Now()
	for {
		err := n.try()
		if err == nil {
			return nil
		}
		taken := false
		if !n.Running() {
			if taken = strings.Contains(n.log.String(), "address already in use"); !taken {
				return fmt.Errorf("etcdtest: %s ended: %s", n.Name, n.log.String())
			}
			// A connection of somebody's, perhaps, which will end.
			n.log.Reset()
			if err := n.start(); err != nil {
				return err
			}
		}
		switch waited := time.Since(begin); {
		case taken && waited > patience/10:
			return fmt.Errorf("%w: %s", errTaken, n.Name)
		case waited > patience:
			return fmt.Errorf("etcdtest: %s is not ready: %w: %s", n.Name, err, n.log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (n *Node) try() error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{n.direct}, TLS: n.tls, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = client.Get(ctx, "x")
	return err
}

// Leader returns the member that leads, as one that runs says.
func (c *Cluster) Leader() *Node {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		for _, n := range c.Nodes {
			if n.Running() && n.leads() {
				return n
			}
		}
		require.True(c.t, time.Now().Before(deadline), "no leader")
		time.Sleep(20 * time.Millisecond)
	}
}

func (n *Node) leads() bool {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{n.direct}, TLS: n.tls, Logger: zap.NewNop()})
	if err != nil {
		return false
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	status, err := client.Status(ctx, n.direct)
	return err == nil && status.Leader == status.Header.MemberId
}

// Running says whether the member was started and not killed.
func (n *Node) Running() bool {
	if n.ended == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// Kill ends the member as a crash of its process does (SIGKILL).
func (n *Node) Kill() {
	if n.Running() {
		_ = n.cmd.Process.Kill()
		<-n.ended
	}
}

// Restart starts a member that was killed.
func (n *Node) Restart(t testing.TB) { require.NoError(t, n.start()) }

// Pause stops the member's process (SIGSTOP), and Resume lets it go on.
func (n *Node) Pause(t testing.TB) { require.NoError(t, n.cmd.Process.Signal(syscall.SIGSTOP)) }

// Resume lets a member that is paused go on.
func (n *Node) Resume(t testing.TB) { require.NoError(t, n.cmd.Process.Signal(syscall.SIGCONT)) }
