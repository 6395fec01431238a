package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/service/web/webtest"
)

const driverFolder = "testdata/browser"

// newDriver returns what runs a script of Chromium's on the pages of a node.
func newDriver(t *testing.T) func(w *webtest.World, script string, input map[string]string) {
	nodeJS := needtest.Program(t, "node", "nodejs")
	chromium := needtest.Program(t, "chromium", "chromium")
	if _, err := os.Stat(filepath.Join(driverFolder, "node_modules", "playwright-core")); err != nil {
		needtest.Need(t, "packages of npm are missing: apt-get install nodejs npm, and npm ci --ignore-scripts --prefix service/web/testdata/browser")
	}
	shots, err := filepath.Abs(filepath.Join(driverFolder, "shots"))
	require.NoError(t, err)
	return func(w *webtest.World, script string, input map[string]string) {
		t.Helper()
		input["url"], input["chromium"], input["shots"] = w.URL, chromium, shots
		text, err := json.Marshal(input)
		require.NoError(t, err)
		// A browser that hangs ends with an error, and not with the test's.
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, nodeJS, script)
		cmd.Dir, cmd.Stdin = driverFolder, bytes.NewReader(text)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%v", out, w.Log.Errors())
		t.Logf("%s", out)
	}
}
