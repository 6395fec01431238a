package testidentities

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// page returns docs/service.md.
func page(t *testing.T) string {
	text, err := os.ReadFile("../../docs/service.md")
	require.NoError(t, err)
	return string(text)
}

// TestFirstLogin: the commands of docs/service.md log a person in.
func TestFirstLogin(t *testing.T) {
	for _, program := range []string{"curl", "openssl", "bash"} {
		needtest.Program(t, program, program)
	}
	w := newWorld(t, who(t, "EE-40504040001"))
	m := regexp.MustCompile("(?s)### The first login\n.*?```sh\n(.*?)```\n").FindStringSubmatch(page(t))
	require.NotNil(t, m)
	const there = "api=http://127.0.0.1:8080/smart-id-rp/v2\n"
	require.Contains(t, m[1], there)
	script := "set -euo pipefail\n" + strings.Replace(m[1], there, "api="+w.api.URL+"/smart-id-rp/v2\n", 1)

	folder := t.TempDir()
	for name, der := range map[string][]byte{"root.crt": w.root.Raw, "issuing.crt": w.issuing.Raw, "tls.pem": w.api.Certificate().Raw} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	}
	run := func(script string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "CURL_CA_BUNDLE="+filepath.Join(folder, "tls.pem"))
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	text, err := run(script)
	require.NoError(t, err, text)
	require.Regexp(t, `Your code is [0-9]{4}\.`, text)
	require.Contains(t, text, `"endResult":"OK"`)
	require.Contains(t, text, "serialNumber = PNOEE-40504040001")
	require.Contains(t, text, "Signature Verified Successfully")
	require.Contains(t, text, "person.pem: OK")

	// The same commands find out that another digest was signed.
	text, err = run(strings.Replace(script, "value signature > signature", "openssl rand 64 > digest; value signature > signature", 1))
	require.Error(t, err, text)
	require.Contains(t, text, "Signature Verification Failure")
}

// TestPageHasAll: the page names each test person, and nobody else.
func TestPageHasAll(t *testing.T) {
	_, text, found := strings.Cut(page(t), "How each end result comes about")
	require.True(t, found)
	text, _, found = strings.Cut(text, "### Test persons")
	require.True(t, found)
	numbers := map[string]bool{}
	for _, i := range All() {
		id := i.Person.ID.String()
		numbers[strings.TrimPrefix(id, "PNOEE-")] = true
	}
	for _, m := range regexp.MustCompile(`PNO[A-Z]{2}-[0-9-]+|\b[0-9]{11}\b`).FindAllString(strings.ReplaceAll(text, "`", ""), -1) {
		require.True(t, numbers[m], m)
		delete(numbers, m)
		if m == "30403039939" {
			numbers[m] = true // is there twice
		}
	}
	delete(numbers, "30403039939")
	require.Empty(t, numbers)
}
