package webtest

import (
	"archive/zip"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// VerifyOutside has programs that know nothing of this service verify a container of one
// file: xmlsec1 its signature, from the file to the root, and OpenSSL the signature's
// value, over digest, by the certificate's key, and its chain. Both refuse what was
// changed.
func VerifyOutside(t testing.TB, container []byte, digest, signature []byte, signer, issuing, root *x509.Certificate) {
	xmlsec, openssl := needtest.Program(t, "xmlsec1", "xmlsec1"), needtest.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	write := func(name string, text []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	certificate := func(name string, c *x509.Certificate) {
		write(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	certificate("signer.pem", signer)
	certificate("issuing.pem", issuing)
	certificate("root.pem", root)
	write("digest", digest)
	write("signature", signature)
	z, err := zip.NewReader(bytes.NewReader(container), int64(len(container)))
	require.NoError(t, err)
	require.Len(t, z.File, 4)
	var file string
	for i, f := range z.File {
		in, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(in)
		require.NoError(t, err)
		write(filepath.Base(f.Name), text)
		if i == 1 {
			file = f.Name
		}
	}
	run := func(program string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	verify := func() (string, error) {
		return run(xmlsec, "--verify", "--trusted-pem", "root.pem", "--untrusted-pem", "issuing.pem",
			"--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", "--enabled-key-data", "x509", "signatures0.xml")
	}
	text, err := verify()
	require.NoError(t, err, text)
	require.Contains(t, text, "SignedInfo References (ok/all): 2/2")

	text, err = run(openssl, "verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem", "-x509_strict", "signer.pem")
	require.NoError(t, err, text)
	text, err = run(openssl, "pkeyutl", "-verify", "-certin", "-inkey", "signer.pem", "-in", "digest", "-sigfile", "signature", "-pkeyopt", "digest:sha256")
	require.NoError(t, err, text)

	write(file, []byte("something else"))
	text, err = verify()
	require.Error(t, err, text)
	write("digest", bytes.Repeat([]byte{1}, len(digest)))
	text, err = run(openssl, "pkeyutl", "-verify", "-certin", "-inkey", "signer.pem", "-in", "digest", "-sigfile", "signature", "-pkeyopt", "digest:sha256")
	require.Error(t, err, text)
}
