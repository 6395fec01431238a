package push

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/tandem-rsa/tandem/internal/fipstest"
	"github.com/tandem-rsa/tandem/splitkey"
)

func decode(t testing.TB, text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	return b
}

// browser is one that has subscribed.
type browser struct {
	private *ecdh.PrivateKey
	auth    []byte
}

func newBrowser(t testing.TB) browser {
	b := browser{auth: make([]byte, 16)}
	rand.Read(b.auth)
	var err error
	b.private, err = ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	return b
}

func (b browser) address(endpoint string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf(`{"endpoint":%q,"expirationTime":null,"keys":{"p256dh":%q,"auth":%q}}`, endpoint, encode(b.private.PublicKey().Bytes()), encode(b.auth))
}

// derive is HKDF with SHA-256 (RFC 5869) for up to 32 bytes, by HMAC alone.
func derive(secret, salt []byte, info string, n int) []byte {
	mac := func(key []byte, parts ...string) []byte {
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			h.Write([]byte(p))
		}
		return h.Sum(nil)
	}
	return mac(mac(salt, string(secret)), info, "\x01")[:n]
}

// open decrypts as a browser does (RFC 8291, section 3.4, and RFC 8188), with code of its
// own.
func (b browser) open(t testing.TB, body []byte) string {
	salt, size, length, rest := body[:16], binary.BigEndian.Uint32(body[16:20]), int(body[20]), body[21:]
	require.Equal(t, 65, length)
	require.LessOrEqual(t, len(rest)-length, int(size), "one record")
	sender, err := ecdh.P256().NewPublicKey(rest[:length])
	require.NoError(t, err)
	shared, err := b.private.ECDH(sender)
	require.NoError(t, err)
	secret := derive(shared, b.auth, "WebPush: info\x00"+string(b.private.PublicKey().Bytes())+string(sender.Bytes()), 32)
	block, err := aes.NewCipher(derive(secret, salt, "Content-Encoding: aes128gcm\x00", 16))
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	text, err := gcm.Open(nil, derive(secret, salt, "Content-Encoding: nonce\x00", 12), rest[length:], nil)
	require.NoError(t, err)
	message, padding, last := strings.Cut(string(text), "\x02")
	require.True(t, last, "the last record")
	require.Empty(t, strings.Trim(padding, "\x00"))
	return message
}

// TestRFC8291 has the example of its section 5.
func TestRFC8291(t *testing.T) {
	if fipsOnly(t) {
		return
	}
	own, err := ecdh.P256().NewPrivateKey(decode(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	require.NoError(t, err)
	private, err := ecdh.P256().NewPrivateKey(decode(t, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
	require.NoError(t, err)
	b := browser{private, decode(t, "BTBZMqHH6r4Tts7J_aSIgg")}
	const message = "When I grow up, I want to be a watermelon"
	body, err := encryptWith([]byte(message), private.PublicKey(), b.auth, own, decode(t, "DGv6ra1nlYgDCS1FRnbzlw"))
	require.NoError(t, err)
	require.Equal(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"+
		"yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN", base64.RawURLEncoding.EncodeToString(body))
	require.Equal(t, message, b.open(t, body))
}

func fipsOnly(t testing.TB) bool {
	_, err := NewWeb(make([]byte, 32), "")
	if err != nil {
		require.ErrorIs(t, err, splitkey.ErrFIPS)
	}
	return err != nil
}

// TestFIPS: in FIPS 140-only mode there is no Web Push, and no panic.
func TestFIPS(t *testing.T) {
	if !fipstest.Only(t) {
		return
	}
	_, err := NewWeb(make([]byte, 32), "")
	require.ErrorIs(t, err, ErrConfig)
	require.ErrorIs(t, err, splitkey.ErrFIPS)
}

const host = "example.com" // httptest's certificate is for it

// service is a push service of the test's own, and a Web that reaches it by name.
func service(t testing.TB, may func(netip.Addr) bool, h http.HandlerFunc) *Web {
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	w, err := newWeb([]byte(strings.Repeat("s", 32)), "https://id.example", may)
	require.NoError(t, err)
	transport := w.client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, server.Listener.Addr().String())
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	return w
}

func anywhere(netip.Addr) bool { return true }

// TestWeb: a push service hears who sends, and for how long, and the browser alone what:
// "look", and nothing else.
func TestWeb(t *testing.T) {
	if fipsOnly(t) {
		return
	}
	b := newBrowser(t)
	var sent *http.Request
	var body []byte
	w := service(t, anywhere, func(rw http.ResponseWriter, r *http.Request) {
		sent = r
		body, _ = io.ReadAll(r.Body)
		rw.WriteHeader(http.StatusCreated)
	})
	before := time.Now().Unix()
	require.NoError(t, w.Send(t.Context(), b.address("https://"+host+"/push/abc?x=1")))
	require.Equal(t, "look", b.open(t, body))
	require.Equal(t, "POST", sent.Method)
	require.Equal(t, "/push/abc?x=1", sent.URL.RequestURI())
	require.Equal(t, host, sent.Host)
	for name, value := range map[string]string{
		"TTL": "120", "Urgency": "high", "Topic": "look", "Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream", "User-Agent": "tandem",
	} {
		require.Equal(t, value, sent.Header.Get(name), name)
	}

	// VAPID.
	parts, ok := strings.CutPrefix(sent.Header.Get("Authorization"), "vapid t=")
	require.True(t, ok)
	token, key, ok := strings.Cut(parts, ", k=")
	require.True(t, ok)
	require.Equal(t, w.PublicKey(), decode(t, key))
	jwt := strings.Split(token, ".")
	require.Len(t, jwt, 3)
	require.JSONEq(t, `{"typ":"JWT","alg":"ES256"}`, string(decode(t, jwt[0])))
	var claims struct {
		Aud, Sub string
		Exp      int64
	}
	require.NoError(t, json.Unmarshal(decode(t, jwt[1]), &claims))
	require.Equal(t, "https://"+host, claims.Aud)
	require.Equal(t, "https://id.example", claims.Sub)
	require.GreaterOrEqual(t, claims.Exp, before)
	require.LessOrEqual(t, claims.Exp, time.Now().Add(24*time.Hour).Unix())
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), w.PublicKey())
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(jwt[0] + "." + jwt[1]))
	require.True(t, ecdsa.VerifyASN1(public, digest[:], der(t, decode(t, jwt[2]))))

	// Each message has a key and a salt of its own.
	first := body
	require.NoError(t, w.Send(t.Context(), b.address("https://"+host+"/push/abc")))
	require.NotEqual(t, first[:16], body[:16])
	require.NotEqual(t, first[21:86], body[21:86])
	require.Equal(t, "look", b.open(t, body))
}

// der is a signature of two numbers in ASN.1.
func der(t testing.TB, raw []byte) []byte {
	require.Len(t, raw, 64)
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, n := range [][]byte{raw[:32], raw[32:]} {
			b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) {
				digits := strings.TrimLeft(string(n), "\x00")
				if digits == "" || digits[0] >= 0x80 {
					b.AddUint8(0)
				}
				b.AddBytes([]byte(digits))
			})
		}
	})
	return b.BytesOrPanic()
}

// TestRawSignature: numbers that are short keep their place.
func TestRawSignature(t *testing.T) {
	raw, err := rawSignature([]byte{0x30, 7, 2, 1, 5, 2, 2, 0, 0x80})
	require.NoError(t, err)
	want := make([]byte, 64)
	want[31], want[63] = 5, 0x80
	require.Equal(t, want, raw)
	for _, bad := range [][]byte{nil, {0x30, 0}, {0x30, 3, 2, 1, 5}, append([]byte{0x30, 38, 2, 33, 1}, make([]byte, 35)...)} {
		_, err := rawSignature(bad)
		require.Error(t, err)
	}
}

// TestAnswers: what a push service says, and what becomes of the subscription.
func TestAnswers(t *testing.T) {
	if fipsOnly(t) {
		return
	}
	var status, requests int
	w := service(t, anywhere, func(rw http.ResponseWriter, _ *http.Request) {
		requests++
		rw.Header().Set("Location", "https://"+host+"/elsewhere")
		rw.WriteHeader(status)
	})
	address := newBrowser(t).address("https://" + host + "/secret-path")
	for status = range 600 {
		if status < 200 || status > 206 && status < 300 || status > 310 && status < 400 || status > 430 && status < 500 || status > 505 {
			continue
		}
		requests = 0
		err := w.Send(t.Context(), address)
		switch {
		case status < 300:
			require.NoError(t, err, status)
		case status == 404 || status == 410:
			require.ErrorIs(t, err, ErrGone, status)
		default:
			require.ErrorContains(t, err, fmt.Sprint(status))
			require.NotErrorIs(t, err, ErrGone, status)
			require.NotContains(t, err.Error(), "secret-path")
		}
		require.Equal(t, 1, requests, "it is not followed elsewhere")
	}
	// A connection that fails tells no address either.
	w.client.Transport.(*http.Transport).TLSClientConfig = new(tls.Config)
	w.client.CloseIdleConnections()
	err := w.Send(t.Context(), address)
	require.ErrorContains(t, err, "certificate")
	require.NotContains(t, err.Error(), "secret-path")
}

// TestOwnNetwork: a name that leads to this machine, or into a private network, is not
// connected to, whatever it is.
func TestOwnNetwork(t *testing.T) {
	if fipsOnly(t) {
		return
	}
	asked := false
	w := service(t, public, func(http.ResponseWriter, *http.Request) { asked = true })
	err := w.Send(t.Context(), newBrowser(t).address("https://"+host+"/"))
	require.ErrorIs(t, err, ErrAddress)
	require.ErrorContains(t, err, "no public address")
	require.False(t, asked)
	fresh, err := NewWeb(make([]byte, 32), "")
	require.NoError(t, err)
	transport := fresh.client.Transport.(*http.Transport)
	require.Nil(t, transport.Proxy, "a proxy connects to what it likes")
	for _, a := range []string{"127.0.0.1:443", "[::1]:443", "[::ffff:127.0.0.1]:443", "10.1.2.3:443", "169.254.169.254:443", "[fe80::1%1]:443"} {
		_, err := transport.DialContext(t.Context(), "tcp", a)
		require.ErrorIs(t, err, ErrAddress, a)
	}
}

// TestPublic: which addresses are the Internet's.
func TestPublic(t *testing.T) {
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1",
		"172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:a00:1::1",
		"3fff::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "2a00::1%eth0",
	} {
		require.False(t, public(netip.MustParseAddr(a)), a)
	}
	require.False(t, public(netip.Addr{}))
	for _, a := range []string{"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1", "193.0.0.1", "223.255.255.255", "::ffff:8.8.8.8", "2a00:1450:4001::1", "2606:4700::1"} {
		require.True(t, public(netip.MustParseAddr(a)), a)
	}
}

// badAddresses are texts that are no address, and what is said of them.
func badAddresses(t testing.TB) map[string]string {
	good := newBrowser(t).address("https://" + host + "/x")
	of := func(endpoint string) string { return newBrowser(t).address(endpoint) }
	var s struct {
		Keys struct{ P256dh, Auth string }
	}
	require.NoError(t, json.Unmarshal([]byte(good), &s))
	offCurve := base64.RawURLEncoding.EncodeToString(append([]byte{4}, make([]byte, 64)...))
	const https, name = "not https", "with a name"
	return map[string]string{
		"": "JSON", "{}": https, "[]": "JSON", `"x"`: "JSON", good + good: "JSON", good + strings.Repeat(" ", maxAddress): "JSON",
		of("http://example.com/x"): https, of("HTTP://example.com/"): https, of("https://example.com:8443/"): https, of("https://a:b@example.com/"): https,
		of("https://example.com/#x"): https, of("https:example.com"): https, of("ftp://example.com/"): https, of("//example.com/"): https, of("file:///etc/passwd"): https,
		of("https://127.0.0.1/"): name, of("https://[::1]/"): name, of("https://8.8.8.8/"): name, of("https://localhost/"): name, of("https://.localhost./"): name,
		of("https:///x"): name, of("https://metadata/"): name, of("https://exa mple.com/"): "no URL", of("https://example.com:x/"): "no URL",
		strings.Replace(good, s.Keys.P256dh, offCurve, 1): "no point", strings.Replace(good, s.Keys.P256dh, "", 1): "no point",
		strings.Replace(good, s.Keys.P256dh, "!", 1): "base64url", strings.Replace(good, s.Keys.Auth, s.Keys.Auth[:8], 1): "16 bytes",
		strings.Replace(good, s.Keys.Auth, "", 1): "16 bytes",
	}
}

// TestAddress: what is no subscription is refused before anything is stored or called.
func TestAddress(t *testing.T) {
	for text, why := range badAddresses(t) {
		_, err := parseAddress(text)
		require.ErrorIs(t, err, ErrAddress, text)
		require.ErrorContains(t, err, why, text)
		require.ErrorIs(t, (*Web)(nil).Check(text), ErrAddress)
	}
	for _, good := range []string{"https://example.com/x", "https://example.com:443/x?y=z", "https://fcm.googleapis.com/fcm/send/a:b", "https://EXAMPLE.com"} {
		_, err := parseAddress(newBrowser(t).address(good))
		require.NoError(t, err, good)
	}
}

// TestKey: the key follows from the secret and nothing else.
func TestKey(t *testing.T) {
	if fipsOnly(t) {
		return
	}
	of := func(secret string) []byte {
		w, err := NewWeb([]byte(secret), "")
		require.NoError(t, err)
		require.Equal(t, "push.Web", fmt.Sprintf("%v", *w))
		return w.PublicKey()
	}
	one, other := strings.Repeat("a", 32), strings.Repeat("b", 32)
	require.Equal(t, of(one), of(one))
	require.NotEqual(t, of(one), of(other))
	require.Len(t, of(one), 65)
	_, err := NewWeb([]byte(one[:31]), "")
	require.ErrorIs(t, err, ErrConfig)
}

// FuzzAddress: whatever an account's phone says, it is refused, or is a URL of https with
// a name, a point and a secret.
func FuzzAddress(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAddress(text)
		if err != nil {
			require.ErrorIs(t, err, ErrAddress)
			return
		}
		r, err := http.NewRequest(http.MethodPost, a.endpoint.String(), nil)
		require.NoError(t, err)
		require.Equal(t, "https", r.URL.Scheme)
		_, err = netip.ParseAddr(r.URL.Hostname())
		require.Error(t, err)
		require.Contains(t, []string{"", "443"}, r.URL.Port())
		require.Len(t, a.auth, 16)
		require.Len(t, a.public.Bytes(), 65)
	})
}
