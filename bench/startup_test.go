package bench

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// program is a built command, with the input and the answer of each of its tasks.
type program struct {
	file   string
	input  map[string]string
	answer map[string]string
}

func buildStartup(tb testing.TB) *program {
	file := filepath.Join(tb.TempDir(), "startup")
	out, err := exec.Command("go", "build", "-o", file, "./internal/startup").CombinedOutput()
	require.NoError(tb, err, "%s", out)

	k := newKey(tb, 2048, splitkey.Multiplicative, true)
	final := k.completer.PublicKey()
	m, err := k.completer.FinalKey().Encode(digest[:], crypto.SHA256)
	require.NoError(tb, err)
	y, err := k.client.SignPartial(m)
	require.NoError(tb, err)
	sig, err := complete(k.completer, m, y)
	require.NoError(tb, err)
	public := func(p *rsa.PublicKey) []byte { return x509.MarshalPKCS1PublicKey(p) }
	own := splitkeytest.ServerKey(2048).Bytes()
	return &program{file,
		map[string]string{
			"device": hexLines(public(k.client.PublicKey()), public(final), k.client.Secret(), digest[:]),
			"server": hexLines(k.server.Bytes(), own, k.completer.Precomputed(), digest[:], y),
		},
		map[string]string{"device": hexLines(y), "server": hexLines(sig), "nothing": "\n"},
	}
}

func hexLines(values ...[]byte) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintln(&b, hex.EncodeToString(v))
	}
	return b.String()
}

// run returns the process that has ended, and what it wrote to standard error.
func (p *program) run(tb testing.TB, task string, env ...string) (*os.ProcessState, string) {
	cmd := exec.Command(p.file, task)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(p.input[task])
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(tb, cmd.Run(), "%s", &errs)
	require.Equal(tb, p.answer[task], out.String())
	return cmd.ProcessState, errs.String()
}

// BenchmarkStart measures a process from its start to its end: one that does nothing, a
// device's that makes its first partial signature, a server's that completes its first
// one. cpu-ns/op is the process's own time.
func BenchmarkStart(b *testing.B) {
	p := buildStartup(b)
	for _, task := range []string{"nothing", "device", "server"} {
		b.Run(task, func(b *testing.B) {
			var cpu time.Duration
			for b.Loop() {
				state, _ := p.run(b, task)
				cpu += state.UserTime() + state.SystemTime()
			}
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkPackageInit measures what importing this library costs before main runs, as
// the runtime reports it (GODEBUG=inittrace=1): for its own packages, and for all.
func BenchmarkPackageInit(b *testing.B) {
	p := buildStartup(b)
	var own, all initCost
	for b.Loop() {
		_, trace := p.run(b, "nothing", "GODEBUG=inittrace=1")
		own.add(trace, "github.com/tandem-rsa/tandem/")
		all.add(trace, "")
	}
	for _, c := range []struct {
		name string
		cost initCost
	}{{"own", own}, {"all", all}} {
		b.ReportMetric(float64(c.cost.clock.Nanoseconds())/float64(b.N), c.name+"-init-ns/op")
		b.ReportMetric(float64(c.cost.bytes)/float64(b.N), c.name+"-init-B/op")
	}
}

// initCost adds up what packages take to initialise.
type initCost struct {
	packages int
	clock    time.Duration
	bytes    int64
}

// add takes the lines of packages whose path begins with prefix: "init fmt @0.1 ms, 0.02
// ms clock, 16 bytes, 1 allocs".
func (c *initCost) add(trace, prefix string) {
	for line := range strings.Lines(trace) {
		var name string
		var at, clock float64
		var size int64
		if n, _ := fmt.Sscanf(line, "init %s @%f ms, %f ms clock, %d bytes", &name, &at, &clock, &size); n != 4 {
			continue
		}
		if strings.HasPrefix(name, prefix) {
			c.packages++
			c.clock += time.Duration(clock * float64(time.Millisecond))
			c.bytes += size
		}
	}
}

func TestStartup(t *testing.T) {
	p := buildStartup(t)
	for task := range p.answer {
		p.run(t, task)
	}
	_, trace := p.run(t, "nothing", "GODEBUG=inittrace=1")
	var own, all initCost
	own.add(trace, "github.com/tandem-rsa/tandem/")
	all.add(trace, "")
	require.Positive(t, own.packages)
	require.Greater(t, all.packages, own.packages)
}

func TestStartupRefuses(t *testing.T) {
	p := buildStartup(t)
	for _, task := range []string{"sleep", "device", "server"} {
		cmd := exec.Command(p.file, task)
		cmd.Stdin = strings.NewReader("00\n")
		require.Error(t, cmd.Run(), task)
	}
}

func TestInitCost(t *testing.T) {
	var c initCost
	c.add("init a/b @0.1 ms, 0.25 ms clock, 16 bytes, 1 allocs\nnoise\ninit c @1 ms, 1 ms clock, 8 bytes, 1 allocs\n", "a/")
	require.Equal(t, initCost{1, 250 * time.Microsecond, 16}, c)
}
