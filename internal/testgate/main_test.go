package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	start = `{"Action":"start","Package":"p"}` + "\n"
	pass  = `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n"
	skips = `{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: no token\n"}` + "\n" +
		`{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}` + "\n" +
		`{"Action":"skip","Package":"p","Test":"TestB"}` + "\n"
	fail = `{"Action":"output","Package":"p","Test":"TestC/x","Output":"not equal\n"}` + "\n" +
		`{"Action":"fail","Package":"p","Test":"TestC/x"}` + "\n"
	end     = `{"Action":"pass","Package":"p","Elapsed":1.5}` + "\n"
	endFail = `{"Action":"output","Package":"p","Output":"exit status 1\n"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n"
	none    = `{"Action":"start","Package":"q"}` + "\n" + `{"Action":"skip","Package":"q"}` + "\n"
	build   = `{"ImportPath":"p [p.test]","Action":"build-output","Output":"undefined: x\n"}` + "\n" +
		`{"ImportPath":"p [p.test]","Action":"build-fail"}` + "\n"
)

const (
	begin = `{"Action":"run","Package":"p","Test":"TestD"}` + "\n" +
		`{"Action":"output","Package":"p","Test":"TestD","Output":"=== RUN   TestD\n"}` + "\n"
	waits = `{"Action":"run","Package":"p","Test":"TestE"}` + "\n" +
		`{"Action":"output","Package":"p","Test":"TestE","Output":"=== RUN   TestE\n"}` + "\n" +
		`{"Action":"output","Package":"p","Test":"TestE","Output":"=== PAUSE TestE\n"}` + "\n" +
		`{"Action":"pause","Package":"p","Test":"TestE"}` + "\n"
	stack   = `{"Action":"output","Package":"p","Test":"TestD","Output":"panic: test timed out after 1s\n"}` + "\n"
	ends    = `{"Action":"pass","Package":"p","Test":"TestE"}` + "\n"
	another = `{"Action":"start","Package":"p.TestD"}` + "\n" + `{"Action":"pass","Package":"p.TestD"}` + "\n"
)

func TestGate(t *testing.T) {
	for _, c := range []struct {
		name, in     string
		loose, ci    bool // the verdict without and with CI=true
		says, hushes string
	}{
		{"pass", start + pass + none + end, true, true, "\n1 passed, 0 failed, 0 skipped\n", "SKIP"},
		{"skip", start + pass + skips + end, true, false, "no token\n", "FAIL"},
		{"skip named", start + pass + skips + end, true, false, "SKIP p.TestB\n", "FAIL"},
		{"fail", start + pass + fail + endFail, false, false, "not equal\n", "SKIP"},
		{"fail named", start + pass + fail + endFail, false, false, "FAIL p.TestC/x\n", "SKIP"},
		{"package fails", start + pass + endFail, false, false, "exit status 1\n", "SKIP"},
		{"build fails", start + build + endFail, false, false, "undefined: x\n", "SKIP"},
		{"cut off", start + pass, false, false, "FAIL p\n", "SKIP"},
		{"cut off in a line", start + pass + end + `{"Action":`, false, false, "FAIL go test\n", "SKIP"},
		// A test that was running when its process ended has no event of its end.
		{"panics", start + pass + begin + stack + endFail, false, false, "panic: test timed out after 1s\n", "SKIP"},
		{"panic named", start + pass + begin + stack + endFail, false, false, "FAIL p.TestD\n", "SKIP"},
		{"panic printed once", start + pass + begin + stack + another + endFail, false, false, "=== RUN   TestD\npanic: test timed out after 1s\nexit status 1\n", "SKIP"},
		{"waited for its turn", start + pass + waits + begin + stack + endFail, false, false, "FAIL p.TestD\n", "TestE"},
		{"waited and passed", start + waits + ends + end, true, true, "ok  \tp\t1.5s\n1 packages\n1 passed, 0 failed, 0 skipped\n", "TestE"},
		{"cut off in a panic", start + pass + begin + stack, false, false, "panic: test timed out after 1s\n", "SKIP"},
		{"passed without an end", start + pass + begin + end, false, false, "FAIL p.TestD\n", "SKIP"},
		{"not events", start + pass + end + "go: no such module\n", false, false, "no such module", "SKIP"},
		{"nothing ran", none, false, false, "0 passed", "SKIP"},
		{"empty", "", false, false, "0 passed", "SKIP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, strict := range []bool{false, true} {
				var out bytes.Buffer
				want := c.loose
				if strict {
					want = c.ci
				}
				got, skipped := gate(strings.NewReader(c.in), &out, strict)
				require.Equal(t, want, got, "strict %v", strict)
				if strings.Contains(c.in, skips) {
					require.Equal(t, []skip{{"p.TestB", "no token"}}, skipped)
				} else {
					require.Empty(t, skipped)
				}
				require.Contains(t, out.String(), c.says)
				require.NotContains(t, out.String(), c.hushes)
			}
		})
	}
}

func TestSkippedList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "skipped")
	require.NoError(t, note("", []skip{{"p.TestA", "x"}}))
	require.NoError(t, note(file, nil))
	require.NoFileExists(t, file)
	require.NoError(t, note(file, []skip{{"p.TestB", "b is missing: apt-get install libb b-tools"}, {"p.TestC", "the sun shines"}}))
	require.NoError(t, note(file, []skip{{"q.TestB", "b is missing: apt-get install libb b-tools"}, {"p.TestB", "b is missing: apt-get install libb b-tools"},
		{"github.com/tandem-rsa/tandem/q.TestA", "a is missing: apt-get install a"}, {"q.TestD", reason(nil)}}))
	lines, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, `5 skipped:
- a is missing: apt-get install a
    q.TestA
- b is missing: apt-get install libb b-tools
    p.TestB
    q.TestB
- no reason given
    q.TestD
- the sun shines
    p.TestC
On Debian all that is missing comes with: apt-get install a b-tools libb
`, list(string(lines)))
	require.Equal(t, "Nothing was skipped.\n", list(""))
	require.Error(t, note(filepath.Join(file, "x"), []skip{{"p.TestA", "x"}}))
}
