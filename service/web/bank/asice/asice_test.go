package asice_test

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/catest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/web/bank/asice"
	"github.com/tandem-rsa/tandem/service/web/webtest"
)

// signer is a person's key, with its certificates up to the root.
type signer struct {
	key                       *rsa.PrivateKey
	certificate, issuer, root *x509.Certificate
}

func newSigner(t testing.TB) signer {
	ec := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		require.NoError(t, err)
		return k
	}
	rootKey, issuerKey := ec(), ec()
	var s signer
	var err error
	s.root, err = ca.NewRoot(rootKey, ca.TestName("root"), 0)
	require.NoError(t, err)
	s.issuer, err = ca.NewIssuing(s.root, rootKey, issuerKey.Public(), ca.TestName("issuing"), 0)
	require.NoError(t, err)
	profile := ca.CompatProfile()
	profile.MinBits = 2048
	authority, err := ca.New(ca.Config{Issuing: []ca.Issuing{{Certificate: s.issuer, Signer: issuerKey}}, Store: catest.NewMemoryStore(), Profile: profile, URL: "http://ca.example/pki"})
	require.NoError(t, err)
	s.key, err = rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	d, err := identity.ParseDocument("PNOEE-40504040001-7TRE-Q")
	require.NoError(t, err)
	chain, err := authority.Issue(t.Context(), ca.Request{
		Person: identity.Person{ID: d.ID, Given: "MARI", Surname: "MÄND"}, Document: d, Use: ca.Signature, Key: &s.key.PublicKey,
	})
	require.NoError(t, err)
	s.certificate = chain[0]
	return s
}

func (s signer) sign(t testing.TB, d *asice.Draft) []byte {
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, d.Digest())
	require.NoError(t, err)
	return signature
}

var when = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// TestContainer: what Finish makes, Open opens, and so do xmlsec1 and OpenSSL; with any
// name and content.
func TestContainer(t *testing.T) {
	s := newSigner(t)
	for i, c := range []struct{ name, kind, content string }{
		{"contract.txt", "text/plain", "A contract.\n"},
		{"leping & co. (1), 'ä' #+.pdf", "application/pdf", "%PDF-1.7\x00\r\n<&>"},
		{"a", "application/vnd.ms-excel.sheet+xml", strings.Repeat("x", asice.MaxFile)},
	} {
		d, err := asice.New(c.name, c.kind, []byte(c.content), s.certificate, when)
		require.NoError(t, err, c.name)
		container, err := d.Finish(s.sign(t, d))
		require.NoError(t, err)
		require.Equal(t, "mimetype"+asice.MimeType, string(container[30:30+8+len(asice.MimeType)]), "programs look for it there")
		o, err := asice.Open(container)
		require.NoError(t, err)
		require.Equal(t, *d, o.Draft)
		require.Equal(t, s.certificate.Raw, o.Signer.Raw)
		if i < 2 { // the third is long
			webtest.VerifyOutside(t, container, d.Digest(), o.Signature, s.certificate, s.issuer, s.root)
		}
	}
}

// TestRefused: names and types that do harm, empty and long files, signatures of others.
func TestRefused(t *testing.T) {
	s := newSigner(t)
	for _, name := range []string{"", "a/b", `a\b`, "..", ".a", "mimetype", "META-INF", "meta-inf", "a\nb", "a\u202eb", "a:b", "a*", " a", "a ", "\xff", strings.Repeat("a", 101)} {
		_, err := asice.New(name, "text/plain", []byte("x"), s.certificate, when)
		require.ErrorIs(t, err, asice.ErrFile, "%q", name)
	}
	for _, kind := range []string{"", "text", "text/plain; charset=utf-8", "text/<b>", "TEXT/plain"} {
		_, err := asice.New("a", kind, []byte("x"), s.certificate, when)
		require.ErrorIs(t, err, asice.ErrFile, kind)
	}
	for _, content := range [][]byte{nil, make([]byte, asice.MaxFile+1)} {
		_, err := asice.New("a", "text/plain", content, s.certificate, when)
		require.ErrorIs(t, err, asice.ErrFile)
	}
	d, err := asice.New("a", "text/plain", []byte("x"), s.certificate, when)
	require.NoError(t, err)
	signature := s.sign(t, d)
	signature[0] ^= 1
	_, err = d.Finish(signature)
	require.ErrorIs(t, err, asice.ErrSignature)
	d.Content = []byte("y")
	signature[0] ^= 1
	_, err = d.Finish(signature)
	require.ErrorIs(t, err, asice.ErrSignature)
}

// parts reads the files of a container, and pack makes one of them.
func parts(t testing.TB, container []byte) (out [][2]string) {
	z, err := zip.NewReader(bytes.NewReader(container), int64(len(container)))
	require.NoError(t, err)
	for _, f := range z.File {
		in, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(in)
		require.NoError(t, err)
		out = append(out, [2]string{f.Name, string(text)})
	}
	return out
}

func pack(t testing.TB, parts [][2]string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, p := range parts {
		h := &zip.FileHeader{Name: p[0], Method: zip.Deflate}
		if i == 0 {
			h.Method = zip.Store
		}
		w, err := z.CreateHeader(h)
		require.NoError(t, err)
		_, err = io.WriteString(w, p[1])
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// TestOpenRefuses: any change of a container is noticed.
func TestOpenRefuses(t *testing.T) {
	s := newSigner(t)
	d, err := asice.New("contract.txt", "text/plain", []byte("A contract.\n"), s.certificate, when)
	require.NoError(t, err)
	container, err := d.Finish(s.sign(t, d))
	require.NoError(t, err)
	good := parts(t, container)
	_, err = asice.Open(pack(t, good))
	require.NoError(t, err, "the test packs as it must")
	changes := map[string]func(p [][2]string) [][2]string{
		"the file":        func(p [][2]string) [][2]string { p[1][1] = "Another.\n"; return p },
		"its name":        func(p [][2]string) [][2]string { p[1][0] = "other.txt"; return p },
		"a file more":     func(p [][2]string) [][2]string { return append(p, [2]string{"more", "x"}) },
		"a file less":     func(p [][2]string) [][2]string { return p[:3] },
		"the manifest":    func(p [][2]string) [][2]string { p[2][1] += " "; return p },
		"the type inside": func(p [][2]string) [][2]string { p[0][1] = "x"; return p },
		"a long file":     func(p [][2]string) [][2]string { p[1][1] = strings.Repeat("x", asice.MaxFile+1); return p },
		"a long signature": func(p [][2]string) [][2]string {
			p[3][1] += strings.Repeat(" ", 1<<16)
			return p
		},
	}
	for _, old := range []string{"12:00:00", "text/plain", "S0-file", "rsa-sha256", "<ds:DigestValue>", "</ds:SignatureValue>", "<ds:X509Certificate>", "<ds:X509Certificate>MII", "<?xml"} {
		changes[old] = func(p [][2]string) [][2]string {
			p[3][1] = strings.Replace(p[3][1], old, old[:len(old)-1]+string(old[len(old)-1]+1), 1)
			return p
		}
	}
	for name, change := range changes {
		p := append([][2]string(nil), good...)
		_, err := asice.Open(pack(t, change(p)))
		require.Error(t, err, name)
		if name != "12:00:00" {
			require.ErrorIs(t, err, asice.ErrContainer, name)
		}
	}
	// A time that was changed everywhere it stands is another digest.
	p := append([][2]string(nil), good...)
	p[3][1] = strings.ReplaceAll(p[3][1], "12:00:00", "13:00:00")
	_, err = asice.Open(pack(t, p))
	require.Error(t, err)
	// All that is in it fits, but for the value of the signature, which is another
	// file's.
	d.Content = []byte("Another.\n")
	another, err := d.Finish(s.sign(t, d))
	require.NoError(t, err)
	value := func(p [][2]string) string {
		_, rest, _ := strings.Cut(p[3][1], "<ds:SignatureValue Id=\"S0-value\">")
		text, _, _ := strings.Cut(rest, "<")
		return text
	}
	p = parts(t, another)
	p[3][1] = strings.Replace(p[3][1], value(p), value(good), 1)
	_, err = asice.Open(pack(t, p))
	require.ErrorIs(t, err, asice.ErrSignature)
	for _, bad := range [][]byte{nil, []byte("PK"), container[1:], container[:len(container)-1], make([]byte, asice.MaxContainer+1)} {
		_, err := asice.Open(bad)
		require.ErrorIs(t, err, asice.ErrContainer)
	}
}

// FuzzOpen: what is opened is signed, and makes the same container again.
func FuzzOpen(f *testing.F) {
	seeds, err := filepath.Glob("testdata/fuzz/FuzzOpen/*")
	require.NoError(f, err)
	require.NotEmpty(f, seeds)
	f.Fuzz(func(t *testing.T, container []byte) {
		s, err := asice.Open(container)
		if err != nil {
			return
		}
		again, err := s.Finish(s.Signature)
		require.NoError(t, err)
		o, err := asice.Open(again)
		require.NoError(t, err)
		require.Equal(t, s.Draft, o.Draft)
	})
}

// TestNothing: nothing is an error, and never a panic.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*asice.Draft)(nil)},
		Functions: map[string]any{"New": asice.New, "Open": asice.Open},
		May:       map[string]string{"Draft.Digest": "there is none"},
	})
}
