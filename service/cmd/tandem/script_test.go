package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/protocol/device"
)

// TestMain lets the scripts run this binary as the command, and as variants of it.
func TestMain(m *testing.M) {
	// The race detector lets every process sleep for a second before it ends, unless told
	// not to.
	if err := os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=10")); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){
		"tandem":       main,
		"tandem-cut":   cut,
		"tandem-later": later,
		"tandem-peak":  peak,
	})
}

// cut is the command on a line that fails at request N, counted from 1. $CUT is "N
// before": killed (SIGKILL) before the server sees the request; "N after": killed before
// the device sees the answer; "N lost": the answer is lost.
func cut() {
	a := newApp()
	var at, n int
	var where string
	if _, err := fmt.Sscanf(os.Getenv("CUT"), "%d %s", &at, &where); err != nil {
		panic(err)
	}
	a.link = func(server device.Transport) device.Transport {
		return func(ctx context.Context, request []byte) ([]byte, error) {
			if n++; n != at {
				return server(ctx, request)
			}
			if where == "before" {
				kill()
			}
			answer, err := server(ctx, request)
			if where == "after" {
				kill()
			}
			return nil, errors.Join(errors.New("line cut"), err, errors.New(strconv.Itoa(len(answer))+" bytes lost"))
		}
	}
	os.Exit(a.run(os.Args[1:]))
}

func kill() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

// later is the command at a later time, by $LATER.
func later() {
	d, err := time.ParseDuration(os.Getenv("LATER"))
	if err != nil {
		panic(err)
	}
	a := newApp()
	a.clock = func() time.Time { return time.Now().Add(d) }
	os.Exit(a.run(os.Args[1:]))
}

// peak is the command, which then tells in the file $PEAK how much memory it had at most.
// (What wait(2) says of a process includes what its parent had when it was started.)
func peak() {
	code := newApp().run(os.Args[1:])
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		err = os.WriteFile(os.Getenv("PEAK"), status, 0o600)
	}
	if err != nil {
		panic(err)
	}
	os.Exit(code)
}

// seen collects the names of all JSON fields that a script saw.
var seen = struct {
	sync.Mutex
	fields map[string]bool
}{fields: map[string]bool{}}

func record(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			seen.fields[name] = true
			record(value)
		}
	case []any:
		for _, value := range v {
			record(value)
		}
	}
}

// scriptCommands are what the scripts have beside testscript's own.
var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	// exits CODE PROGRAM ARG...: runs it, and wants that exit code. With -json among
	// the arguments standard output must be one JSON object.
	"exits": func(ts *testscript.TestScript, neg bool, args []string) {
		want, err := strconv.Atoi(args[0])
		ts.Check(err)
		got := 0
		if err := ts.Exec(args[1], args[2:]...); err != nil {
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				ts.Fatalf("%v", err)
			}
			got = exit.ExitCode()
		}
		if got != want {
			ts.Fatalf("exit code %d, want %d", got, want)
		}
		for _, arg := range args[2:] {
			if arg == "--" {
				break
			}
			if arg == "-json" || arg == "--json" {
				object(ts)
			}
		}
	},
	// object: standard output is one JSON object.
	"object": func(ts *testscript.TestScript, neg bool, args []string) { object(ts) },
	// json PATH VALUE: the last output has it; "! json PATH" that it has no such field.
	"json": func(ts *testscript.TestScript, neg bool, args []string) {
		var v any = object(ts)
		for name := range strings.SplitSeq(args[0], ".") {
			switch at := v.(type) {
			case map[string]any:
				v = at[name]
			case []any:
				i, err := strconv.Atoi(name)
				ts.Check(err)
				v = at[i]
			default:
				v = nil
			}
		}
		if neg {
			if v != nil {
				ts.Fatalf("%s is %v", args[0], v)
			}
			return
		}
		if got := fmt.Sprint(v); v == nil || !regexp.MustCompile("^(?:"+args[1]+")$").MatchString(got) {
			ts.Fatalf("%s is %s, want %s", args[0], got, args[1])
		}
	},
	// mode MODE FILE...
	"mode": func(ts *testscript.TestScript, neg bool, args []string) {
		for _, name := range args[1:] {
			info, err := os.Stat(ts.MkAbs(name))
			ts.Check(err)
			if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
				ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
			}
		}
	},
	// flip FILE: changes the byte in the middle.
	"flip": func(ts *testscript.TestScript, neg bool, args []string) {
		name := ts.MkAbs(args[0])
		data, err := os.ReadFile(name)
		ts.Check(err)
		data[len(data)/2] ^= 1
		ts.Check(os.WriteFile(name, data, 0o600))
	},
	// encode ENCODING FROM TO: utf-8, utf-16le or utf-16be, with a byte order mark.
	"encode": func(ts *testscript.TestScript, neg bool, args []string) {
		text := []byte(ts.ReadFile(args[1]))
		switch args[0] {
		case "utf-8":
			text = append([]byte("\ufeff"), text...)
		case "utf-16le", "utf-16be":
			var order binary.AppendByteOrder = binary.LittleEndian
			if args[0] == "utf-16be" {
				order = binary.BigEndian
			}
			wide := order.AppendUint16(nil, 0xfeff)
			for _, b := range text {
				wide = order.AppendUint16(wide, uint16(b))
			}
			text = wide
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), text, 0o600))
	},
	// join FROM... TO
	"join": func(ts *testscript.TestScript, neg bool, args []string) {
		var all []byte
		last := len(args) - 1
		for _, name := range args[:last] {
			all = append(all, ts.ReadFile(name)...)
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[last]), all, 0o600))
	},
	// jwk FIELDS KEY TO: an RSA private key in PEM as a JWK with these fields, separated
	// by commas.
	"jwk": func(ts *testscript.TestScript, neg bool, args []string) {
		block, _ := pem.Decode([]byte(ts.ReadFile(args[1])))
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		ts.Check(err)
		key := parsed.(*rsa.PrivateKey)
		numbers := map[string][]byte{"n": key.N.Bytes(), "e": {1, 0, 1}, "d": key.D.Bytes(), "p": key.Primes[0].Bytes(), "q": key.Primes[1].Bytes()}
		fields := map[string]string{"kty": "RSA"}
		for field := range strings.SplitSeq(args[0], ",") {
			fields[field] = base64.RawURLEncoding.EncodeToString(numbers[field])
		}
		text, err := json.Marshal(fields)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), text, 0o600))
	},
	// copyfolder FROM TO
	"copyfolder": func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Check(copyFolder(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
	},
}

// copyFolder copies a folder, with the modes of what is in it.
func copyFolder(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		return errors.Join(err, os.Chmod(filepath.Join(to, strings.TrimPrefix(name, from)), info.Mode().Perm()))
	})
}

func object(ts *testscript.TestScript) map[string]any {
	var v map[string]any
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	ts.Check(decoder.Decode(&v))
	if decoder.More() {
		ts.Fatalf("more than one JSON value")
	}
	seen.Lock()
	defer seen.Unlock()
	record(v)
	return v
}

// scripts runs the files of a folder that -run asks for, and reports whether these are
// all. $argon2 is the cost of a cheap lockbox. Lines that begin with [exec:openssl] have
// OpenSSL, which knows nothing of tandem, check or make something. Where it is missing
// they are left out, and the subtest openssl is skipped.
func scripts(t *testing.T, folder string, vars ...string) func() bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Empty(t, bareOpenSSL.FindString(string(text)), file)
	}
	t.Run("openssl", func(t *testing.T) { needtest.Program(t, "openssl", "openssl") })
	keys, err := filepath.Abs("testdata/keys")
	require.NoError(t, err)
	// prepared: makes the folders "s" and "d", see prepare.
	commands := maps.Clone(scriptCommands)
	commands["prepared"] = func(ts *testscript.TestScript, neg bool, args []string) { prepare(t, ts.MkAbs(".")) }
	var ran atomic.Int64
	testscript.Run(t, testscript.Params{
		Dir: folder, Cmds: commands, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			ran.Add(1)
			e.Vars = append(e.Vars, "GORACE="+os.Getenv("GORACE"), "keys="+keys, "argon2=1,32,1", "pins=2749 80351", "pin1=2749", "pin2=80351", "wrong=80352")
			e.Vars = append(e.Vars, vars...)
			return nil
		},
	})
	return func() bool { return int(ran.Load()) == len(files) }
}

var bareOpenSSL = regexp.MustCompile("(?m)^(! )?exec openssl")

var fieldRow = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|")

// TestScripts runs every script, and then compares the JSON fields that came up with
// those that docs/command.md promises: no more and no fewer.
func TestScripts(t *testing.T) {
	t.Parallel()
	var all func() bool
	t.Run("testdata", func(t *testing.T) { all = scripts(t, "testdata/scripts") })
	if t.Failed() || !all() {
		return
	}
	text, err := os.ReadFile("../../../docs/command.md")
	require.NoError(t, err)
	_, fields, found := strings.Cut(string(text), "\n## JSON\n")
	require.True(t, found)
	documented := map[string]bool{}
	for _, m := range fieldRow.FindAllStringSubmatch(fields, -1) {
		documented[m[1]] = true
	}
	for _, name := range []string{
		"module", "serial", "token", // of "hsm", which TestHSM checks
		"answer", // which TestService checks
	} {
		seen.fields[name] = true
	}
	require.Equal(t, documented, seen.fields)
}

// prepared are the files of a two-prime server "s" and of a device of it, "d", whose keys
// have the PINs 2749 and 80351. They are made once; tests work on copies.
var prepared struct {
	sync.Mutex
	files map[string][]byte
}

// prepare makes the folders "s" and "d" in dir.
func prepare(t *testing.T, dir string) {
	t.Helper()
	prepared.Lock()
	defer prepared.Unlock()
	if prepared.files == nil {
		from := t.TempDir()
		server, device := filepath.Join(from, "s"), filepath.Join(from, "d")
		for _, args := range [][]string{
			{"init", "-server", server, "-shape", "two-prime"},
			{"enroll", "-server", server, "-device", device, "-argon2", "1,32,1"},
		} {
			code, out := inProcess(map[string]string{"TANDEM_PIN": "2749 80351"}, args...)
			require.Equal(t, exitOK, code, "%s", out)
		}
		files := map[string][]byte{}
		for _, pattern := range []string{"s/*", "d/*.*", "d/*/*"} {
			names, err := filepath.Glob(filepath.Join(from, pattern))
			require.NoError(t, err)
			for _, name := range names {
				text, err := os.ReadFile(name)
				require.NoError(t, err)
				files[strings.TrimPrefix(name, from)] = text
			}
		}
		prepared.files = files
	}
	for name, text := range prepared.files {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), folderMode))
		require.NoError(t, os.WriteFile(name, text, secretMode))
	}
}

// enrolled returns a server, a device of it, whose key "sign" has the PIN 80351, and a
// file to sign.
func enrolled(t *testing.T) (server, device, file string) {
	t.Helper()
	dir := t.TempDir()
	prepare(t, dir)
	file = filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("Dear Sir,\n"), 0o600))
	return filepath.Join(dir, "s"), filepath.Join(dir, "d"), file
}

// inProcess runs the command with these variables and no others.
func inProcess(env map[string]string, args ...string) (int, string) {
	var out strings.Builder
	a := newApp()
	a.out, a.errOut, a.env = &out, &out, func(name string) string { return env[name] }
	return a.run(args), out.String()
}
