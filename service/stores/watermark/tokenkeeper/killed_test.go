//go:build cgo && linux && !nopkcs11

package tokenkeeper

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// counter is the environment variable that makes this test binary count in that store,
// until it is killed.
const counter = "TANDEM_TEST_COUNTER"

// TestKilled: a node that is killed at any call by which it saves its mark starts again
// without an alarm, and an older copy of its store is still refused.
func TestKilled(t *testing.T) {
	if name := os.Getenv(counter); name != "" {
		k, _ := opened(t, hsmtest.Token{Module: os.Getenv(counter + "_MODULE"), Label: os.Getenv(counter + "_LABEL"), PIN: os.Getenv(counter + "_PIN")})
		count(t, name, k, 1)
		t.Fatal("still alive")
	}
	f := hsmtest.Faulty(t)
	ctx := t.Context()
	folder := t.TempDir()
	name, backup := filepath.Join(folder, "store"), filepath.Join(folder, "backup")
	store, err := bolt.Open(name, bolt.Options{})
	require.NoError(t, err)
	k, end := opened(t, f.Token)
	require.NoError(t, watermark.Create(ctx, store, k))
	require.NoError(t, store.Close())
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(backup, text, 0o600))
	count(t, name, k, 1)
	before := f.Counts().Calls["C_DestroyObject"]
	end()
	_, end = opened(t, f.Token)
	end()
	opening := f.Counts().Calls["C_DestroyObject"] - before // of the self-test
	for _, at := range []struct {
		function string
		skip     int
	}{{"C_CreateObject", 0}, {"C_DestroyObject", opening}} {
		remove := f.Add(hsmtest.Rule{Function: at.function, Action: hsmtest.Hold, Skip: at.skip, Times: 1})
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$", "-test.count", "1")
		cmd.Env = append(os.Environ(), counter+"="+name, counter+"_MODULE="+f.Module, counter+"_LABEL="+f.Label, counter+"_PIN="+f.PIN,
			"TMPDIR="+t.TempDir())
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { return f.Counts().Held == 1 }, patience, time.Millisecond, at.function)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		remove()
		f.Forget()

		k, end := opened(t, f.Token)
		older, err := bolt.Open(backup, bolt.Options{})
		require.NoError(t, err)
		require.ErrorIs(t, watermark.Check(ctx, older, k), watermark.ErrWentBack, at.function)
		require.NoError(t, older.Close())
		count(t, name, k, 1)
		end()
	}
}
