package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// authority issues certificates for a test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{key: key}
	a.cert, err = x509.ParseCertificate(a.issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, key.Public()))
	require.NoError(t, err)
	return a
}

func (a *authority) issue(t *testing.T, template *x509.Certificate, public crypto.PublicKey) []byte {
	template.SerialNumber, template.DNSNames = big.NewInt(1), []string{"phone.example"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(nil, template, parent, public, a.key)
	require.NoError(t, err)
	return der
}

// handshake is one with a server whose key is a signer's, over a pipe.
type handshake struct {
	view   *Signer // that the server signed with
	server chan error
	client chan error
}

// shake begins a handshake. The contexts are the two ends'.
func (a *authority) shake(t *testing.T, s *Signer, chain []byte, server, client context.Context) *handshake {
	h := &handshake{server: make(chan error, 1), client: make(chan error, 1)}
	near, far := net.Pipe()
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			h.view = s.WithContext(hello.Context())
			return &tls.Certificate{Certificate: [][]byte{chain}, PrivateKey: h.view}, nil
		},
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	go func() {
		err := tls.Server(near, config).HandshakeContext(server)
		if err != nil {
			near.Close()
		}
		h.server <- err
	}()
	go func() {
		err := tls.Client(far, &tls.Config{RootCAs: roots, ServerName: "phone.example"}).HandshakeContext(client)
		if err != nil {
			far.Close()
		}
		h.client <- err
	}()
	return h
}

// TestSignerHandshakes: 32 TLS 1.3 handshakes at once, with one key on one phone. All
// succeed, one PIN each, in the order in which they came.
func TestSignerHandshakes(t *testing.T) {
	s, user := newSigner(t, newReadyPhone(t, newService(t)))
	a := newAuthority(t)
	chain := a.issue(t, &x509.Certificate{}, s.Public())
	enter := make(chan struct{})
	user.typing = func(context.Context, *Request) error { <-enter; return nil }
	var want []any
	var all []*handshake
	for i := range 32 {
		all = append(all, a.shake(t, s, chain, called(t.Context(), i), t.Context()))
		want = append(want, i)
		user.busy(t, i+1)
	}
	close(enter)
	for _, h := range all {
		require.NoError(t, heard(t, h.server))
		require.NoError(t, heard(t, h.client))
		require.NoError(t, h.view.Err())
	}
	require.Equal(t, want, user.names())
	require.Equal(t, 32, user.challenges)
}

// TestSignerHandshakeContext: a handshake that has 300 ms does not wait for the user of
// another, and its place is free.
func TestSignerHandshakeContext(t *testing.T) {
	s, user := newSigner(t, newReadyPhone(t, newService(t)))
	a := newAuthority(t)
	chain := a.issue(t, &x509.Certificate{}, s.Public())
	enter := make(chan struct{})
	user.typing = func(context.Context, *Request) error { <-enter; return nil }
	first := a.shake(t, s, chain, called(t.Context(), "first"), t.Context())
	user.busy(t, 1)
	short, cancel := context.WithTimeout(called(t.Context(), "short"), 300*time.Millisecond)
	defer cancel()
	second := a.shake(t, s, chain, short, t.Context())
	require.Error(t, heard(t, second.server)) // while the first prompt is open
	require.Error(t, heard(t, second.client))
	require.Zero(t, user.phone.waiting())
	gone, leave := context.WithCancel(called(t.Context(), "gone"))
	waiting := a.shake(t, s, chain, gone, t.Context())
	user.busy(t, 2)
	leave()
	require.Error(t, heard(t, waiting.server))
	require.ErrorIs(t, waiting.view.Err(), context.Canceled)
	require.Error(t, heard(t, waiting.client))
	require.Zero(t, user.phone.waiting())
	third := a.shake(t, s, chain, called(t.Context(), "third"), t.Context())
	user.busy(t, 2)
	close(enter)
	for _, h := range []*handshake{first, third} {
		require.NoError(t, heard(t, h.server))
		require.NoError(t, heard(t, h.client))
	}
	require.Equal(t, []any{"first", "third"}, user.names())
}

// eager is a connection whose Write does not wait for the reader, as those of an
// operating system are.
type eager struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func newEager(c net.Conn) *eager {
	e := &eager{Conn: c, out: make(chan []byte, 100), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case b := <-e.out:
				if _, err := c.Write(b); err != nil {
					return
				}
			case <-e.closed:
				return
			}
		}
	}()
	return e
}

func (e *eager) Write(b []byte) (int, error) {
	select {
	case e.out <- bytes.Clone(b):
		return len(b), nil
	case <-e.closed:
		return 0, net.ErrClosed
	}
}

func (e *eager) Close() error {
	e.once.Do(func() { close(e.closed) })
	return e.Conn.Close()
}

// login is a login with publickey to a server that takes this one key.
type login struct {
	view   *Signer
	client chan error
}

func logIn(t *testing.T, s *Signer, ctx context.Context) *login {
	l := &login{view: s.WithContext(ctx), client: make(chan error, 1)}
	key, err := ssh.NewSignerFromSigner(l.view)
	require.NoError(t, err)
	host, err := ssh.NewSignerFromSigner(newAuthority(t).key)
	require.NoError(t, err)
	config := &ssh.ServerConfig{MaxAuthTries: 1, PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
		if string(offered.Marshal()) != string(key.PublicKey().Marshal()) {
			return nil, errors.New("not this one")
		}
		return nil, nil
	}}
	config.AddHostKey(host)
	one, two := net.Pipe()
	near, far := newEager(one), newEager(two)
	go func() {
		defer near.Close()
		if conn, _, requests, err := ssh.NewServerConn(near, config); err == nil {
			go ssh.DiscardRequests(requests)
			conn.Wait()
		}
	}()
	go func() {
		defer far.Close()
		_, _, _, err := ssh.NewClientConn(far, "phone.example", &ssh.ClientConfig{
			User: "ann", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(host.PublicKey()),
		})
		l.client <- err
	}()
	return l
}

// TestSignerLogins: 8 ssh logins at once.
func TestSignerLogins(t *testing.T) {
	s, user := newSigner(t, newReadyPhone(t, newService(t)))
	if fips140.Enforced() { // x/crypto/ssh has no key exchange then
		require.Error(t, heard(t, logIn(t, s, t.Context()).client))
		require.Empty(t, user.names())
		return
	}
	enter := make(chan struct{})
	user.typing = func(context.Context, *Request) error { <-enter; return nil }
	var want []any
	var all []*login
	for i := range 8 {
		all = append(all, logIn(t, s, called(t.Context(), i)))
		want = append(want, i)
		user.busy(t, i+1)
	}
	close(enter)
	for _, l := range all {
		require.NoError(t, heard(t, l.client))
	}
	require.Equal(t, want, user.names())
}

// jws returns a JSON Web Signature (RFC 7515) in its compact form.
func jws(s crypto.Signer, payload string) (string, error) {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"PS256"}`)) + "." + encode([]byte(payload))
	signature, err := crypto.SignMessage(s, nil, []byte(text), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash})
	return text + "." + encode(signature), err
}

// TestSignerWrongPIN: a wrong PIN in a TLS handshake, an ssh login and a JWS counts once,
// and the verdict can be had where the package in between has only passed on its text.
// Views know their own error alone, and go on with the right PIN.
func TestSignerWrongPIN(t *testing.T) {
	service := newService(t)
	s, user := newSigner(t, newReadyPhone(t, service))
	a := newAuthority(t)
	chain := a.issue(t, &x509.Certificate{}, s.Public())
	ways := map[string]func() (*Signer, error){
		"TLS": func() (*Signer, error) {
			h := a.shake(t, s, chain, t.Context(), t.Context())
			heard(t, h.client)
			return h.view, heard(t, h.server)
		},
		"ssh": func() (*Signer, error) {
			l := logIn(t, s, t.Context())
			return l.view, heard(t, l.client)
		},
		"JWS": func() (*Signer, error) {
			view := s.WithContext(t.Context())
			_, err := jws(view, `{"sub":"ann"}`)
			return view, err
		},
	}
	if fips140.Enforced() { // x/crypto/ssh has no key exchange then
		delete(ways, "ssh")
	}
	for name, use := range ways {
		user.pin = protocoltest.WrongPIN
		asked := len(user.asked)
		view, err := use()
		require.Error(t, err, name)
		var wrong *limiter.WrongPINError
		require.ErrorAs(t, view.Err(), &wrong, name)
		require.Equal(t, 2, wrong.Remaining, name)
		require.NoError(t, s.Err())
		require.Len(t, user.asked, asked+1, name)
		status, err := service.Status(t.Context(), user.phone.id)
		require.NoError(t, err)
		require.Equal(t, 2, status.Attempts.Remaining, name)

		user.pin = protocoltest.RightPIN
		other, err := use()
		require.NoError(t, err, name)
		require.NoError(t, other.Err())
		require.ErrorAs(t, view.Err(), &wrong, name)
	}
}

// TestSignerLocked: of a lock the signer hears from the server, after it has asked for
// the PIN, which is not looked at.
func TestSignerLocked(t *testing.T) {
	service := newService(t)
	s, user := newSigner(t, newReadyPhone(t, service))
	user.pin = protocoltest.WrongPIN
	var wrong *limiter.WrongPINError
	for range 3 {
		_, err := s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
		require.ErrorAs(t, err, &wrong)
	}
	require.False(t, wrong.LockedUntil.IsZero())
	user.pin = protocoltest.RightPIN
	_, err := s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	var locked *limiter.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, wrong.LockedUntil, locked.Until)
	require.Len(t, user.asked, 4)
	service.clock.Set(locked.Until)
	signature, err := s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.NoError(t, err)
	requireSigned(t, s, "x", signature)
}

// TestSignerCertificateRequest: crypto/x509 makes a request for a certificate, and a
// certificate, with either padding.
func TestSignerCertificateRequest(t *testing.T) {
	s, user := newSigner(t, newReadyPhone(t, newService(t)))
	for _, algorithm := range []x509.SignatureAlgorithm{x509.SHA256WithRSA, x509.SHA512WithRSA, x509.SHA384WithRSAPSS} {
		der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{DNSNames: []string{"phone.example"}, SignatureAlgorithm: algorithm}, s)
		require.NoError(t, err)
		request, err := x509.ParseCertificateRequest(der)
		require.NoError(t, err)
		require.NoError(t, request.CheckSignature())
	}
	require.Len(t, user.asked, 3)
}
