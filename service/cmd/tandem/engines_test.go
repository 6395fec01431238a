package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
)

// run runs the command in this process, and returns its exit code and standard output.
func run(env map[string]string, args ...string) (int, string) {
	var out bytes.Buffer
	a := newApp()
	a.out, a.errOut, a.env = &out, io.Discard, func(name string) string { return env[name] }
	return a.run(args), out.String()
}

// TestEngines: a server signs and counts with each engine, and its store moves from one to
// the next.
func TestEngines(t *testing.T) {
	folder := t.TempDir()
	etcd := "etcd:" + etcdtest.Start(t, 1).Endpoints()[0] + "?prefix=command/"
	postgres := "postgres:" + pgtest.New(t).URL()
	device, file := filepath.Join(folder, "d"), filepath.Join(folder, "letter.txt")
	require.NoError(t, os.WriteFile(file, []byte("Dear Sir,"), 0o600))
	env := map[string]string{"TANDEM_SERVER": filepath.Join(folder, "s"), "TANDEM_PIN": "80351"}
	must := func(want int, args ...string) string {
		t.Helper()
		code, out := run(env, append(args, "-json")...)
		require.Equal(t, want, code, "%v: %s", args, out)
		return out
	}
	key, err := filepath.Abs("testdata/keys/rsa2048.pem")
	require.NoError(t, err)
	must(0, "init", "-shape", "two-prime", "-store", etcd, "-mark", filepath.Join(folder, "mark"))
	must(0, "enroll", "-device", device, "-key", "sign", "-import", key, "-sharing", "additive", "-argon2", "1,32,1")
	left := func() int {
		var status struct {
			Device struct {
				Keys []struct {
					Server *struct {
						Left int `json:"tries_left_in_all"`
					}
				}
			}
		}
		require.NoError(t, json.Unmarshal([]byte(must(0, "status", "-device", device)), &status))
		return status.Device.Keys[1].Server.Left
	}
	for i, to := range []string{postgres, "bolt:" + filepath.Join(folder, "moved.db"), ""} {
		must(0, "sign", "-device", device, "-o", filepath.Join(folder, string(rune('a'+i))), file)
		env["TANDEM_PIN"] = "80352"
		must(3, "sign", "-device", device, "-o", filepath.Join(folder, "wrong"), file)
		env["TANDEM_PIN"] = "80351"
		require.Equal(t, 8, left())
		must(0, "store", "check")
		must(0, "store", "migrate")
		if to != "" {
			must(0, "store", "copy", "-to", to)
			require.Equal(t, 8, left())
		}
	}
	for _, taken := range []string{etcd, postgres} { // what was moved from is no place for a new server
		code, out := run(map[string]string{"TANDEM_SERVER": filepath.Join(folder, "other")}, "init", "-shape", "two-prime", "-store", taken, "-json")
		require.Equal(t, 1, code, out)
	}
	for _, bad := range []string{"bolt:", "sqlite:x", "etcd:a,,b", "etcd:a?x=y", "etcd:a?cert=x"} {
		code, _ := run(map[string]string{"TANDEM_SERVER": filepath.Join(folder, "other")}, "init", "-store", bad)
		require.Equal(t, exitUsage, code, bad)
	}
}
