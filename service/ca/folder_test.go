package ca_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/catest"
	"github.com/tandem-rsa/tandem/service/identity"
)

func setup() ca.Setup {
	return ca.Setup{Root: ca.TestName("tandem Root"), Issuing: ca.TestName("tandem EID-Q 1")}
}

func names(t *testing.T, folder string) (out []string) {
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "ca")
	require.NoError(t, ca.CreateFolder(folder, setup()))
	require.Equal(t, []string{"ca"}, names(t, dir))
	require.Equal(t, []string{"issuing-1.crt", "issuing-1.key", "root.crt", "root.key"}, names(t, folder))
	if runtime.GOOS != "windows" {
		for _, name := range []string{"root.key", "issuing-1.key"} {
			info, err := os.Stat(filepath.Join(folder, name))
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
		}
	}
	require.ErrorIs(t, ca.CreateFolder(folder, setup()), fs.ErrExist)

	f, err := ca.OpenFolder(folder)
	require.NoError(t, err)
	require.Equal(t, "TEST of tandem Root", f.Root.Subject.CommonName)
	require.Len(t, f.Issuing, 1)
	require.IsType(t, &ecdsa.PrivateKey{}, f.Issuing[0].Signer)
	require.Equal(t, 384, f.Issuing[0].Signer.Public().(*ecdsa.PublicKey).Curve.Params().BitSize)

	// A second issuing CA issues; the first goes on.
	require.NoError(t, ca.AddIssuing(folder, ca.TestName("tandem EID-Q 2"), false))
	require.ErrorIs(t, ca.AddIssuing(folder, ca.TestName("tandem EID-Q 2"), false), ca.ErrConfig, "the same name")
	// Without the root's key no more can be added, and all else goes on.
	require.NoError(t, os.Rename(filepath.Join(folder, "root.key"), filepath.Join(dir, "root.key")))
	require.ErrorIs(t, ca.AddIssuing(folder, ca.TestName("tandem EID-Q 3"), false), fs.ErrNotExist)
	f, err = ca.OpenFolder(folder)
	require.NoError(t, err)
	require.Len(t, f.Issuing, 2)
	require.Equal(t, "TEST of tandem EID-Q 2", f.Issuing[0].Certificate.Subject.CommonName)
	a, err := ca.New(ca.Config{Issuing: f.Issuing, Store: catest.NewMemoryStore(), Profile: ca.CompatProfile(), URL: url})
	require.NoError(t, err)
	chain, err := a.Issue(context.Background(), request(ca.Signature, identity.Qualified))
	require.NoError(t, err)
	require.Equal(t, f.Issuing[0].Certificate, chain[1])
	for _, i := range f.Issuing {
		require.NoError(t, i.Certificate.CheckSignatureFrom(f.Root))
		_, err := a.CRL(context.Background(), i.ID())
		require.NoError(t, err)
	}
}

// TestFolderOfRSA: keys of 4096 bits. To make them takes long, so that the short form
// makes one.
func TestFolderOfRSA(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "ca")
	s := setup()
	s.RSA = !testing.Short()
	require.NoError(t, ca.CreateFolder(folder, s))
	if testing.Short() {
		require.NoError(t, ca.AddIssuing(folder, ca.TestName("tandem EID-Q 2"), true))
	}
	f, err := ca.OpenFolder(folder)
	require.NoError(t, err)
	require.IsType(t, &rsa.PrivateKey{}, f.Issuing[0].Signer)
	require.Equal(t, 4096, f.Issuing[0].Signer.Public().(*rsa.PublicKey).N.BitLen())
	if s.RSA {
		require.Equal(t, 4096, f.Root.PublicKey.(*rsa.PublicKey).N.BitLen())
	}
}

// TestFolderRefuses: a folder that fails to be made is not there, and one that is damaged
// or exposed is not opened.
func TestFolderRefuses(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "ca")
	for _, change := range []func(*ca.Setup){
		func(s *ca.Setup) { s.Root.Country = "" },
		func(s *ca.Setup) { s.Issuing.CommonName = "A\x00" },
		func(s *ca.Setup) { s.Issuing = s.Root },
	} {
		s := setup()
		change(&s)
		require.ErrorIs(t, ca.CreateFolder(folder, s), ca.ErrConfig)
	}
	require.Empty(t, names(t, dir))
	require.ErrorIs(t, ca.CreateFolder(filepath.Join(dir, "none", "ca"), setup()), fs.ErrNotExist)
	_, err := ca.OpenFolder(folder)
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, ca.CreateFolder(folder, setup()))
	other := filepath.Join(dir, "other")
	require.NoError(t, ca.CreateFolder(other, setup()))
	read := func(folder, name string) []byte {
		b, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		return b
	}
	var x25519 []byte
	fips140.WithoutEnforcement(func() {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		require.NoError(t, err)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		x25519 = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	})
	for name, damage := range map[string]func() (file string, content []byte){
		"another root":       func() (string, []byte) { return "root.crt", read(other, "root.crt") },
		"another key":        func() (string, []byte) { return "issuing-1.key", read(other, "issuing-1.key") },
		"a key that is none": func() (string, []byte) { return "issuing-1.key", read(folder, "root.crt") },
		"an encrypted key": func() (string, []byte) {
			return "issuing-1.key", []byte("-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END PRIVATE KEY-----\n")
		},
		"a key of nothing": func() (string, []byte) {
			return "issuing-1.key", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
		},
		"a key that cannot sign": func() (string, []byte) { return "issuing-1.key", x25519 },
		"no certificate":         func() (string, []byte) { return "issuing-1.crt", nil },
		"two certificates": func() (string, []byte) {
			return "issuing-1.crt", append(read(folder, "issuing-1.crt"), read(folder, "root.crt")...)
		},
		"a damaged certificate": func() (string, []byte) {
			return "root.crt", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		},
		"a large file":        func() (string, []byte) { return "root.crt", append(read(folder, "root.crt"), make([]byte, 1<<20)...) },
		"the root as issuing": func() (string, []byte) { return "issuing-1.crt", read(folder, "root.crt") },
	} {
		file, content := damage()
		before := read(folder, file)
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), content, 0o600))
		_, err := ca.OpenFolder(folder)
		require.Error(t, err, name)
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), before, 0o600))
	}
	_, err = ca.OpenFolder(folder)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Chmod(filepath.Join(folder, "issuing-1.key"), 0o640))
		_, err = ca.OpenFolder(folder)
		require.ErrorContains(t, err, "chmod 600")
		require.NoError(t, os.Chmod(filepath.Join(folder, "issuing-1.key"), 0o600))
	}
	// A crash of AddIssuing left a key without a certificate.
	require.NoError(t, os.WriteFile(filepath.Join(folder, "issuing-2.key"), []byte("half"), 0o600))
	_, err = ca.OpenFolder(folder)
	require.NoError(t, err)
	require.NoError(t, ca.AddIssuing(folder, ca.TestName("tandem EID-Q 2"), false))
	f, err := ca.OpenFolder(folder)
	require.NoError(t, err)
	require.Len(t, f.Issuing, 2)
	require.NoError(t, os.Remove(filepath.Join(folder, "issuing-1.crt")))
	require.NoError(t, os.Remove(filepath.Join(folder, "issuing-2.crt")))
	_, err = ca.OpenFolder(folder)
	require.ErrorContains(t, err, "no issuing CA")
}
