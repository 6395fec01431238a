//go:build random

package prove

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaultsAtRandom runs the tests that compare the kernels with math/big on each
// planted fault, on a processor that has the kernels. Those that they do not notice are
// the ones marked as quiet. It takes ten minutes: go test -tags random -timeout 2h -run
// TestFaultsAtRandom.
func TestFaultsAtRandom(t *testing.T) {
	texts, err := sources(modexp, nil)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Run(f.what, func(t *testing.T) {
			passed, out := passesAtRandom(t, root, texts, f)
			if passed != f.quiet {
				t.Errorf("noticed %v, marked as quiet %v\n%s", !passed, f.quiet, out)
			}
		})
	}
}

func passesAtRandom(t *testing.T, root string, texts map[string]string, f fault) (bool, string) {
	file, text, err := f.plant(texts)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	planted := filepath.Join(dir, file)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(root, "internal/modexp", file): planted,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{planted: text, filepath.Join(dir, "overlay.json"): string(overlay)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-failfast", "-timeout=60s", "-overlay", filepath.Join(dir, "overlay.json"),
		"-run", "^(TestProducts|TestGather)$/^(1024|2048|4096)$", "./internal/modexp")
	cmd.Dir = root
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GOWORK=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	out, err := cmd.CombinedOutput()
	return err == nil, string(out[:min(len(out), 300)])
}
