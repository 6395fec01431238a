package examples_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/smallstep/pkcs7"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// A document is signed as CMS (RFC 5652), as S/MIME and many formats for documents do it.
// The signature is detached.
func Example_cms() {
	folder, err := os.MkdirTemp("", "phone")
	check(err)
	defer os.RemoveAll(folder)
	signer := newSigner(context.Background(), folder)
	der, err := signCMS(signer, selfSigned(signer), []byte("the contract"))
	check(err)

	signed, err := pkcs7.Parse(der)
	check(err)
	signed.Content = []byte("the contract")
	fmt.Println(signed.Verify(), signed.GetOnlySigner().Subject)
	// Output: <nil> CN=Ann
}

// signCMS returns a detached signature with the certificate in it. A document of any
// length is one digest to the phone.
func signCMS(signer crypto.Signer, certificate *x509.Certificate, document []byte) ([]byte, error) {
	signed, err := pkcs7.NewSignedData(document)
	if err != nil {
		return nil, err
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256) // else it is SHA-1, which the phone refuses
	if err := signed.AddSigner(certificate, signer, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	signed.Detach()
	return signed.Finish()
}

// TestCMS: openssl verifies the signature, and refuses it for another document.
func TestCMS(t *testing.T) {
	openssl := needtest.Program(t, "openssl", "openssl")
	signer := newSigner(t.Context(), t.TempDir())
	certificate := selfSigned(signer)
	signature, err := signCMS(signer, certificate, []byte("the contract"))
	require.NoError(t, err)
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"contract": []byte("the contract"), "other": []byte("the contract."), "sig.der": signature,
		"ann.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	verify := func(document string) (string, error) {
		cmd := exec.CommandContext(t.Context(), openssl, "cms", "-verify", "-binary", "-inform", "DER", "-in", "sig.der", "-content", document, "-CAfile", "ann.pem", "-out", "out")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := verify("contract")
	require.NoError(t, err, out)
	out, err = verify("other")
	require.Error(t, err, out)
	require.Contains(t, out, "Verification failure")
}
