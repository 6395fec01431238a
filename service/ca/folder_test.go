package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/catest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// setups are those of a whole folder.
type setups struct{ root, issuing ca.Setup }

func setup() setups {
	return setups{ca.Setup{Name: ca.TestName("tandem Root")}, ca.Setup{Name: ca.TestName("tandem EID-Q 1")}}
}

func elsewhere(k ca.Elsewhere) func() (ca.Elsewhere, error) {
	return func() (ca.Elsewhere, error) { return k, nil }
}

func (s setups) create(folder string) error { return ca.CreateFolder(folder, s.root, s.issuing) }

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
	require.NoError(t, setup().create(folder))
	require.Equal(t, []string{"ca"}, names(t, dir))
	require.Equal(t, []string{"issuing-1.crt", "issuing-1.key", "root.crt", "root.key"}, names(t, folder))
	if runtime.GOOS != "windows" {
		for _, name := range []string{"root.key", "issuing-1.key"} {
			info, err := os.Stat(filepath.Join(folder, name))
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
		}
	}
	require.ErrorIs(t, setup().create(folder), fs.ErrExist)

	f, err := ca.OpenFolder(folder, nil)
	require.NoError(t, err)
	require.Equal(t, "TEST of tandem Root", f.Root.Subject.CommonName)
	require.Len(t, f.Issuing, 1)
	require.IsType(t, &ecdsa.PrivateKey{}, f.Issuing[0].Signer)
	require.Equal(t, 384, f.Issuing[0].Signer.Public().(*ecdsa.PublicKey).Curve.Params().BitSize)

	// A second issuing CA issues; the first goes on.
	require.NoError(t, ca.AddIssuing(folder, ca.Setup{Name: ca.TestName("tandem EID-Q 2")}, nil))
	require.ErrorIs(t, ca.AddIssuing(folder, ca.Setup{Name: ca.TestName("tandem EID-Q 2")}, nil), ca.ErrConfig, "the same name")
	// Without the root's key no more can be added, and all else goes on.
	require.NoError(t, os.Rename(filepath.Join(folder, "root.key"), filepath.Join(dir, "root.key")))
	require.ErrorIs(t, ca.AddIssuing(folder, ca.Setup{Name: ca.TestName("tandem EID-Q 3")}, nil), fs.ErrNotExist)
	f, err = ca.OpenFolder(folder, nil)
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
	s.root.RSA = !testing.Short()
	s.issuing.RSA = s.root.RSA
	require.NoError(t, s.create(folder))
	if testing.Short() {
		require.NoError(t, ca.AddIssuing(folder, ca.Setup{Name: ca.TestName("tandem EID-Q 2"), RSA: true}, nil))
	}
	f, err := ca.OpenFolder(folder, nil)
	require.NoError(t, err)
	require.IsType(t, &rsa.PrivateKey{}, f.Issuing[0].Signer)
	require.Equal(t, 4096, f.Issuing[0].Signer.Public().(*rsa.PublicKey).N.BitLen())
	if s.root.RSA {
		require.Equal(t, 4096, f.Root.PublicKey.(*rsa.PublicKey).N.BitLen())
	}
}

// filledUp adds white space to a file, which is allowed, up to a length.
func filledUp(b []byte, length int) []byte {
	return append(b, bytes.Repeat([]byte("\n"), length-len(b))...)
}

// TestFolderRefuses: a folder that fails to be made is not there, and one that is damaged
// or exposed is not opened.
func TestFolderRefuses(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "ca")
	for _, change := range []func(*setups){
		func(s *setups) { s.root.Name.Country = "" },
		func(s *setups) { s.issuing.Name.CommonName = "A\x00" },
		func(s *setups) { s.issuing = s.root },
		func(s *setups) { s.root.Years = 51 },
		func(s *setups) { s.issuing.Years = -1 },
		func(s *setups) { s.issuing.Key = elsewhere(ca.Elsewhere{Signer: p384(t)}) },
		func(s *setups) { s.issuing.Key = elsewhere(ca.Elsewhere{Reference: []byte("7")}) },
		func(s *setups) {
			s.root.Key = elsewhere(ca.Elsewhere{Signer: splitkeytest.Key(2048), Reference: []byte("7")})
		},
	} {
		s := setup()
		change(&s)
		require.ErrorIs(t, s.create(folder), ca.ErrConfig)
	}
	require.Empty(t, names(t, dir))
	require.ErrorIs(t, setup().create(filepath.Join(dir, "none", "ca")), fs.ErrNotExist)
	_, err := ca.OpenFolder(folder, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, setup().create(folder))
	other := filepath.Join(dir, "other")
	require.NoError(t, setup().create(other))
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
		"a key by another name": func() (string, []byte) {
			return "issuing-1.key", bytes.ReplaceAll(read(folder, "issuing-1.key"), []byte(" PRIVATE KEY"), []byte(" EC PRIVATE KEY"))
		},
		"a key with a header": func() (string, []byte) {
			return "issuing-1.key", bytes.Replace(read(folder, "issuing-1.key"), []byte("KEY-----\n"), []byte("KEY-----\nComment: a\n\n"), 1)
		},
		"a certificate by another name": func() (string, []byte) {
			return "root.crt", bytes.ReplaceAll(read(folder, "root.crt"), []byte(" CERTIFICATE"), []byte(" X509 CERTIFICATE"))
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
		"a long file":         func() (string, []byte) { return "root.crt", filledUp(read(folder, "root.crt"), 1<<16+1) },
		"the root as issuing": func() (string, []byte) { return "issuing-1.crt", read(folder, "root.crt") },
	} {
		file, content := damage()
		before := read(folder, file)
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), content, 0o600))
		_, err := ca.OpenFolder(folder, nil)
		require.Error(t, err, name)
		if name == "two certificates" || name == "an encrypted key" {
			require.ErrorContains(t, err, "not one PEM block")
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, file), before, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "root.crt"), filledUp(read(folder, "root.crt"), 1<<16), 0o600))
	_, err = ca.OpenFolder(folder, nil)
	require.NoError(t, err)
	require.NoError(t, os.Rename(filepath.Join(folder, "root.crt"), filepath.Join(dir, "root.crt")))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "root.crt"), 0o700))
	_, err = ca.OpenFolder(folder, nil)
	require.ErrorContains(t, err, "no file, or a large one")
	require.NoError(t, os.Remove(filepath.Join(folder, "root.crt")))
	require.NoError(t, os.Rename(filepath.Join(dir, "root.crt"), filepath.Join(folder, "root.crt")))
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Chmod(filepath.Join(folder, "issuing-1.key"), 0o640))
		_, err = ca.OpenFolder(folder, nil)
		require.ErrorContains(t, err, "chmod 600")
		require.NoError(t, os.Chmod(filepath.Join(folder, "issuing-1.key"), 0o600))
	}
	// A crash of AddIssuing left a key without a certificate.
	require.NoError(t, os.WriteFile(filepath.Join(folder, "issuing-2.key"), []byte("half"), 0o600))
	_, err = ca.OpenFolder(folder, nil)
	require.NoError(t, err)
	require.NoError(t, ca.AddIssuing(folder, ca.Setup{Name: ca.TestName("tandem EID-Q 2")}, nil))
	f, err := ca.OpenFolder(folder, nil)
	require.NoError(t, err)
	require.Len(t, f.Issuing, 2)
	require.NoError(t, os.Remove(filepath.Join(folder, "issuing-1.crt")))
	require.NoError(t, os.Remove(filepath.Join(folder, "issuing-2.crt")))
	_, err = ca.OpenFolder(folder, nil)
	require.ErrorContains(t, err, "no issuing CA")
}

// TestFolderElsewhere: in place of a key the folder has a reference, by which whoever
// opens it finds the key; a new issuing CA is made with a root's key that is elsewhere.
func TestFolderElsewhere(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "ca")
	keys := map[string]crypto.Signer{"root 7": p384(t), "issuing 8": p384(t), "issuing 9": p384(t)}
	key := func(reference string) func() (ca.Elsewhere, error) {
		return elsewhere(ca.Elsewhere{Signer: keys[reference], Reference: []byte(reference)})
	}
	unplugged := errors.New("unplugged")
	open := func(reference []byte) (crypto.Signer, error) {
		if k, ok := keys[string(reference)]; ok {
			return k, nil
		}
		return nil, unplugged
	}
	s := setup()
	s.root.Key, s.issuing.Key = key("root 7"), key("issuing 8")
	require.NoError(t, s.create(folder))
	require.Equal(t, []string{"issuing-1.crt", "issuing-1.ref", "root.crt", "root.ref"}, names(t, folder))
	f, err := ca.OpenFolder(folder, open)
	require.NoError(t, err)
	require.Same(t, keys["issuing 8"], f.Issuing[0].Signer)
	_, err = ca.OpenFolder(folder, nil)
	require.ErrorIs(t, err, ca.ErrConfig)

	// What is refused makes no key.
	never := func() (ca.Elsewhere, error) {
		require.Fail(t, "a key for nothing")
		return ca.Elsewhere{}, nil
	}
	require.ErrorIs(t, ca.AddIssuing(folder, ca.Setup{Name: ca.TestName("tandem EID-Q 2"), Key: never}, nil), ca.ErrConfig)
	require.ErrorIs(t, ca.AddIssuing(folder, ca.Setup{Name: s.issuing.Name, Key: never}, open), ca.ErrConfig)
	require.ErrorIs(t, ca.CreateFolder(folder, ca.Setup{Name: s.root.Name, Key: never}, s.issuing), fs.ErrExist)
	require.ErrorIs(t, ca.AddIssuing(folder, ca.Setup{Name: ca.TestName("tandem EID-Q 2"), Key: func() (ca.Elsewhere, error) { return ca.Elsewhere{}, unplugged }}, open), unplugged)
	require.Len(t, names(t, folder), 4)
	require.NoError(t, ca.AddIssuing(folder, ca.Setup{Name: ca.TestName("tandem EID-Q 2"), Key: key("issuing 9")}, open))
	require.NoError(t, ca.AddIssuing(folder, ca.Setup{Name: ca.TestName("tandem EID-Q 3"), Years: 3}, open))
	f, err = ca.OpenFolder(folder, open)
	require.NoError(t, err)
	require.Len(t, f.Issuing, 3)
	require.Equal(t, f.Issuing[0].Certificate.NotBefore.AddDate(3, 0, 0).Add(-time.Second), f.Issuing[0].Certificate.NotAfter)
	require.Same(t, keys["issuing 9"], f.Issuing[1].Signer)

	// Another's key, none, and two.
	own := keys["issuing 8"]
	keys["issuing 8"] = p384(t)
	_, err = ca.OpenFolder(folder, open)
	require.ErrorIs(t, err, ca.ErrConfig)
	delete(keys, "issuing 8")
	_, err = ca.OpenFolder(folder, open)
	require.ErrorIs(t, err, unplugged)
	keys["issuing 8"] = own
	require.NoError(t, os.WriteFile(filepath.Join(folder, "issuing-1.key"), nil, 0o600))
	_, err = ca.OpenFolder(folder, open)
	require.ErrorIs(t, err, ca.ErrConfig)
}

// TestYears: a root and an issuing CA are valid for as long as was said, an issuing CA
// not beyond its root.
func TestYears(t *testing.T) {
	key := p384(t)
	for years, want := range map[int]int{0: 25, 1: 1, 50: 50} {
		root, err := ca.NewRoot(key, ca.TestName("root"), years)
		require.NoError(t, err)
		require.Equal(t, root.NotBefore.AddDate(want, 0, 0).Add(-time.Second), root.NotAfter)
		issuing, err := ca.NewIssuing(root, key, p384(t).Public(), ca.TestName("issuing"), 2)
		require.NoError(t, err)
		end := issuing.NotBefore.AddDate(2, 0, 0).Add(-time.Second)
		if end.After(root.NotAfter) {
			end = root.NotAfter
		}
		require.Equal(t, end, issuing.NotAfter)
	}
	for _, years := range []int{-1, 51} {
		_, err := ca.NewRoot(key, ca.TestName("root"), years)
		require.ErrorIs(t, err, ca.ErrConfig)
	}
}
