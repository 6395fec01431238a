package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/durable"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// scene runs the command in this process with a folder of its own, in which file is what
// is signed.
type scene struct {
	*testing.T
	folder, device, file string
	env                  map[string]string
	later                time.Duration
}

func newScene(t *testing.T) *scene {
	c := &scene{T: t, folder: t.TempDir()}
	c.device, c.file = c.in("device"), c.in("letter.txt")
	require.NoError(t, os.WriteFile(c.file, []byte("Dear Sir,"), 0o600))
	c.env = map[string]string{"TANDEM_SERVER": c.in("server"), "TANDEM_PIN": "80351"}
	return c
}

func (c *scene) in(name string) string { return filepath.Join(c.folder, name) }

// run wants an exit code, and returns the JSON object that is printed.
func (c *scene) run(want int, args ...string) string {
	c.Helper()
	var out bytes.Buffer
	a := newApp()
	a.out, a.errOut, a.env = &out, io.Discard, func(name string) string { return c.env[name] }
	a.clock = func() time.Time { return time.Now().Add(c.later) }
	require.Equal(c, want, a.run(append(args, "-json")), "%v: %s", args, out.String())
	return out.String()
}

// kind wants a failure of that kind.
func (c *scene) kind(want string, args ...string) {
	c.Helper()
	require.Contains(c, c.run(exitFailure, args...), fmt.Sprintf(`"kind": %q`, want), args)
}

// enroll makes one key, of a private key that is there.
func (c *scene) enroll() {
	c.Helper()
	key, err := filepath.Abs("testdata/keys/rsa2048.pem")
	require.NoError(c, err)
	c.run(exitOK, "enroll", "-device", c.device, "-key", "sign", "-import", key, "-sharing", "additive", "-argon2", "1,32,1")
}

// sign signs the file with a device, and looks at the signature if there is to be one.
func (c *scene) sign(want int, device string) (out string) {
	c.Helper()
	sig, key := c.in("sig"), c.in("key.pem")
	out = c.run(want, "sign", "-device", device, "-o", sig, c.file)
	if want != exitOK {
		require.NoFileExists(c, sig)
		return out
	}
	c.run(exitOK, "pubkey", "-device", device, "-o", key)
	c.run(exitOK, "verify", "-pubkey", key, "-sig", sig, c.file)
	require.NoError(c, errors.Join(os.Remove(sig), os.Remove(key)))
	return out
}

// wrongPIN uses up a try.
func (c *scene) wrongPIN() {
	c.Helper()
	right := c.env["TANDEM_PIN"]
	c.env["TANDEM_PIN"] = "80352"
	c.sign(exitWrongPIN, c.device)
	c.env["TANDEM_PIN"] = right
}

// left is how many tries the key has left in all.
func (c *scene) left() int {
	c.Helper()
	var status struct {
		Device struct {
			Keys []struct {
				Server *struct {
					Left int `json:"tries_left_in_all"`
				}
			}
		}
	}
	require.NoError(c, json.Unmarshal([]byte(c.run(exitOK, "status", "-device", c.device)), &status))
	return status.Device.Keys[1].Server.Left
}

// TestEngines has what needs the servers of every engine.
func TestEngines(t *testing.T) {
	cluster, server := etcdtest.Start(t, durabletest.Times(3, 1, 1)), pgtest.New(t)
	etcd := func(prefix string) string {
		return "etcd:" + strings.Join(cluster.Endpoints(), ",") + "?prefix=" + prefix + "/"
	}
	postgres := func(schema string) string {
		server.Exec(t, "CREATE SCHEMA "+schema)
		return "postgres:" + server.URL("search_path="+schema)
	}
	t.Run("Move", func(t *testing.T) { moves(newScene(t), etcd("moves"), postgres("moves")) })
	for name, store := range map[string]string{"bolt": "bolt:" + filepath.Join(t.TempDir(), "failed.db"), "etcd": etcd("failed"), "postgres": postgres("failed")} {
		t.Run("FailedInit/"+name, func(t *testing.T) { failedInit(newScene(t), store) })
	}
	t.Run("Restored/bolt", func(t *testing.T) {
		c := newScene(t)
		name := c.in("store.db")
		restored(c, "bolt", "bolt:"+name, func(backup string) { c.run(exitOK, "store", "backup", "-o", backup) }, func(backup string) {
			text, err := os.ReadFile(backup)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(name, text, 0o600))
		})
	})
	t.Run("Restored/postgres", func(t *testing.T) {
		var folder string
		restored(newScene(t), "PostgreSQL (pg_basebackup)", postgres("restored"),
			func(string) { folder = server.Backup(t) }, func(string) { server.Restore(t, folder) })
	})
	t.Run("Restored/etcd", func(t *testing.T) {
		restored(newScene(t), fmt.Sprintf("etcd %s (snapshot, members: %d)", cluster.Version(), len(cluster.Nodes)), etcd("restored"),
			func(backup string) { cluster.Snapshot(t, backup) }, func(backup string) { cluster.Restore(t, backup) })
	})
}

// moves: a server signs and counts with each engine, and its store moves from one to the
// next.
func moves(c *scene, etcd, postgres string) {
	c.run(exitOK, "init", "-shape", "two-prime", "-store", etcd, "-mark", c.in("mark"))
	c.enroll()
	for _, to := range []string{postgres, "bolt:" + c.in("moved.db"), ""} {
		c.sign(exitOK, c.device)
		c.wrongPIN()
		require.Equal(c, 8, c.left())
		c.run(exitOK, "store", "check")
		c.run(exitOK, "store", "migrate")
		if to != "" {
			c.run(exitOK, "store", "copy", "-to", to)
			require.Equal(c, 8, c.left())
		}
	}
	c.env["TANDEM_SERVER"] = c.in("other")
	for _, taken := range []string{etcd, postgres} { // what was moved from is no place for a new server
		c.kind("exists", "init", "-shape", "two-prime", "-store", taken)
	}
	for _, bad := range []string{"bolt:", "sqlite:x", "etcd:a,,b", "etcd:a?x=y", "etcd:a?cert=x"} {
		c.run(exitUsage, "init", "-store", bad)
	}
}

// failedInit: an init that fails once its store is made leaves nothing that the next one
// refuses: no file, no mark, no checkpoint.
func failedInit(c *scene, store string) {
	mark := c.in("mark")
	init := []string{"init", "-shape", "two-prime", "-store", store, "-mark", mark}
	for _, op := range []durable.Op{durable.Sync, durable.Rename} {
		empty := fill(c.T, op, map[durable.Op]string{durable.Sync: configFile, durable.Rename: "server"}[op])
		c.run(exitFailure, init...)
		empty()
		names, err := filepath.Glob(filepath.Join(c.folder, "*"))
		require.NoError(c, err)
		require.Equal(c, []string{c.file}, names)
	}
	c.run(exitOK, init...)
	c.env["TANDEM_SERVER"] = c.in("other")
	c.kind("exists", "init", "-shape", "two-prime", "-store", store, "-mark", c.in("other mark"))
}

// restored: an older copy of the store is refused until the operator has recovered it.
// Then every counter is at least as high as it was; the owner's device signs again, once
// the lock is over; and a copy of the device, which somebody made before, does not.
func restored(c *scene, name, store string, backup, restore func(file string)) {
	c.run(exitOK, "init", "-shape", "two-prime", "-store", store, "-mark", c.in("mark"))
	c.enroll()
	c.sign(exitOK, c.device)
	backup(c.in("backup"))
	c.sign(exitOK, c.device)
	thief := c.in("thief")
	require.NoError(c, copyFolder(c.device, thief))
	c.sign(exitOK, c.device)
	c.wrongPIN()
	before := c.left()
	restore(c.in("backup"))
	for range 2 { // it stays so
		for _, device := range []string{c.device, thief} {
			c.kind("went_back", "sign", "-device", device, "-o", c.in("sig"), c.file)
		}
		c.kind("went_back", "store", "check")
	}
	c.run(exitOK, "store", "recover")
	after := c.left()
	require.LessOrEqual(c, after, before-3, "a round on top of what was lost")
	c.run(exitOK, "store", "check")
	c.sign(exitLocked, c.device)
	c.later = 4 * time.Hour
	c.sign(exitOK, c.device)
	kept := c.in("kept") // which does not hear that the key is destroyed
	require.NoError(c, copyFolder(c.device, kept))
	require.Contains(c, c.sign(exitDestroyed, thief), "copied")
	c.sign(exitDestroyed, c.device)

	// A second time: what was destroyed since is destroyed again.
	restore(c.in("backup"))
	c.kind("went_back", "sign", "-device", kept, "-o", c.in("sig"), c.file)
	require.Contains(c, c.run(exitOK, "store", "recover"), `"keys_destroyed": 1`)
	c.sign(exitDestroyed, kept)
	durabletest.Claim(c, "rollback: %s: a restored copy is refused twice, and recovered; tries left %d before it and %d after; the device signs again, its copy does not; a destroyed key stays destroyed", name, before, after)
}
