package rphttp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
)

// TestAddress: what X-Forwarded-For says counts as far as trusted proxies say it.
func TestAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	for _, c := range []struct {
		trusted   []netip.Prefix
		forwarded []string
		want      string
	}{
		{nil, nil, "127.0.0.1"}, {nil, []string{"192.0.2.1"}, "127.0.0.1"}, {proxies[1:], []string{"192.0.2.1"}, "127.0.0.1"},
		{proxies, nil, "127.0.0.1"}, {proxies, []string{""}, "127.0.0.1"}, {proxies, []string{"192.0.2.1"}, "192.0.2.1"}, {proxies, []string{" 192.0.2.1\t"}, "192.0.2.1"},
		{proxies, []string{"198.51.100.1, 192.0.2.1"}, "192.0.2.1"}, {proxies, []string{"198.51.100.1", "192.0.2.1"}, "192.0.2.1"}, {proxies, []string{"192.0.2.1, 10.1.2.3"}, "192.0.2.1"},
		{proxies, []string{"198.51.100.1, 192.0.2.1, 10.1.2.3", "2001:db8:1::5"}, "192.0.2.1"}, {proxies, []string{"10.9.9.9, 10.1.2.3"}, "10.9.9.9"},
		{proxies, []string{"192.0.2.1, unknown"}, "127.0.0.1"}, {proxies, []string{"192.0.2.1, unknown, 10.0.0.1"}, "10.0.0.1"}, {proxies, []string{"<script>, 192.0.2.1"}, "192.0.2.1"},
		{proxies, []string{"192.0.2.1:4711"}, "192.0.2.1"}, {proxies, []string{"[2001:db8::1]:4711"}, "2001:db8::1"}, {proxies, []string{"2001:db8::1"}, "2001:db8::1"}, {proxies, []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{proxies, []string{"fe80::1%eth0"}, "fe80::1"}, {proxies, []string{"192.0.2.1, ::ffff:10.1.2.3"}, "192.0.2.1"}, {proxies, []string{"192.0.2.1,,"}, "127.0.0.1"},
	} {
		s := start(t, rphttp.Options{TrustedProxies: c.trusted, RequestIDHeader: "X-Proxy-Id"})
		e := endpoints()[0]
		headers := []string{"X-Proxy-Id: r-17"}
		for _, f := range c.forwarded {
			headers = append(headers, "X-Forwarded-For: "+f)
		}
		r := s.post(e.path, e.body, headers...)
		require.Equal(t, 200, r.status)
		_, source := s.book.last(t)
		require.Equal(t, c.want, source.Address.String(), c.forwarded)
		byProxy := len(c.trusted) == len(proxies)
		require.Equal(t, byProxy, r.header.Get("X-Request-Id") == "r-17", "only a trusted proxy names requests")
	}
}

func TestRequestID(t *testing.T) {
	s := start(t, rphttp.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RequestIDHeader: "X-Proxy-Id"})
	drawn := map[string]bool{}
	for _, id := range []string{"", "a b", "a=b", strings.Repeat("a", 65), "õ", "a\"b"} {
		got := s.do("GET", base+"/v2/session/"+uuid, nil, "X-Proxy-Id: "+id).header.Get("X-Request-Id")
		require.Regexp(t, "^[A-Z2-7]{26}$", got)
		require.False(t, drawn[got])
		drawn[got] = true
	}
	for _, id := range []string{"a", "A-b_c.9", strings.Repeat("a", 64)} {
		require.Equal(t, id, s.do("GET", base+"/v2/session/"+uuid, nil, "X-Proxy-Id: "+id).header.Get("X-Request-Id"))
	}
}

// TestToken: of a bearer token the engine gets SHA-256.
func TestToken(t *testing.T) {
	s := start(t, rphttp.Options{})
	e := endpoints()[0]
	for header, want := range map[string]string{
		"Bearer opensesame": "opensesame", "bearer  opensesame ": "opensesame", "Bearer undefined": "undefined", "Bearer a b": "a b",
	} {
		s.post(e.path, e.body, "Authorization: "+header)
		_, source := s.book.last(t)
		require.Equal(t, sha256.Sum256([]byte(want)), source.TokenHash, header)
	}
	for _, header := range []string{"", "Basic b3BlbnNlc2FtZQ==", "Bearer", "opensesame"} {
		s.post(e.path, e.body, "Authorization: "+header)
		_, source := s.book.last(t)
		require.Zero(t, source.TokenHash, header)
	}
	// So in questions for sessions.
	id := s.post(e.path, e.body).field(t, "sessionID").(string)
	request, _ := s.book.last(t)
	s.book.end(id, success(t, request))
	s.do("GET", base+"/v1/session/"+id, nil, "Authorization: Bearer opensesame")
	_, source := s.book.last(t)
	require.Equal(t, sha256.Sum256([]byte("opensesame")), source.TokenHash)
}

// TestClientCertificate: the certificate that a client has the key of reaches the engine.
func TestClientCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	s := start(t, rphttp.Options{}, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		s.StartTLS()
	})
	e := endpoints()[0]
	s.post(e.path, e.body)
	_, source := s.book.last(t)
	require.Nil(t, source.Certificate)
	s.Client().CloseIdleConnections()
	s.Client().Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	s.post(e.path, e.body)
	_, source = s.book.last(t)
	require.Equal(t, der, source.Certificate.Raw)
}

// TestRate: a source that asks too often is told so before anything of its request is
// read, and another source is not.
func TestRate(t *testing.T) {
	s := start(t, rphttp.Options{RatePerSource: 1, BurstPerSource: 3, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	e := endpoints()[0]
	from := func(address string) []string { return []string{"X-Forwarded-For: " + address} }
	for i, address := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
		for range 3 {
			require.Equal(t, 200, s.post(e.path, e.body, from(address)...).status, i)
		}
	}
	before := s.book.count()
	// The rate is one a second: some of many are refused, however slow this machine is.
	refused := 0
	for range 100 {
		if s.post(e.path, e.body, from("192.0.2.1")...).status == 429 {
			refused++
		}
	}
	require.Positive(t, refused)
	require.Equal(t, before+100-refused, s.book.count())
	for version, path := range map[rp.Version]string{rp.V2: base + "/v2/nowhere", rp.V3: base + "/v3/session/" + uuid} {
		for refused := false; !refused; {
			refused = s.do("GET", path, nil, from("2001:db8::ffff")...).status == 429 // of the same 64 bits as 2001:db8::1
		}
		require.NotZero(t, version)
	}
	require.Equal(t, 200, s.post(e.path, e.body, from("2001:db8:0:1::1")...).status)
}
