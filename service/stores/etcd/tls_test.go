package etcd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
)

// authority is one that issues a certificate to anybody.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	c := a.issue("authority")
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

func (a *authority) issue(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: a.cert == nil, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	require.NoError(a.t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) config(c ...tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, Certificates: c, MinVersion: tls.VersionTLS12}
}

// TestTLS: a node talks to members of its authority, with a certificate; not without one,
// not to a stranger, and not without TLS.
func TestTLS(t *testing.T) {
	folder := t.TempDir()
	file := func(name, kind string, der []byte) string {
		name = filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return name
	}
	ours, other := newAuthority(t), newAuthority(t)
	member := ours.issue("member")
	key, err := x509.MarshalECPrivateKey(member.PrivateKey.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	good := ours.config(ours.issue("node"))
	c := etcdtest.StartTLS(t, good, "--client-cert-auth", "--cert-file", file("cert", "CERTIFICATE", member.Certificate[0]),
		"--key-file", file("key", "EC PRIVATE KEY", key), "--trusted-ca-file", file("ca", "CERTIFICATE", ours.cert.Raw))
	s := openOn(t, c, Options{TLS: good})
	require.NoError(t, s.Create(t.Context(), "id", nil))
	for name, config := range map[string]*tls.Config{
		"no certificate": ours.config(), "another authority's": ours.config(other.issue("node")), "a stranger": other.config(ours.issue("node")), "no TLS": nil,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := Open(ctx, Options{Endpoints: c.Endpoints(), Prefix: s.options.Prefix, TLS: config})
		cancel()
		require.Error(t, err, name)
	}
}
