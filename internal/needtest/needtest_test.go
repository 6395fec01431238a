package needtest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// recorder is a test that notes how it ends, and goes on no further.
type recorder struct {
	testing.TB
	failed, skipped string
}

type ended struct{}

func (*recorder) Helper() {}
func (r *recorder) Fatal(args ...any) {
	r.failed = args[0].(string)
	panic(ended{})
}
func (r *recorder) Skip(args ...any) {
	r.skipped = args[0].(string)
	panic(ended{})
}

// run returns what the test said when it failed, and when it was skipped.
func run(f func(testing.TB)) (failed, skipped string) {
	r := &recorder{}
	defer func() {
		if p := recover(); p != nil && p != (ended{}) {
			panic(p)
		}
		failed, skipped = r.failed, r.skipped
	}()
	f(r)
	return
}

func TestMissing(t *testing.T) {
	nothing := filepath.Join(t.TempDir(), "libnothing.so")
	t.Setenv("PATH", t.TempDir())
	for want, f := range map[string]func(testing.TB){
		"frobnicate is missing: apt-get install frob frob-tools": func(t testing.TB) { needtest.Program(t, "frobnicate", "frob frob-tools") },
		"libnothing.so is missing: apt-get install libnothing":   func(t testing.TB) { needtest.File(t, "libnothing", nothing, nothing+"*") },
		"the daemon does not run: start it":                      func(t testing.TB) { needtest.Need(t, "the daemon does not run: start it") },
	} {
		t.Setenv("CI", "true")
		failed, skipped := run(f)
		require.Equal(t, want, failed)
		require.Empty(t, skipped)
		for _, ci := range []string{"", "false"} {
			t.Setenv("CI", ci)
			failed, skipped = run(f)
			require.Empty(t, failed)
			require.Equal(t, want, skipped)
		}
	}
}

func TestFound(t *testing.T) {
	dir := t.TempDir()
	library := filepath.Join(dir, "lib.so.1")
	require.NoError(t, os.WriteFile(library, nil, 0o600))
	program := filepath.Join(dir, "frobnicate")
	require.NoError(t, os.WriteFile(program, nil, 0o700))
	t.Setenv("PATH", dir)
	failed, skipped := run(func(tb testing.TB) {
		require.Equal(t, program, needtest.Program(tb, "frobnicate", "frob"))
		require.Equal(t, library, needtest.File(tb, "lib", filepath.Join(dir, "none"), filepath.Join(dir, "lib.so*")))
	})
	require.Empty(t, failed+skipped)
}
