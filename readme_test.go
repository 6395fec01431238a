package tandem_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	replaceLine = regexp.MustCompile(`(?m)^ *replace (\S+) => \.\./tandem(\S*)$`)
	goBlock     = regexp.MustCompile("(?s)\n```go\n(// The app.*?)(// The service.*?)```\n")
)

// around is a program around the Go lines of README.md, the app's and the service's. What
// they assume is a parameter, and everything that they declare is used.
const around = `package main

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rsa"
	"net/http"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/httphandler"
	"github.com/tandem-rsa/tandem/protocol/httptransport"
	"github.com/tandem-rsa/tandem/protocol/server"
)

func app(ctx context.Context, storage device.Storage, hpkePublic, enrolment, challenge, digest, pin []byte) {
%s	_, _ = signature, err
}

func service(ctx context.Context, store limiter.Store, pool *server.KeyPool, sealer *server.SoftwareSealer,
	hpkePrivate hpke.PrivateKey, challengeKey, digest []byte) {
%s	_, _, _ = enrolment, challenge, err
}

func main() {}
`

// TestReplaceLines makes modules outside of this repository with the replace lines of
// README.md, and builds them: one of its Go lines, one that imports the library, and one
// that imports a store as well. What they need has to be in the module cache already,
// since this repository needs it.
func TestReplaceLines(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	here, err := os.Getwd()
	require.NoError(t, err)
	lines := replaceLine.FindAllStringSubmatch(string(readme), -1)
	require.Len(t, lines, 2)
	require.Equal(t, module, lines[0][1])
	require.Equal(t, module+"/service", lines[1][1])

	block := goBlock.FindStringSubmatch(string(readme))
	require.NotNil(t, block)
	importing := func(packages ...string) string {
		return "package main\n\nimport (\n\t_ \"" + strings.Join(packages, "\"\n\t_ \"") + "\"\n)\n\nfunc main() {}\n"
	}

	for name, source := range map[string]string{
		"lines":   fmt.Sprintf(around, block[1], block[2]),
		"library": importing(module+"/splitkey", module+"/pinlock", module+"/protocol/device", module+"/protocol/server"),
		"store":   importing(module+"/protocol/server", module+"/service/stores/bolt"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			mod := "module example.org/m\n\ngo 1.26\n"
			for i, m := range lines {
				if i == 0 || name == "store" {
					mod += "\nreplace " + m[1] + " => " + strconv.Quote(filepath.Join(here, m[2])) + "\n"
				}
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
			for _, args := range [][]string{{"mod", "tidy"}, {"build", "-o", "m", "."}} {
				cmd := exec.Command("go", args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOSUMDB=off")
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
			}
		})
	}
}

// TestExampleIsShort: the program that README.md points at, phone and service together,
// has 60 lines at most, and "go test" runs it.
func TestExampleIsShort(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	m := regexp.MustCompile(`\[app and service, in (\d+) lines\]\(([^)]+)\)`).FindStringSubmatch(string(readme))
	require.NotNil(t, m)
	example, err := os.ReadFile(m[2])
	require.NoError(t, err)
	require.Equal(t, m[1], strconv.Itoa(strings.Count(string(example), "\n")))
	require.LessOrEqual(t, strings.Count(string(example), "\n"), 60)
	require.Contains(t, string(example), "\nfunc Example() {\n")
	require.Contains(t, string(example), "// Output:")
}
