//go:build cgo && unix && !nopkcs11

package hsm

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/miekg/pkcs11"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm/hsmtest"
)

// A file that is not a module is refused with a reason.
func TestOpenModule(t *testing.T) {
	tokens := hsmtest.SoftHSM(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	require.NoError(t, os.WriteFile(text, []byte("not a library\n"), 0o700))
	library, err := os.ReadFile(tokens.Module)
	require.NoError(t, err)
	cut := filepath.Join(dir, "cut.so")
	require.NoError(t, os.WriteFile(cut, library[:4096], 0o700))
	foreign := filepath.Join(dir, "foreign.so")
	machine := elf.EM_PPC64
	binary.NativeEndian.PutUint16(library[18:], uint16(machine)) // e_machine
	require.NoError(t, os.WriteFile(foreign, library, 0o700))
	libm, err := filepath.Glob("/lib/*/libm.so.6")
	require.NoError(t, err)
	require.NotEmpty(t, libm)
	self, err := os.Executable()
	require.NoError(t, err)
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "missing.so"), "no such file"},
		{dir, "is not a shared library"},
		{text, "is not a shared library"},
		{cut, "is not a shared library"},
		{foreign, "is no PKCS #11 module for this machine"},
		{libm[0], "is no PKCS #11 module for this machine"},
		{self, "is no PKCS #11 module for this machine"},
	} {
		_, err := Open(t.Context(), Config{Module: c.path, Label: "x", PIN: noPIN})
		require.ErrorIs(t, err, ErrModule, c.path)
		require.ErrorContains(t, err, c.want)
	}
}

func TestConfig(t *testing.T) {
	good := Config{Module: "/missing", Label: "x", PIN: noPIN}
	_, err := Open(t.Context(), good)
	require.ErrorIs(t, err, ErrModule)
	for name, change := range map[string]func(*Config){
		"no module":         func(c *Config) { c.Module = "" },
		"no token":          func(c *Config) { c.Label = "" },
		"no PIN":            func(c *Config) { c.PIN = nil },
		"negative sessions": func(c *Config) { c.Sessions = -1 },
		"too many sessions": func(c *Config) { c.Sessions = maxSessions + 1 },
		"negative time":     func(c *Config) { c.CallTimeout = -1 },
		"negative back-off": func(c *Config) { c.MaxBackoff = -1 },
		"negative limit":    func(c *Config) { c.GenerateTimeout = -1 },
	} {
		bad := good
		change(&bad)
		_, err := Open(t.Context(), bad)
		require.ErrorIs(t, err, ErrConfig, name)
	}
}

// Two tokens of one label are told apart by serial number or not at all, and a
// module has one owner.
func TestOpenToken(t *testing.T) {
	tokens := hsmtest.SoftHSM(t)
	other := exec.Command("softhsm2-util", "--init-token", "--free", "--label", tokens.Label, "--pin", tokens.PIN, "--so-pin", tokens.SOPIN)
	out, err := other.CombinedOutput()
	require.NoError(t, err, "%s", out)

	cfg := config(tokens)
	_, err = Open(t.Context(), cfg)
	var ambiguous *TokenError
	require.ErrorAs(t, err, &ambiguous)
	require.Equal(t, 2, ambiguous.Matches)
	require.Len(t, ambiguous.Found, 2)

	cfg.Serial = "0000"
	_, err = Open(t.Context(), cfg)
	require.ErrorAs(t, err, &ambiguous)
	require.Zero(t, ambiguous.Matches)

	cfg.Serial = filepath.Base(ambiguous.Found[1]) // label/serial
	tok := openToken(t, cfg)
	require.Equal(t, cfg.Serial, tok.Serial())

	_, err = Open(t.Context(), cfg)
	require.ErrorIs(t, err, ErrInUse)
	link := filepath.Join(t.TempDir(), "link.so")
	require.NoError(t, os.Symlink(tokens.Module, link))
	cfg.Module = link
	_, err = Open(t.Context(), cfg)
	require.ErrorIs(t, err, ErrInUse, "by another name")
	require.NoError(t, tok.Close(t.Context()))
	again := openToken(t, cfg)
	require.Equal(t, cfg.Serial, again.Serial())
}

// Somebody else's C_Initialize is respected.
func TestOpenInitialized(t *testing.T) {
	tokens := hsmtest.SoftHSM(t)
	p := pkcs11.New(tokens.Module)
	require.NotNil(t, p)
	require.NoError(t, p.Initialize())
	_, err := Open(t.Context(), config(tokens))
	require.ErrorIs(t, err, ErrInUse)
	_, err = p.GetSlotList(true)
	require.NoError(t, err, "still theirs")
	require.NoError(t, p.Finalize())
	openToken(t, config(tokens))
}

// A wrong PIN costs one try, on a token that counts: opencryptoki allows three.
func TestWrongPIN(t *testing.T) {
	for _, m := range hsmtest.Modules {
		t.Run(m.Name, func(t *testing.T) {
			tokens := m.New(t)
			cfg := config(tokens)
			asked := 0
			cfg.PIN = func(context.Context) ([]byte, error) { asked++; return []byte("99999999"), nil }
			for range 10 {
				_, err := Open(t.Context(), cfg)
				require.ErrorIs(t, err, ErrPIN)
			}
			if m.Name == "opencryptoki" {
				// The third try is the last, and was not spent.
				require.Equal(t, 2, asked)
				out, err := exec.Command("pkcs11-tool", "--module", tokens.Module, "--slot", "3", "--login", "--pin", tokens.PIN, "--list-objects").CombinedOutput()
				require.NoError(t, err, "the right PIN must still work: %s", out)
			} else {
				require.Equal(t, 10, asked, "these do not count")
			}
			openToken(t, config(tokens))
		})
	}
}

const trapVariable = "TANDEM_HSM_TRAP"

// What the checks are for: in a process of its own, a module gets what this
// package never lets through.
func TestTraps(t *testing.T) {
	tokens := hsmtest.SoftHSM(t)
	if trap := os.Getenv(trapVariable); trap != "" {
		tok := openToken(t, config(tokens))
		key, err := tok.GenerateKey(t.Context(), "key", 2048)
		require.NoError(t, err)
		long := make([]byte, 257)
		_, err = key.Exponentiate(t.Context(), long)
		require.ErrorIs(t, err, ErrInput)
		s, err := tok.mod.OpenSession(tok.slot, false)
		require.NoError(t, err)
		list, err := tok.mod.FindObjects(s, privateKeys("key"), 1)
		require.NoError(t, err)
		_, err = tok.mod.Use(bySign, s, mechanism{kind: pkcs11.CKM_RSA_X_509}, list[0], long)
		t.Fatalf("still alive: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestTraps$", "-test.count", "1")
	// It will have no time to clean up.
	cmd.Env = append(os.Environ(), trapVariable+"=long", "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	if exit.ExitCode() == 1 {
		// A later version may have learnt to say no; then it says so.
		require.Contains(t, string(out), "still alive: pkcs11", "%s", out)
	}
	t.Logf("k+1 bytes to C_Sign of SoftHSM: the process ended with %v", exit)
}

// Whatever is done first after the login was taken away, with any module: it
// logs in again, and no key is made twice or forgotten.
func TestLoginLost(t *testing.T) {
	for _, m := range hsmtest.Modules {
		t.Run(m.Name, func(t *testing.T) {
			ctx := t.Context()
			tok := openToken(t, config(m.New(t)))
			sealer, err := tok.GenerateSealingKey(ctx, "seal")
			require.NoError(t, err)
			blob, err := sealer.Seal(ctx, nil, []byte("share"))
			require.NoError(t, err)
			_, err = tok.GenerateKey(ctx, "key", 2048)
			require.NoError(t, err)
			for name, do := range map[string]func() error{
				"open":            func() error { _, err := sealer.Open(ctx, nil, blob); return err },
				"seal":            func() error { _, err := sealer.Seal(ctx, nil, nil); return err },
				"rotate":          func() error { return sealer.Rotate(ctx) },
				"unknown version": func() error { _, err := sealer.Open(ctx, nil, foreign(blob)); return is(err, ErrBlob) },
				"taken label":     func() error { _, err := tok.GenerateSealingKey(ctx, "seal"); return is(err, ErrKeyExists) },
				"taken RSA label": func() error { _, err := tok.GenerateKey(ctx, "key", 2048); return is(err, ErrKeyExists) },
				"missing label":   func() error { _, err := tok.Sealer(ctx, "none"); return is(err, ErrKeyNotFound) },
			} {
				require.NoError(t, logOut(tok), name)
				require.NoError(t, do(), name)
				plain, err := sealer.Open(ctx, nil, blob)
				require.NoError(t, err, name)
				require.Equal(t, "share", string(plain))
			}
			require.EqualValues(t, 2, sealer.keys.current().id.version())
		})
	}
}

// is returns nil for the error that is wanted.
func is(err, want error) error {
	if errors.Is(err, want) && !errors.Is(err, ErrUnavailable) {
		return nil
	}
	return fmt.Errorf("not %q: %w", want, err)
}
