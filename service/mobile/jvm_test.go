package mobile_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/service/internal/phoneops"
	"github.com/tandem-rsa/tandem/service/internal/phonetest"
)

const jdk = "default-jdk-headless"

// TestJVM: an app in Java, through what gobind made, does what every phone must. The glue
// is Android's, on a plain JVM.
func TestJVM(t *testing.T) {
	javac, java := needtest.Program(t, "javac", jdk), needtest.Program(t, "java", jdk)
	needtest.Program(t, "gcc", "gcc")
	real, err := filepath.EvalSymlinks(javac)
	require.NoError(t, err)
	include := filepath.Join(filepath.Dir(filepath.Dir(real)), "include")
	folder := t.TempDir()
	library := filepath.Join(folder, "libgojni.so")
	buildGlue(t, generated(t), include, library)
	classes := filepath.Join(folder, "classes")
	var sources []string
	for _, pattern := range []string{"testdata/jvm/*.java", "testdata/jvm/android/content/*.java", generated(t) + "/java/go/*.java", generated(t) + "/java/ee/tandem/mobile/*.java"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		sources = append(sources, found...)
	}
	out, err := exec.CommandContext(t.Context(), javac, append([]string{"-nowarn", "-d", classes}, sources...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, s := range phonetest.Scenarios {
		t.Run(s.Name, func(t *testing.T) {
			w := newWorld(t)
			config := filepath.Join(t.TempDir(), "phone.json")
			require.NoError(t, os.WriteFile(config, w.PhoneJSON(), 0o600))
			m := startJava(t, java, "-Djava.library.path="+folder, "-cp", classes, "Phones", config, t.TempDir())
			s.Run(&phonetest.Player{T: t, World: w, Fresh: m.fresh})
		})
	}
}

// buildGlue compiles Go's half of what gobind made for Android, for this machine.
func buildGlue(t *testing.T, out, include, library string) {
	from, to := filepath.Join(out, "src", "gobind"), filepath.Join(filepath.Dir(out), "jvm")
	require.NoError(t, os.MkdirAll(filepath.Join(to, "android"), 0o700))
	files, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, f := range files {
		name := f.Name()
		if strings.Contains(name, "darwin") || strings.Contains(name, "objc") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, name))
		require.NoError(t, err)
		// The suffix is a build constraint, and the library of logs Android's own.
		if ext := filepath.Ext(name); ext == ".go" || ext == ".c" {
			name = strings.Replace(name, "_android"+ext, "_jvm"+ext, 1)
		}
		text = bytes.ReplaceAll(text, []byte("//#cgo LDFLAGS: -llog\n"), nil)
		text = bytes.ReplaceAll(text, []byte("AttachCurrentThread(jvm, &env,"), []byte("AttachCurrentThread(jvm, (void **)&env,"))
		require.NoError(t, os.WriteFile(filepath.Join(to, name), text, 0o600))
	}
	header, err := os.ReadFile("testdata/jvm/android/log.h")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(to, "android", "log.h"), header, 0o600))
	flags := fmt.Sprintf("-D__GOBIND_ANDROID__ -I%s -I%s/linux -I%s", include, include, to)
	require.NoError(t, goCommand(filepath.Dir(out), []string{"CGO_ENABLED=1", "CGO_CFLAGS=" + flags}, "build", "-buildmode=c-shared", "-o", library, "./jvm"))
}

// machine is a JVM with phones.
type machine struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func startJava(t *testing.T, java string, args ...string) *machine {
	cmd := exec.CommandContext(t.Context(), java, args...)
	cmd.Env = append(os.Environ(), "GODEBUG=") // what the tests run in is not for the app
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(stderr.String())
		}
	})
	m := &machine{t, in, bufio.NewScanner(out)}
	m.out.Buffer(nil, 1<<20)
	return m
}

// ask sends a line, and returns the next one.
func (m *machine) ask(line string) string {
	_, err := io.WriteString(m.in, line+"\n")
	require.NoError(m.t, err)
	require.True(m.t, m.out.Scan(), "the JVM has ended")
	return m.out.Text()
}

func (m *machine) fresh() phonetest.Phone {
	number, err := strconv.Atoi(m.ask("0 fresh"))
	require.NoError(m.t, err)
	return &javaPhone{m, number}
}

type javaPhone struct {
	*machine
	number int
}

func (p *javaPhone) Restart() {
	require.Equal(p.t, "0", p.ask(fmt.Sprintf("%d restart", p.number)))
}

func (p *javaPhone) Call(op string, args phonetest.Args) (r phoneops.Result, err error) {
	line := fmt.Sprintf("%d %s", p.number, op)
	for name, v := range args {
		kind, text := "s", []byte(fmt.Sprint(v))
		switch v := v.(type) {
		case int:
			kind = "i"
		case []byte:
			kind, text = "b", v
		}
		line += fmt.Sprintf(" %s=%s%s", name, kind, base64.StdEncoding.EncodeToString(text))
	}
	answer := p.ask(line)
	if message, failed := strings.CutPrefix(answer, "!"); failed {
		return r, errors.New(message)
	}
	return r, json.Unmarshal([]byte(answer), &r)
}
