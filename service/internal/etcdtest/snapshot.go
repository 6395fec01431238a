package etcdtest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

var version = regexp.MustCompile(`etcd Version: (\S+)`)

// Version is that of the members.
func (c *Cluster) Version() string {
	c.t.Helper()
	out, err := exec.Command(c.Nodes[0].program, "--version").Output()
	require.NoError(c.t, err)
	match := version.FindSubmatch(out)
	require.NotNil(c.t, match, "%s", out)
	return string(match[1])
}

// Snapshot copies the running cluster, as it is at one moment, to a file: what "etcdctl
// snapshot save" does.
func (c *Cluster) Snapshot(t testing.TB, name string) {
	t.Helper()
	reader, err := c.Client().Snapshot(t.Context())
	require.NoError(t, err)
	defer reader.Close()
	file, err := os.Create(name)
	require.NoError(t, err)
	_, err = io.Copy(file, reader)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// Restore ends all members, and starts each anew with what a snapshot has.
func (c *Cluster) Restore(t testing.TB, name string) {
	t.Helper()
	tool := restorer(t)
	for _, n := range c.Nodes {
		n.Kill()
	}
	for _, n := range c.Nodes {
		data := filepath.Join(n.Folder, "data")
		require.NoError(t, os.RemoveAll(data))
		cmd := exec.Command(tool, append([]string{"snapshot", "restore", name, "--data-dir", data}, n.member...)...)
		cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	for _, n := range c.Nodes {
		n.Restart(t)
	}
	c.Await()
}

// restorer is the tool that restores snapshots: etcdutl beside TANDEM_ETCD, or etcdctl,
// which does it in etcd 3.4.
func restorer(t testing.TB) string {
	if path := os.Getenv("TANDEM_ETCD"); path != "" {
		return filepath.Join(filepath.Dir(path), "etcdutl")
	}
	return needtest.Program(t, "etcdctl", "etcd-client")
}
