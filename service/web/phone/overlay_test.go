package phone

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// TestOverlay: the compiled files are among the others.
func TestOverlay(t *testing.T) {
	base := fstest.MapFS{"worker.js": {Data: []byte("w")}, "icons/a.png": {Data: []byte("a")}}
	files, err := newOverlay(base, fstest.MapFS{wasmFile: {Data: []byte("\x00asm")}, "other": {}}, wasmFile)
	require.NoError(t, err)
	require.NoError(t, fstest.TestFS(files, "worker.js", "icons/a.png", wasmFile))
	_, err = fs.Stat(files, "other")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = newOverlay(base, fstest.MapFS{}, wasmFile)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestNotBuilt: without the go command, or outside of a clone, there is no program, and
// the error says what to do.
func TestNotBuilt(t *testing.T) {
	t.Chdir(t.TempDir())
	require.ErrorContains(t, Build(t.TempDir()), "go build")
	t.Setenv("PATH", t.TempDir())
	require.ErrorContains(t, Build(t.TempDir()), "go env")
	require.ErrorContains(t, ErrNotBuilt, "make phone")

	// Nor is there Brotli, and no old one stays.
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, wasmFile+brotliSuffix), nil, 0o600))
	made, err := Compress(folder)
	require.NoError(t, err)
	require.False(t, made)
	require.NoFileExists(t, filepath.Join(folder, wasmFile+brotliSuffix))
}
