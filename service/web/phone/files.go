package phone

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed app
var app embed.FS

// The compiled files.
const (
	wasmFile = "phone.wasm"
	execFile = "wasm_exec.js" // of the same version of Go

	// brotliSuffix is what a web server that has both gives to whoever takes Brotli.
	brotliSuffix = ".br"
)

// program is the import path of the worker's program.
const program = "github.com/tandem-rsa/tandem/service/web/phone/wasm"

// ErrNotBuilt is wrapped by the error of [Files] where the program is not embedded and
// cannot be compiled. Its text says what to do.
var ErrNotBuilt = errors.New("phone: the web app is not built: run make phone in a clone of tandem, and build the command with -tags phone")

// Files returns the files of the web app, in one folder: worker.js and what it loads, and
// the pages. They are embedded in a binary that was built with the tag phone. Any other
// one, of a clone of the repository and run in it, has the go command compile them: for
// some seconds, or a minute the first time. The result is kept until the process ends.
func Files() (fs.FS, error) { return files() }

var files = sync.OnceValues(func() (fs.FS, error) {
	parts := embedded
	if parts == nil {
		folder, err := os.MkdirTemp("", "tandem-phone-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
		if err := Build(folder); err != nil {
			return nil, fmt.Errorf("%w (%w)", ErrNotBuilt, err)
		}
		parts = os.DirFS(folder)
	}
	base, err := fs.Sub(app, "app")
	if err != nil {
		return nil, err
	}
	names := []string{wasmFile, execFile}
	if _, err := fs.Stat(parts, wasmFile+brotliSuffix); err == nil {
		names = append(names, wasmFile+brotliSuffix)
	}
	return newOverlay(base, parts, names...)
})

// embedded has the compiled files where they are embedded; else it is nil.
var embedded fs.FS

// buildTime is more than any machine needs.
const buildTime = 15 * time.Minute

// flags make the program small: inlining is for what counts cycles. Compressed, that
// saves a tenth.
var flags = []string{
	"-trimpath", "-ldflags=-s -w", "-gcflags=all=-l", "-gcflags=golang.org/x/crypto/blake2b=", "-gcflags=golang.org/x/crypto/argon2=",
	"-gcflags=github.com/tandem-rsa/tandem/internal/modexp=", "-gcflags=filippo.io/bigmod=",
}

// Build compiles the program into a folder, with the go command.
func Build(folder string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	root, err := run(exec.CommandContext(ctx, "go", "env", "GOROOT"))
	if err != nil {
		return err
	}
	compile := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-o", filepath.Join(folder, wasmFile)}, flags, []string{program})...)
	compile.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0", "GODEBUG=")
	if _, err := run(compile); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(root), "lib", "wasm", execFile))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, execFile), text, 0o644)
}

// Compress adds what Build made by Brotli, with the program of that name, and reports
// whether there is one. Go has no Brotli; without it a web server has gzip, which is a
// third longer.
func Compress(folder string) (bool, error) {
	program := filepath.Join(folder, wasmFile)
	_ = os.Remove(program + brotliSuffix) // of another Build
	brotli, err := exec.LookPath("brotli")
	if err != nil {
		return false, nil
	}
	_, err = run(exec.Command(brotli, "--best", "--lgwin=24", "--keep", program))
	return true, err
}

// run returns what a command prints.
func run(c *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		last := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", c.Args[0], c.Args[1], err, last[len(last)-1])
	}
	return string(out), nil
}
