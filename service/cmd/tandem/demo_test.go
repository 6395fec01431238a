package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

const root = "../../.."

// TestReadme does what a new reader does: types the first command of the README, and then
// the one that it ends with.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(root + "/README.md")
	require.NoError(t, err)
	first := regexp.MustCompile(`(?m)^make .*$`).FindString(string(readme))
	require.Equal(t, "make demo", first)
	before := shell(t, "git status --porcelain")
	// As from a shell, not as make does it that runs in "make test".
	story := shell(t, "env -u MAKELEVEL -u MAKEFLAGS -u MFLAGS "+first+" 2>/dev/null")
	require.Equal(t, before, shell(t, "git status --porcelain"), "the demo changed the checkout")
	checkStory(t, story, "RSA-4096", "README.md, sha256", "512 bytes")
	require.Less(t, strings.Count(story, "\n"), 60)
	for line := range strings.Lines(story) {
		require.LessOrEqual(t, len(line), 160, line)
	}
}

// TestDemo tells the story with everything but the defaults.
func TestDemo(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "demo", "-shape", "two-prime", "-sharing", "additive", "-pss", "-hash", "sha512", "README.md")
	cmd.Args[0] = "tandem" // see TestMain
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	story, err := cmd.Output()
	require.NoError(t, err)
	checkStory(t, string(story), "RSA-2048", "README.md, sha512", "d_c + d_s", "256 bytes")
}

// checkStory looks for what the story must tell, and runs its last line.
func checkStory(t *testing.T, story string, facts ...string) {
	t.Helper()
	for _, fact := range append(facts,
		"2 left before a lock, 8 before the key is destroyed",
		"3 left before a lock, 9 before the key is destroyed",
		"All 10000 PINs",
		"10000 open it, to 10000 different shares",
		"(3h00m)",
		"locked, and not looked at",
		"The server destroys the key, for both",
	) {
		require.Contains(t, story, fact)
	}
	m := regexp.MustCompile(`A sample of (\d+) PINs at full cost, \d+ ms each: (\d+) open it, to (\d+) shares`).FindStringSubmatch(story)
	require.NotNil(t, m, story)
	require.Equal(t, m[1], m[2])
	require.Equal(t, m[1], m[3])
	lines := strings.Split(strings.TrimSpace(story), "\n")
	last := lines[len(lines)-1]
	require.True(t, strings.HasPrefix(last, "openssl dgst "), last)
	t.Cleanup(func() {
		require.NoError(t, os.RemoveAll(regexp.MustCompile(`\S*tandem-demo-\d+`).FindString(story)))
	})
	needtest.Program(t, "openssl", "openssl")
	require.Equal(t, "Verified OK\n", shell(t, last))
}

// shell runs a command line in the root of the repository.
func shell(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = root
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", line, errOut.String())
	return string(out)
}
