package tandem_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// script runs lines of bash after .ci/step.bash. It returns what they printed, without
// the times, and whether they succeeded.
func script(t *testing.T, lines string, env ...string) (string, bool) {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(file, []byte(". '"+here+"/.ci/step.bash'\n"+lines), 0o600))
	cmd := exec.Command(needtest.Program(t, "bash", "bash"), file)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	text := regexp.MustCompile(`: [\d.]+ s, [\d.]+ s of processor time`).ReplaceAllString(string(out), ": TIME")
	return strings.ReplaceAll(text, file, "SCRIPT"), err == nil
}

// TestSteps: a step that fails ends the script, at whatever depth of its functions, and
// is named last, after what it printed. What runs beside it still runs to its end.
func TestSteps(t *testing.T) {
	const functions = `
good() { echo good; }
bad() { echo bad; false; echo unreachable; }
steps() { step one good; step two bad; step three good; }
`
	out, ok := script(t, functions+"step one good\nstep two good\n")
	require.True(t, ok)
	require.Equal(t, "== one\ngood\n== one: TIME\n== two\ngood\n== two: TIME\n", out)

	out, ok = script(t, functions+"steps\necho unreachable\n")
	require.False(t, ok)
	require.Equal(t, "== one\ngood\n== one: TIME\n== two\nbad\n== two: TIME\nFAILED: two (SCRIPT)\n", out)

	out, ok = script(t, functions+"together good good\n")
	require.True(t, ok)
	require.Equal(t, "good\ngood\n", out)

	slow := functions + "slow() { sleep 0.2; echo slow; }\n"
	out, ok = script(t, slow+"together steps slow\necho unreachable\n")
	require.False(t, ok)
	require.NotContains(t, out, "unreachable")
	require.True(t, strings.HasSuffix(out, "FAILED: two (SCRIPT)\nslow\nFAILED: steps (SCRIPT)\n"), out)

	out, ok = script(t, slow+"together slow steps good\necho unreachable\n")
	require.False(t, ok)
	require.True(t, strings.HasPrefix(out, "slow\ngood\n== one\n"), out)
	require.True(t, strings.HasSuffix(out, "FAILED: two (SCRIPT)\nFAILED: steps (SCRIPT)\n"), out)
}

// TestStepsSkip: a skip is noted in the file that testgate lists, and fails in CI.
func TestStepsSkip(t *testing.T) {
	const lines = "skip \"a check\" \"x is missing: apt-get install x\"\necho after\n"
	for ci, after := range map[string]string{"": "after\n", "true": ""} {
		file := filepath.Join(t.TempDir(), "skipped")
		out, ok := script(t, lines, "SKIPPED="+file, "CI="+ci)
		require.Equal(t, ci == "", ok)
		require.Equal(t, "SKIP a check: x is missing: apt-get install x\n"+after, out)
		noted, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, "a check\tx is missing: apt-get install x\n", string(noted))
	}
	_, ok := script(t, "need bash bash\n")
	require.True(t, ok)
	out, ok := script(t, "need frobnicate frob\necho after\n")
	require.False(t, ok)
	require.Equal(t, "SCRIPT: frobnicate is missing: apt-get install frob\n", out)
}

// newBash matches what bash 3.2, the one of macOS, does not know.
var newBash = regexp.MustCompile(`EPOCH|BASHPID|\bmapfile\b|\breadarray\b|\bcoproc\b|(declare|local|typeset) -[gnA]|wait -[nfp]|&>>|\|&|;&|\$\{\w+(\[@\])?[\^,@]|\[\[ -v|printf '%\(|globstar|lastpipe|inherit_errexit`)

func TestOldBash(t *testing.T) {
	files, err := filepath.Glob(".ci/[a-z]*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Empty(t, newBash.FindString(string(text)), file)
	}
	for _, line := range []string{"start=$EPOCHREALTIME", "mapfile -t a", "local -A a", "wait -n", "echo ${a^^}", "echo ${a[@]@Q}", "make |& tee"} {
		require.Regexp(t, newBash, line)
	}
}

// TestTargets: CONTRIBUTING.md says what each target of the Makefile does, and the
// workflow calls only targets that exist.
func TestTargets(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(text)
	}
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+): `).FindAllStringSubmatch(read("Makefile"), -1) {
		targets[m[1]] = true
	}
	require.Greater(t, len(targets), 15)
	contributing := read("CONTRIBUTING.md")
	phony := strings.Fields(regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(read("Makefile"))[1])
	require.Len(t, phony, len(targets))
	for target := range targets {
		require.Contains(t, phony, target)
		require.Regexp(t, "(?m)^\\| `make "+target+"[ `]", contributing)
	}
	calls := regexp.MustCompile(`(?m)run: make ([a-z-]+)`).FindAllStringSubmatch(read(".github/workflows/ci.yml"), -1)
	require.NotEmpty(t, calls)
	for _, m := range calls {
		require.True(t, targets[m[1]], m[1])
	}
}

// TestRace: every package of this module that starts a goroutine or has a lock is among
// those of which .ci/test runs all tests under the race detector, and every test of
// another one that starts some is among the few that it runs so. Of the service's module
// it runs so every package that starts a goroutine, but those here with a reason.
func TestRace(t *testing.T) {
	text, err := os.ReadFile(".ci/test")
	require.NoError(t, err)
	service, err := os.ReadFile(".ci/service.bash")
	require.NoError(t, err)
	text = append(text, service...)
	value := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `='(.*)'$`).FindSubmatch(text)
		require.NotNil(t, m, name)
		return string(m[1])
	}
	atOnce := regexp.MustCompile(value("at_once"))
	in := func(list, dir string) bool {
		return slices.ContainsFunc(strings.Fields(value(list)), func(pattern string) bool {
			root, tree := strings.CutSuffix(pattern[2:], "/...")
			return dir == root || tree && strings.HasPrefix(dir, root+"/")
		})
	}
	apart := map[string]string{
		"bench":                "benchmarks, which nobody runs under the race detector",
		"internal/mutants":     "a program whose tests start no goroutine",
		"vectors/internal/gen": "likewise",
	}
	found := map[string]int{}
	require.NoError(t, filepath.WalkDir(".", func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, noModule := os.Stat(filepath.Join(name, "go.mod"))
			if _, ok := apart[name]; ok || name != "." && (strings.ContainsAny(name[:1], "._") || d.Name() == "testdata" || noModule == nil) {
				return filepath.SkipDir
			}
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		if !strings.HasSuffix(name, ".go") || in("shared", dir) {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if in("used", dir) && strings.HasPrefix(f.Name.Name, "Test") && atOnce.MatchString(f.Name.Name) {
				found[dir]++
				continue
			}
			require.False(t, startsSome(f), "%s: %s", name, f.Name.Name)
		}
		return nil
	}))
	for _, pattern := range strings.Fields(value("used")) {
		require.NotZero(t, found[pattern[2:]], pattern)
	}

	costly := "costs much under the race detector: make builds does it"
	left := map[string]string{
		"cmd/tandem":     costly,
		"stores/etcd":    costly,
		"testidentities": costly,
		"web/phone/wasm": "for WebAssembly, which has one thread",
	}
	starts := map[string]bool{}
	require.NoError(t, filepath.WalkDir("service", func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasSuffix(d.Name(), "test") || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			_, some := n.(*ast.GoStmt)
			if s, ok := n.(*ast.SelectorExpr); ok {
				some = s.Sel.Name == "Go"
			}
			if some {
				dir, err := filepath.Rel("service", filepath.Dir(name))
				require.NoError(t, err)
				starts[filepath.ToSlash(dir)] = true
			}
			return true
		})
		return nil
	}))
	for dir := range starts {
		require.True(t, in("served", dir) != (left[dir] != ""), dir)
	}
	for dir := range left {
		require.True(t, starts[dir], dir)
	}
}

// startsSome reports whether a function has a go statement, or calls a method Go or Lock.
func startsSome(f *ast.FuncDecl) (some bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			some = true
		case *ast.CallExpr:
			s, ok := n.Fun.(*ast.SelectorExpr)
			some = some || ok && (s.Sel.Name == "Go" || s.Sel.Name == "Lock" && len(n.Args) == 0)
		}
		return true
	})
	return some
}
