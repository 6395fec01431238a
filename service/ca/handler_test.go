package ca_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
)

// TestHandler: what a certificate points to is there.
func TestHandler(t *testing.T) {
	a, _ := served(t)
	c := a.issue(t, ca.Signature, identity.Qualified)
	do := func(method, url string, body []byte) (*http.Response, []byte) {
		t.Helper()
		r, err := http.NewRequest(method, url, bytes.NewReader(body))
		require.NoError(t, err)
		response, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		defer response.Body.Close()
		b, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, b
	}
	base := strings.TrimSuffix(c.OCSPServer[0], "/ocsp")

	r, b := do("GET", c.IssuingCertificateURL[0], nil)
	require.Equal(t, "application/pkix-cert", r.Header.Get("Content-Type"))
	require.Equal(t, a.issuing().Raw, b)
	r, b = do("GET", c.CRLDistributionPoints[0], nil)
	require.Equal(t, "application/pkix-crl", r.Header.Get("Content-Type"))
	require.Equal(t, a.crl(t).Raw, b)
	r, b = do("HEAD", c.CRLDistributionPoints[0], nil)
	require.Equal(t, 200, r.StatusCode)
	require.Empty(t, b)

	answered := func(r *http.Response, b []byte) {
		t.Helper()
		require.Equal(t, 200, r.StatusCode)
		require.Equal(t, "application/ocsp-response", r.Header.Get("Content-Type"))
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
		_, err := ocsp.ParseResponse(b, a.issuing())
		require.NoError(t, err)
	}
	answered(do("POST", c.OCSPServer[0], ocspFor(a.issuing(), sha1ID, nil, c.SerialNumber)))
	// In the URL: with and without percent-encoding and padding. The request is one with
	// "//" and "+" in its base64.
	request := ocspFor(a.issuing(), sha256ID, bytes.Repeat([]byte{0xff, 0xfb, 0xef}, 4), c.SerialNumber)
	for range 3 { // so that one of three lengths has padding
		plain := base64.StdEncoding.EncodeToString(request)
		require.Contains(t, plain, "//")
		answered(do("GET", c.OCSPServer[0]+"/"+plain, nil))
		answered(do("GET", c.OCSPServer[0]+"/"+strings.TrimRight(plain, "="), nil))
		answered(do("GET", c.OCSPServer[0]+"/"+strings.NewReplacer("/", "%2F", "+", "%2b", "=", "%3D").Replace(plain), nil))
		nonce := bytes.Repeat([]byte{0xff, 0xfb, 0xef}, 4)
		request = ocspFor(a.issuing(), sha256ID, append(nonce, make([]byte, len(request)%3+1)...), c.SerialNumber)
	}

	for _, text := range []string{"", "%", "%zz", "!", "MEM=x", strings.Repeat("A", 9000), base64.StdEncoding.EncodeToString(request[:20])} {
		r, b = do("GET", c.OCSPServer[0]+"/"+strings.ReplaceAll(text, "%", "%25"), nil)
		require.Equal(t, 200, r.StatusCode)
		require.Equal(t, malformed, b, text)
	}
	_, b = do("POST", c.OCSPServer[0], make([]byte, 4096))
	require.Equal(t, malformed, b)
	r, _ = do("POST", c.OCSPServer[0], make([]byte, 4097))
	require.Equal(t, http.StatusRequestEntityTooLarge, r.StatusCode)

	for _, wrong := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/ocsp", 405}, {"PUT", "/ocsp", 405}, {"POST", "/ocsp/MEM", 405}, {"DELETE", "/" + a.id() + ".crl", 405},
		{"GET", "/", 404}, {"GET", "/x.crl", 404}, {"GET", "/x.crt", 404}, {"GET", "/" + a.id(), 404}, {"GET", "/root.key", 404},
		{"GET", "//" + a.id() + ".crl", 404}, {"GET", "/../" + a.id() + ".crt", 404},
	} {
		r, _ := do(wrong.method, base+wrong.path, nil)
		require.Equal(t, wrong.status, r.StatusCode, wrong.path)
	}
}

// TestHandlerLogs: the log has what the operator must know, and not what strangers send.
func TestHandlerLogs(t *testing.T) {
	a := newAuthority(t)
	c := a.issue(t, ca.Signature, identity.Qualified)
	var log bytes.Buffer
	handler := a.Handler(slog.New(slog.NewTextHandler(&log, nil)))
	do := func(method, path string, body []byte) int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, bytes.NewReader(body)))
		return w.Code
	}
	request := ocspFor(a.issuing(), sha1ID, nil, c.SerialNumber)
	require.Equal(t, 200, do("POST", "/ocsp", request))
	require.Equal(t, 200, do("POST", "/ocsp", request[1:]))
	require.Equal(t, 200, do("POST", "/ocsp", ocspFor(newAuthority(t).issuing(), sha1ID, nil, big.NewInt(1))))
	require.Equal(t, 404, do("GET", "/x.crl", nil))
	require.Empty(t, log.String())

	a.store.err = errors.New("no store today")
	require.Equal(t, 200, do("POST", "/ocsp", request))
	require.Contains(t, log.String(), "no store today")
	log.Reset()
	require.Equal(t, 503, do("GET", "/"+a.id()+".crl", nil))
	require.Contains(t, log.String(), "no store today")

	w := httptest.NewRecorder()
	(*ca.Authority)(nil).Handler(nil).ServeHTTP(w, httptest.NewRequest("POST", "/ocsp", bytes.NewReader(request)))
	require.Equal(t, tryLater, w.Body.Bytes())
}

// TestOpenSSLFetches: openssl reads CRL and certificate from where the certificate says.
func TestOpenSSLFetches(t *testing.T) {
	a, _ := served(t)
	c := a.issue(t, ca.Signature, identity.Qualified)
	require.NoError(t, a.Revoke(context.Background(), c, ca.Superseded))
	files := map[string]any{"c": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), "issuing": a.issuing(), "root": a.root}
	out, err := openssl(t, files, "verify", "-crl_check", "-crl_download", "-CAfile", "root", "-untrusted", "issuing", "c")
	require.Error(t, err)
	require.Contains(t, out, "certificate revoked")
}
