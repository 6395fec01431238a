// Package hsmtest makes tokens for tests: fresh ones, on the PKCS #11 modules
// that are installed.
//
// A module that is missing skips the test and says how to install it. Where
// the environment says CI=true it fails the test instead.
//
//	apt-get install -y softhsm2 libnss3 libnss3-tools opencryptoki opensc p11-kit \
//		p11-kit-modules swtpm libtpm2-pkcs11-1 libtss2-tcti-swtpm0
package hsmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// Token says how to open a token that a test may use as it likes. All modules
// allow one user in a process at a time.
type Token struct {
	// Name of the module, for subtests.
	Name string
	// Module, Parameters and Label are for the fields of hsm.Config.
	Module, Parameters, Label string
	// PIN of the user, SOPIN of the security officer.
	PIN, SOPIN string
	// Dir holds the token's objects.
	Dir string
	// Server is the process that holds it, for tokens of [Servers]. It runs.
	Server interface {
		Start()
		Stop()
	}
}

const label = "tandem-test"

// Modules lists the makers of tokens, by name.
var Modules = []struct {
	Name string
	New  func(testing.TB) Token
}{
	{"SoftHSM", SoftHSM},
	{"NSS", NSS},
	{"opencryptoki", OpenCryptoki},
}

// SoftHSM returns a token of SoftHSM 2 in a directory of its own. It sets
// SOFTHSM2_CONF for the test.
func SoftHSM(t testing.TB) Token {
	t.Helper()
	module := needtest.File(t, "softhsm2", "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so",
		"/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so")
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	require(t, os.Mkdir(tokens, 0o700))
	conf := filepath.Join(dir, "softhsm2.conf")
	require(t, os.WriteFile(conf, fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens), 0o600))
	t.Setenv("SOFTHSM2_CONF", conf)
	tok := Token{Name: "SoftHSM", Module: module, Label: label, PIN: "1234", SOPIN: "87654321", Dir: tokens}
	run(t, "softhsm2", "softhsm2-util", "--init-token", "--free", "--label", tok.Label, "--pin", tok.PIN, "--so-pin", tok.SOPIN)
	return tok
}

// NSS returns the certificate database token of NSS softoken in a directory of
// its own.
func NSS(t testing.TB) Token {
	t.Helper()
	module := needtest.File(t, "libnss3 libnss3-tools", "/usr/lib/*/libsoftokn3.so", "/usr/lib/*/nss/libsoftokn3.so", "/usr/lib64/libsoftokn3.so")
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	require(t, os.WriteFile(password, []byte("Password1\n"), 0o600))
	db := filepath.Join(dir, "db")
	require(t, os.Mkdir(db, 0o700))
	run(t, "libnss3-tools", "certutil", "-N", "-d", "sql:"+db, "-f", password)
	return Token{
		Name:       "NSS",
		Module:     module,
		Parameters: fmt.Sprintf("configdir='sql:%s' certPrefix='' keyPrefix='' secmod='secmod.db' flags=", db),
		Label:      "NSS Certificate DB",
		PIN:        "Password1",
		Dir:        db,
	}
}

func run(t testing.TB, packages, name string, args ...string) {
	t.Helper()
	path := needtest.Program(t, name, packages)
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("hsmtest: %s %q: %v\n%s", name, args, err, out)
	}
}

func require(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("hsmtest: %v", err)
	}
}
