package mobile_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

var update = flag.Bool("bind.update", false, "write testdata/java.txt and objc.txt")

const (
	gobind = "golang.org/x/mobile/cmd/gobind"
	bound  = "github.com/tandem-rsa/tandem/service/mobile"
)

// binding is what gobind makes of the package: once for all tests.
var binding = sync.OnceValues(func() (folder string, err error) {
	if bindFolder, err = os.MkdirTemp("", "tandem-bind-"); err != nil {
		return "", err
	}
	return bindFolder, bind(bindFolder)
})

// bindFolder is removed when the tests end.
var bindFolder string

// bind has gobind run in a module of its own, which has the versions and hashes of this
// repository's modules.
func bind(folder string) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	tools, err := os.ReadFile(filepath.Join(root, ".ci/_tools/go.mod"))
	if err != nil {
		return err
	}
	version := regexp.MustCompile(`golang\.org/x/mobile (\S+)`).FindSubmatch(tools)
	if version == nil {
		return fmt.Errorf("no version of %s in .ci/_tools", gobind)
	}
	module := fmt.Sprintf(`module bind

go 1.26.0

tool %s

require (
	github.com/tandem-rsa/tandem/service v0.0.0
	golang.org/x/mobile %s
)

replace github.com/tandem-rsa/tandem => %s

replace github.com/tandem-rsa/tandem/service => %s
`, gobind, version[1], root, filepath.Join(root, "service"))
	var sums []byte
	for _, dir := range []string{".", "service", ".ci/_tools"} {
		text, err := os.ReadFile(filepath.Join(root, dir, "go.sum"))
		if err != nil {
			return err
		}
		sums = append(sums, text...)
	}
	for name, text := range map[string]string{"go.mod": module, "go.sum": string(sums), "bind.go": "package bind\n\nimport _ \"" + bound + "\"\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	// The first fills in go.mod, which has no say in what it found there.
	for _, args := range [][]string{
		{"list", "-deps", bound, gobind},
		{"tool", "gobind", "-lang=go,java,objc", "-outdir=out", "-javapkg=ee.tandem", "-prefix=TD", bound},
	} {
		if err := goCommand(folder, nil, args...); err != nil {
			return err
		}
	}
	return nil
}

// goCommand runs the go command in the module of the binding.
func goCommand(folder string, env []string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GODEBUG="), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", args[0], err, out)
	}
	return nil
}

// generated returns the folder with what gobind made.
func generated(t *testing.T) string {
	folder, err := binding()
	if err != nil && strings.Contains(err.Error(), "dial tcp") {
		needtest.Need(t, "gobind is missing: go mod download golang.org/x/mobile, in .ci/_tools")
	}
	require.NoError(t, err)
	return filepath.Join(folder, "out")
}

// TestBind: gobind takes all that is exported, and makes the classes and methods that
// apps are written against.
func TestBind(t *testing.T) {
	out := generated(t)
	for name, lines := range map[string]*regexp.Regexp{
		"java": regexp.MustCompile(`(?m)^\s*public (?:\w+ )*(?:class|interface|native|abstract|final static) .*$|^\s*(?:public )?[\w\[\].]+ \w+\([^)]*\) throws Exception;$`),
		"objc": regexp.MustCompile(`(?m)^(?:@interface|@protocol [^;]*$|[-+] \(|@property|FOUNDATION_EXPORT).*$`),
	} {
		var list bytes.Buffer
		err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			require.NotContains(t, string(text), "skipped", path)
			if name == "java" && strings.Contains(path, "/ee/tandem/") || name == "objc" && strings.HasSuffix(path, "TDMobile.objc.h") {
				for _, line := range lines.FindAll(text, -1) {
					fmt.Fprintln(&list, strings.TrimRight(strings.TrimSpace(string(line)), " {"))
				}
			}
			return nil
		})
		require.NoError(t, err)
		file := filepath.Join("testdata", name+".txt")
		if *update {
			require.NoError(t, os.WriteFile(file, list.Bytes(), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), list.String(), "go test -run TestBind -bind.update")
		require.Greater(t, bytes.Count(want, []byte("\n")), 100)
	}
}
