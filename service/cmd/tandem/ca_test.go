package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// createCA makes a CA in files.
var createCA = []string{"ca", "create", "-country", "EE", "-organization", "Tree", "-organization-id", "NTREE-12345678", "-root", "Tree root", "-issuing", "Tree issuing"}

// TestCA: a root and two issuing CAs, which OpenSSL verifies; the root's key is needed
// for them alone.
func TestCA(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	folder := filepath.Join(dir, "ca")
	do := func(want int, args ...string) map[string]any {
		t.Helper()
		code, out := inProcess(nil, append(args, "-dir", dir, "-json")...)
		require.Equal(t, want, code, out)
		var v map[string]any
		require.NoError(t, json.Unmarshal([]byte(out), &v), out)
		return v
	}
	made := do(exitOK, slices.Concat(createCA, []string{"-root-years", "20", "-issuing-years", "7"})...)
	require.Equal(t, folder, made["folder"])
	for who, want := range map[string]struct {
		name  string
		years int
	}{"root": {"Tree root", 20}, "issuing": {"Tree issuing", 7}} {
		c := made[who].(map[string]any)
		require.Equal(t, want.name, c["common_name"])
		until, err := time.Parse(time.RFC3339, c["not_after"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().AddDate(want.years, 0, 0), until, time.Hour)
	}
	if runtime.GOOS != "windows" {
		for name, mode := range map[string]fs.FileMode{"root.key": 0o600, "issuing-1.key": 0o600, "root.crt": 0o644, "issuing-1.crt": 0o644} {
			info, err := os.Stat(filepath.Join(folder, name))
			require.NoError(t, err)
			require.Equal(t, mode, info.Mode().Perm(), name)
		}
	}
	before, err := os.ReadFile(filepath.Join(folder, "root.crt"))
	require.NoError(t, err)
	require.Equal(t, "exists", do(exitFailure, createCA...)["error"].(map[string]any)["kind"])
	after, err := os.ReadFile(filepath.Join(folder, "root.crt"))
	require.NoError(t, err)
	require.Equal(t, before, after)

	require.Equal(t, "Tree issuing 2", do(exitOK, "ca", "add", "-issuing", "Tree issuing 2")["issuing"].(map[string]any)["common_name"])
	do(exitUsage, "ca", "add", "-issuing", "Tree issuing 2")
	require.NoError(t, os.Rename(filepath.Join(folder, "root.key"), filepath.Join(dir, "root.key")))
	do(exitFailure, "ca", "add", "-issuing", "Tree issuing 3")
	require.NoFileExists(t, filepath.Join(folder, "issuing-3.crt"))

	openssl := needtest.Program(t, "openssl", "openssl")
	for _, name := range []string{"issuing-1.crt", "issuing-2.crt"} {
		text, err := exec.Command(openssl, "verify", "-x509_strict", "-CAfile", filepath.Join(folder, "root.crt"), filepath.Join(folder, name)).CombinedOutput()
		require.NoError(t, err, string(text))
		text, err = exec.Command(openssl, "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", filepath.Join(folder, name)).CombinedOutput()
		require.NoError(t, err, string(text))
		require.Contains(t, string(text), "organizationIdentifier=NTREE-12345678,O=Tree,C=EE")
	}
}

// TestCAKeysLeft: a failure after a key was made in a token names the key.
func TestCAKeysLeft(t *testing.T) {
	t.Parallel()
	k := &caKeys{c: &call{app: newApp()}}
	cause := failf("exists", "do something else", "%s is there", "it")
	require.Equal(t, cause, k.left(cause))
	k.made = []string{"tandem-1-root", "tandem-2-issuing"}
	f := explain(k.left(cause), time.Now())
	require.Equal(t, "exists", f.Kind)
	require.Contains(t, f.Message, "it is there")
	require.Contains(t, f.Message, `"tandem-1-root" "tandem-2-issuing"`)
}

// TestCARefuses: what is wrong is refused before anything is made; a CA for tests is none
// for production, nor the other way round.
func TestCARefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	trial := filepath.Join(t.TempDir(), "trial.json")
	require.NoError(t, os.WriteFile(trial, []byte(`{"production": false}`), secretMode))
	with := func(flag, value string) []string { return slices.Concat(createCA, []string{flag, value}) }
	for _, c := range []struct {
		problem string
		args    []string
	}{
		{"want create or add", []string{"ca"}},
		{"want create or add", []string{"ca", "frobnicate"}},
		{"what is the CA called? Give -root", []string{"ca", "create", "-issuing", "A"}},
		{"what is the CA called? Give -issuing", with("-issuing", "")},
		{"is of a CA for tests", with("-issuing", "TEST Tree issuing")},
		{"would be refused in production", with("-root", "TEST Tree root")},
		{"begins with TEST", slices.Concat(createCA, []string{"-config", trial})},
		{"the country", with("-country", "Estonia")},
		{"one that does not print", with("-organization", "Tr\u202eee")},
		{"root and issuing CA have one name", with("-issuing", "Tree root")},
		{"-issuing-years is 1 or more", with("-issuing-years", "0")},
		{"a CA for 51 years", with("-root-years", "51")},
		{"-hsm is MODULE:TOKEN", with("-hsm", "token")},
		{"-root is for create", []string{"ca", "add", "-root", "Tree root", "-issuing", "Tree issuing"}},
		{"root.crt", []string{"ca", "add", "-issuing", "Tree issuing"}},
	} {
		code, out := inProcess(nil, append(c.args, "-dir", dir)...)
		want := exitUsage
		if c.problem == "root.crt" {
			want = exitFailure
		}
		require.Equal(t, want, code, "%s: %s", c.problem, out)
		require.Contains(t, out, c.problem)
	}
	require.NoDirExists(t, dir)

	// With the trial's configuration the names of tests are right.
	code, out := inProcess(nil, "ca", "create", "-dir", dir, "-config", trial, "-country", "EE", "-organization", "Tree", "-organization-id", "NTREE-12345678",
		"-root", "TEST Tree root", "-issuing", "TEST Tree issuing")
	require.Equal(t, exitOK, code, out)
}
