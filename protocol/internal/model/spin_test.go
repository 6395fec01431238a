package model

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// The properties, each by what Spin prints when it does not hold.
const (
	noFalseAlarm = "assertion violated (copied||!(alarm))"
	noFalseEnd   = "assertion violated (copied||(((c!=5)&&(c!=3))"
	shutsOwner   = "||!(used))"
	shutsCopies  = "||!(proved))"
	oneFate      = "||(fate[x]==0))"
	noLie        = "assertion violated (believed[i]==fate[i])"
	countedFirst = "assertion violated ((code>3)||(fate[m]==code))"
	fewGuesses   = "assertion violated (((guesses<"
	notLive      = "acceptance cycle"
)

// scope is what Spin looks at whole.
type scope struct {
	name, defines string
	claim         string // of the model's LTL, or "" for the assertions
}

var scopes = map[string]scope{
	"owner":    {"three requests, two nodes, no copy", "-DOPS=3 -DTRIES=1", ""},
	"copies":   {"two requests, a copy", "-DOPS=2 -DCOPIES=1 -DNODES=1 -DTRIES=1 -DMOVES=1", ""},
	"guesses":  {"two requests, a copy, the default policy", "-DOPS=2 -DCOPIES=1 -DNODES=1 -DTRIES=3 -DROUNDS=3 -DMOVES=0", ""},
	"obtained": {"a signature that was made is obtained", "-DOPS=3 -DTRIES=1", "obtained"},
	"resolved": {"nothing stays pending", "-DOPS=3 -DTRIES=1", "resolved"},
	"noticed":  {"a copy that was used is noticed", "-DOPS=2 -DCOPIES=1 -DNODES=1 -DTRIES=1 -DMOVES=1", "noticed"},
	// With -args -long.
	"owner, long":  {"four requests, two nodes, no copy", "-DOPS=4", ""},
	"copies, long": {"three requests, two copies", "-DOPS=3 -DCOPIES=2 -DNODES=1 -DTRIES=1 -DMOVES=0", ""},
	"moves, long":  {"two requests, a copy, two requests of the thief's besides guesses", "-DOPS=2 -DCOPIES=1 -DNODES=1 -DTRIES=1 -DMOVES=2", ""},
}

// tools are Spin and a C compiler.
type tools struct{ spin, cc string }

func need(t *testing.T) tools {
	return tools{needtest.Program(t, "spin", "spin"), needtest.Program(t, "gcc", "gcc")}
}

func readModel(t *testing.T) string {
	text, err := os.ReadFile("protocol.pml")
	require.NoError(t, err)
	return string(text)
}

// check has Spin look at all states, and returns what it prints.
func (x tools) check(t *testing.T, text string, s scope, optimize string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "protocol.pml"), []byte(text), 0o600))
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s %v: %s", name, args, out)
		return string(out)
	}
	run(x.spin, append(append([]string{"-a"}, strings.Fields(s.defines)...), "protocol.pml")...)
	build, search := []string{optimize, "-w", "-DCOLLAPSE", "-DVECTORSZ=2048"}, []string{"-m1000000"}
	if s.claim == "" {
		build = append(build, "-DSAFETY", "-DNOCLAIM")
	} else {
		build, search = append(build, "-DNFAIR=3"), append(search, "-a", "-f", "-N", s.claim)
	}
	run(x.cc, append(build, "-o", "pan", "pan.c")...)
	return run(filepath.Join(dir, "pan"), search...)
}

var (
	counted = regexp.MustCompile(`(?s)depth reached (\d+), errors: (\d+).*?(\d+) states, stored`)
	failure = regexp.MustCompile(`pan:1: (.*) \(at depth`)
)

// TestProtocol: the properties hold in every state of each scope.
func TestProtocol(t *testing.T) {
	x, text := need(t), readModel(t)
	for _, key := range []string{"owner", "copies", "guesses", "obtained", "resolved", "noticed", "owner, long", "copies, long", "moves, long"} {
		s := scopes[key]
		if strings.HasSuffix(key, "long") && !*long {
			continue
		}
		t.Run(key, func(t *testing.T) {
			out := x.check(t, text, s, "-O1")
			found := counted.FindStringSubmatch(out)
			require.NotNil(t, found, out)
			require.Equal(t, "0", found[2], out)
			require.NotContains(t, out, "max search depth too small")
			require.NotContains(t, out, "Search not completed")
			t.Logf("%s: %s states, depth %s", s.name, found[3], found[1])
		})
	}
}
