package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// TestServiceConfig: what a configuration says that cannot be is refused before anything
// is made, and the file that is there as an example is a good one.
func TestServiceConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := `"url": "https://id.example", "ca": {"profile": {}}`
	inProfile := `{"production": true, "url": "https://id.example", "ca": {"profile": `
	for i, c := range []struct {
		config, problem string
		args            []string
	}{
		{`{"production": false, "listne": "127.0.0.1:0"}`, `/listne is not known`, nil},
		{`{"production": false, "Listen": "127.0.0.1:0"}`, `/Listen is not known`, nil},
		{`{"production": false, "quotas": {"PIN": {}}}`, `/quotas/PIN is not known`, nil},
		{inProfile + `{"years": 3}}}`, "/ca/profile/years is not known", nil},
		{`{"production": false, "listen": "127.0.0.1:0", "listen": "127.0.0.1:1"}`, "/listen is there twice", nil},
		{`{"production": false, "tls": {"key": "a", "key": "a"}}`, "/tls/key is there twice", nil},
		{`{"production": false, "tls": null}`, "/tls is null", nil},
		{`{"production": "false"}`, "/production is not true or false", nil},
		{`{"production": false, "hsm_sessions": "8"}`, "/hsm_sessions is not a whole number", nil},
		{`{"production": false} {}`, "it is not JSON, at byte 22", nil},
		{`{`, "it is not JSON, at byte 1", nil},
		{`{}`, "say whether persons rely on this service", nil},
		{`{"production": false, "drain": "2h"}`, "2h0m0s", nil},
		{`{"production": false, "quotas": {"pin": {"person": ["1/1s", "10 a minute"]}}}`, `/quotas/pin/person/1 is wrong: "10 a minute" is no rule such as 10/1m`, nil},
		{`{"production": false, "proxies": ["here"]}`, "/proxies/0 is wrong", nil},
		{`{"production": false, "listen": "0.0.0.0:8080"}`, "without TLS only a proxy on this machine", nil},
		{`{"production": false, "listen": "localhost:8080"}`, "without TLS only a proxy on this machine", nil},
		{`{"production": false, "metrics": "0.0.0.0:8081"}`, "metrics are for this machine only", nil},
		{`{"production": false, "tls": {"certificate": "x"}}`, "a certificate and a key", nil},
		{`{"production": false, "hsm_sessions": 2000}`, "hsm_sessions", nil},
		{`{"production": true, ` + good + `, "test_identities": {}}`, "production has no test identities", nil},
		{`{"production": true, ` + good + `}`, "production has no test identities", []string{"-test-identities"}},
		{`{"production": true, ` + good + `, "demo": {"bank": true}}`, "production has no bank", nil},
		{`{"production": true, ` + good + `}`, "production has no bank", []string{"-bank"}},
		{`{"production": true}`, `production needs "url"`, nil},
	} {
		name := filepath.Join(dir, fmt.Sprintf("%d.json", i))
		require.NoError(t, os.WriteFile(name, []byte(c.config), secretMode))
		if c.args == nil {
			config, err := readServiceConfig(name)
			config.fill(dir)
			require.Error(t, errors.Join(err, config.check()), c.config) // or it would serve
		}
		code, out := inProcess(nil, append([]string{"serve", "-dir", filepath.Join(dir, "d"), "-config", name}, c.args...)...)
		require.Equal(t, exitUsage, code, "%s: %s", c.config, out)
		require.Contains(t, out, c.problem, c.config)
	}
	// In production nothing is made: a mistyped path would begin a service anew.
	name := filepath.Join(dir, "production.json")
	require.NoError(t, os.WriteFile(name, []byte(`{"production": true, `+good+`}`), secretMode))
	code, out := inProcess(nil, "serve", "-dir", filepath.Join(dir, "d"), "-config", name)
	require.Equal(t, exitFailure, code, out)
	require.Contains(t, out, "production makes nothing by itself")
	code, out = inProcess(nil, "init", "-server", filepath.Join(dir, "d", "server"), "-shape", twoPrime)
	require.Equal(t, exitOK, code, out)
	code, out = inProcess(nil, "serve", "-dir", filepath.Join(dir, "d"), "-config", name)
	require.Equal(t, exitFailure, code, out)
	require.Contains(t, out, "tandem help ca")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "d")))
	for _, args := range [][]string{{"rp", "list"}, {"account", "list"}, {"register", "-given", "A", "-surname", "B", person}} {
		code, out = inProcess(nil, append(args, "-dir", filepath.Join(dir, "d"))...)
		require.Equal(t, exitFailure, code, out)
		require.Contains(t, out, "there is no service in")
	}
	require.NoDirExists(t, filepath.Join(dir, "d"))

	config, err := readServiceConfig("../../deploy/service.json")
	require.NoError(t, err)
	config.fill("/var/lib/tandem")
	require.NoError(t, config.check())
	require.True(t, config.production())
	require.Equal(t, "/var/lib/tandem/server", config.Server)
}

// TestProductionCA: production takes no CA that "tandem serve" made for a trial.
func TestProductionCA(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	var s serviceFlags
	s.dir = dir
	var config serviceConfig
	config.fill(dir)
	c := &call{app: newApp(), progress: newProgress(new(strings.Builder))}
	require.NoError(t, s.make(t.Context(), c, &config))
	text := `{"production": true, "url": "https://id.example", "ca": {"profile": {"Years": 3, "MinBits": 3072}}}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, serviceFile), []byte(text), secretMode))
	code, out := inProcess(nil, "serve", "-dir", dir, "-listen", "127.0.0.1:0", "-metrics", off)
	require.Equal(t, exitUsage, code, out)
	require.Contains(t, out, `is one for tests`)
}

// TestServiceUsage: wrong usage is 2, in JSON where that is asked for.
func TestServiceUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, line := range []string{
		"serve extra", "rp", "rp frobnicate", "rp add", "rp add extra -name A", "rp add -name A -uuid 1", "rp add -name A -network nowhere",
		"rp remove", "rp remove 1", "rp add -name " + strings.Repeat("A", 33),
		"register", "register -given A -surname B nobody", "register PNOEE-40504040001", "register -given A -surname B -born yesterday PNOEE-40504040001",
		"register -given A -surname B -level high PNOEE-40504040001", "register -given A -surname B -replaces 7 PNOEE-40504040001",
		"account", "account delete", "account delete nobody", "account list nobody", "account list a b",
		"phone poll", "phone -phone DIR", "phone -phone DIR frobnicate", "phone -phone DIR poll extra", "phone -phone DIR approve", "phone -phone DIR enroll a b",
		"phone -phone DIR enroll a", "phone -phone DIR -argon2 1 home",
	} {
		args := strings.Fields(strings.ReplaceAll(line, "DIR", dir))
		if args[0] != "phone" {
			args = append(args, "-dir", dir)
		}
		code, out := inProcess(nil, args...)
		require.Equal(t, exitUsage, code, "%s: %s", line, out)
		if args[0] == "serve" {
			continue // has no -json
		}
		code, out = inProcess(nil, append(args, "-json")...)
		require.Equal(t, exitUsage, code, "%s: %s", line, out)
		var v struct{ Error struct{ Kind string } }
		require.NoError(t, json.Unmarshal([]byte(out), &v), line)
		require.Equal(t, "usage", v.Error.Kind, line)
	}
	code, out := inProcess(nil, "phone", "home", "-phone", dir, "-json")
	require.Equal(t, exitFailure, code)
	require.Contains(t, out, "not_enrolled")
}

// TestServiceJSON compares the fields of the commands for a service with those that
// docs/service.md promises.
func TestServiceJSON(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	var fields func(reflect.Type)
	fields = func(r reflect.Type) {
		for r.Kind() == reflect.Pointer || r.Kind() == reflect.Slice {
			r = r.Elem()
		}
		if r.Kind() != reflect.Struct || r.PkgPath() == "time" || r.PkgPath() == "net/netip" {
			return
		}
		for f := range r.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				used[name] = true
				fields(f.Type)
			}
		}
	}
	for _, r := range []result{
		&caResult{}, &rpResult{}, &rpsResult{}, &registerResult{}, &accountResult{}, &accountsResult{}, &askResult{}, &approvedResult{}, &changedResult{},
		&homeResult{}, &historyResult{}, &transactionResult{},
	} {
		fields(reflect.TypeOf(r))
	}
	text, err := os.ReadFile("../../../docs/service.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\n### JSON\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n#")
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z_0-9]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented[m[1]] = true
	}
	require.Equal(t, documented, used)
}

// TestUnit has systemd look at the unit, with this test in the place of the command.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze := needtest.Program(t, "systemd-analyze", "systemd")
	text, err := os.ReadFile("../../deploy/tandem.service")
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	const start = "ExecStart=/usr/local/bin/tandem "
	require.Contains(t, string(text), start)
	unit := filepath.Join(t.TempDir(), "tandem.service")
	require.NoError(t, os.WriteFile(unit, []byte(strings.Replace(string(text), start, "ExecStart="+self+" ", 1)), publicMode))
	out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", unit).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
}

// TestServiceSecret: a secret that others may read, or that is none, is refused.
func TestServiceSecret(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	s := serviceFlags{dir: dir}
	var config serviceConfig
	config.fill(dir)
	c := &call{app: newApp(), progress: newProgress(new(strings.Builder))}
	require.NoError(t, s.make(t.Context(), c, &config))
	db, err := openDatabase(t.Context(), config, true)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	code, out := inProcess(nil, "rp", "list", "-dir", dir)
	require.Equal(t, exitOK, code, out)
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Chmod(config.Secret, 0o640))
		code, out = inProcess(nil, "rp", "list", "-dir", dir)
		require.Equal(t, exitFailure, code, out)
		require.Contains(t, out, "others may read or write")
		require.NoError(t, os.Chmod(config.Secret, 0o600))
	}
	for _, bad := range []string{"", "00", strings.Repeat("0", 63), strings.Repeat("x", 64), strings.Repeat("0", 66)} {
		require.NoError(t, os.WriteFile(config.Secret, []byte(bad), secretMode))
		code, out = inProcess(nil, "rp", "list", "-dir", dir)
		require.Equal(t, exitFailure, code, out)
		require.Contains(t, out, "does not hold 32 bytes")
	}
}

// TestFirstLogin: what "tandem serve" prints to do next is what is still to be done.
func TestFirstLogin(t *testing.T) {
	t.Parallel()
	s := new(serveRun)
	s.dir, s.config.URL = "/var/lib/trial", "http://127.0.0.1:8080"
	steps := []string{" rp add ", " register ", " phone enroll ", " phone sign -phone my-phone\n", " phone sign -phone PHONE\n", "has an account already", "signs by itself"}
	for _, c := range []struct {
		party, account, itself bool
		want                   []int // of steps
	}{
		{false, false, false, []int{0, 1, 2, 3}},
		{true, false, false, []int{1, 2, 3}},
		{false, true, false, []int{0, 4, 5}},
		{true, true, false, []int{4, 5}},
		{true, true, true, []int{6}},
	} {
		s.config.TestIdentities = nil
		if c.itself {
			s.config.TestIdentities = new(testConfig)
		}
		text := s.firstLogin(c.party, c.account)
		var got []int
		for i, step := range steps {
			if strings.Contains(text, step) {
				got = append(got, i)
			}
		}
		require.Equal(t, c.want, got, text)
		require.Contains(t, text, "/v2/authentication/etsi/"+person+" ")
		require.Contains(t, text, "/v2/session/SESSION?")
	}
}
