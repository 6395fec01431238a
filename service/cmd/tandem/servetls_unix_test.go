//go:build unix

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// writePair writes a certificate for this machine, and returns it.
func writePair(t *testing.T, c tlsConfig, changed time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), publicMode))
	require.NoError(t, os.WriteFile(c.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), secretMode))
	for _, name := range []string{c.Certificate, c.Key} {
		require.NoError(t, os.Chtimes(name, changed, changed))
	}
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate
}

func jsonOf(t *testing.T, v any) io.Reader {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return bytes.NewReader(text)
}

// TestPair: a certificate that is renewed is used soon; one that cannot be read is not.
func TestPair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := tlsConfig{Certificate: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key")}
	now := time.Now()
	_, err := newPair(c, slog.New(slog.DiscardHandler), func() time.Time { return now })
	require.ErrorIs(t, err, os.ErrNotExist)
	first := writePair(t, c, now)
	p, err := newPair(c, slog.New(slog.DiscardHandler), func() time.Time { return now })
	require.NoError(t, err)
	used := func() []byte {
		certificate, err := p.get(nil)
		require.NoError(t, err)
		return certificate.Certificate[0]
	}
	require.Equal(t, first.Raw, used())
	second := writePair(t, c, now.Add(time.Second))
	require.Equal(t, first.Raw, used(), "not looked at yet")
	now = now.Add(lookAgain)
	require.Equal(t, second.Raw, used())
	require.NoError(t, os.WriteFile(c.Certificate, []byte("nonsense"), publicMode))
	now = now.Add(lookAgain)
	require.Equal(t, second.Raw, used())
	require.NoError(t, os.Remove(c.Key))
	now = now.Add(lookAgain)
	require.Equal(t, second.Raw, used())
}

// TestServiceTLS: with a certificate the service speaks TLS, and a relying party whose
// client certificate is set is known by that alone.
func TestServiceTLS(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	args := quiet(t, dir)
	service := tlsConfig{Certificate: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key")}
	root := writePair(t, service, time.Now())
	s := serve(t, dir, append(args, "-tls-certificate", service.Certificate, "-tls-key", service.Key)...)
	require.Regexp(t, "^https://127", s.url)

	party := tlsConfig{Certificate: filepath.Join(dir, "rp.crt"), Key: filepath.Join(dir, "rp.key")}
	writePair(t, party, time.Now())
	s.tandem(exitOK, nil, "rp", "add", "-uuid", demoParty, "-name", "DEMO", "-certificate", party.Certificate)
	certificate, err := tls.LoadX509KeyPair(party.Certificate, party.Key)
	require.NoError(t, err)
	trusted := x509.NewCertPool()
	trusted.AddCert(root)
	for _, c := range []struct {
		shown  []tls.Certificate
		status int
	}{{nil, http.StatusUnauthorized}, {[]tls.Certificate{certificate}, http.StatusNotFound}} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, Certificates: c.shown}, ForceAttemptHTTP2: true}
		response, err := (&http.Client{Transport: transport}).Post(s.url+"/smart-id-rp/v2/certificatechoice/etsi/"+person, "application/json",
			jsonOf(t, map[string]any{"relyingPartyUUID": demoParty, "relyingPartyName": "DEMO"}))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, []int{c.status, 2}, []int{response.StatusCode, response.ProtoMajor})
		transport.CloseIdleConnections()
	}
	s.stop()
}
