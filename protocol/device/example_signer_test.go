package device_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// newSigner returns a signer of a phone that is enrolled. The examples here ask no user:
// they have the PIN that he types.
func newSigner(ctx context.Context, pin string) *device.Signer {
	phone, service, id := enrolled(ctx, "4917")
	signer, err := phone.NewSigner(ctx, device.SignerConfig{
		Challenge: func(ctx context.Context, r *device.Request) ([]byte, error) {
			// An app sends the digests to the service, with what they are of: the
			// service decides whether it wants these signatures.
			return service.ChallengeSignAll(ctx, id, r.Digests, r.Options)
		},
		PIN: func(ctx context.Context, r *device.Request) ([]byte, error) {
			// An app shows protocol.VerificationCode(r.Digests[0]), and asks.
			return []byte(pin), nil
		},
	})
	check(err)
	return signer
}

// A TLS server whose key is a phone's. Each handshake has a view of its own: it ends with
// the handshake, and knows the error, of which crypto/tls keeps the text only.
func ExampleSigner() {
	ctx := context.Background()
	signer := newSigner(ctx, "4917")
	certificate := selfSigned(signer)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				var view *device.Signer
				server := tls.Server(conn, &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
					view = signer.WithContext(hello.Context())
					return &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: view}, nil
				}})
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				err := server.HandshakeContext(ctx)
				var wrong *limiter.WrongPINError
				if errors.As(view.Err(), &wrong) {
					fmt.Println("wrong PIN, tries left:", wrong.Remaining)
				}
				if err == nil {
					fmt.Fprintln(server, "signed by a phone")
					server.Close()
				}
			}()
		}
	}()

	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	client, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "phone.example"})
	check(err)
	text, err := io.ReadAll(client)
	check(err)
	fmt.Printf("%s, %d bits: %s", tls.VersionName(client.ConnectionState().Version), signer.Public().(*rsa.PublicKey).N.BitLen(), text)
	// Output: TLS 1.3, 4096 bits: signed by a phone
}

// selfSigned returns a certificate that the phone has signed for itself.
func selfSigned(signer crypto.Signer) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"phone.example"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(nil, template, template, signer.Public(), signer)
	check(err)
	certificate, err := x509.ParseCertificate(der)
	check(err)
	return certificate
}

// A request for a certificate, for an authority.
func ExampleSigner_certificateRequest() {
	signer := newSigner(context.Background(), "4917")
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "Ann"}, SignatureAlgorithm: x509.SHA256WithRSA,
	}, signer)
	check(err)

	request, err := x509.ParseCertificateRequest(der)
	check(err)
	check(request.CheckSignature())
	fmt.Println(request.Subject, request.SignatureAlgorithm)
	// Output: CN=Ann SHA256-RSA
}

// A JSON Web Signature (RFC 7515) in its compact form, with either padding of JOSE.
func ExampleSigner_jws() {
	signer := newSigner(context.Background(), "4917")
	for _, alg := range []string{"RS256", "PS256"} {
		token, err := signJWS(signer, alg, map[string]string{"sub": "ann"})
		check(err)
		part := strings.Split(token, ".")
		header, err := base64.RawURLEncoding.DecodeString(part[0])
		check(err)
		fmt.Printf("%s and %d characters\n", header, len(part[2]))
	}
	// Output:
	// {"alg":"RS256"} and 683 characters
	// {"alg":"PS256"} and 683 characters
}

// signJWS signs a payload by RS256 or PS256 (RFC 7518, sections 3.3 and 3.5).
func signJWS(signer crypto.Signer, alg string, payload any) (string, error) {
	var opts crypto.SignerOpts = crypto.SHA256
	if alg == "PS256" {
		opts = &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
	}
	var parts []string
	for _, part := range []any{map[string]string{"alg": alg}, payload} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	text := strings.Join(parts, ".")
	signature, err := crypto.SignMessage(signer, nil, []byte(text), opts)
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// Several documents under one PIN. After a wrong one the error says how many tries are
// left.
func ExampleSigner_SignAll() {
	var digests [][]byte
	for _, text := range []string{"the contract", "the annex"} {
		digest := sha256.Sum256([]byte(text))
		digests = append(digests, digest[:])
	}
	signatures, err := newSigner(context.Background(), "4917").SignAll(digests, crypto.SHA256)
	fmt.Println(len(signatures), "signatures,", err)

	_, err = newSigner(context.Background(), "8306").SignAll(digests, crypto.SHA256)
	var wrong *limiter.WrongPINError
	if errors.As(err, &wrong) {
		fmt.Println("wrong PIN, tries left:", wrong.Remaining)
	}
	// Output:
	// 2 signatures, <nil>
	// wrong PIN, tries left: 2
}

// enrolled returns a phone with a confirmed key, and its service: see the example of
// Device.
func enrolled(ctx context.Context, pin string) (*device.Device, *server.Server, protocol.KeyID) {
	service := newServer()
	phone, err := device.New(device.Config{
		Storage: new(memory), Transport: service.Handle, HPKEKey: service.HPKEKey(),
		Params: fast, // for a fast example only: leave it out
	})
	check(err)
	id, challenge, err := service.ChallengeEnroll(ctx)
	check(err)
	check(phone.Enroll(ctx, device.EnrollOptions{Challenge: challenge, PIN: []byte(pin)}))
	check(phone.Confirm(ctx, nil, []byte(pin)))
	return phone, service, id
}

// memory is a Storage that forgets when the program ends: for examples only.
type memory struct{ data []byte }

func (m *memory) Load() ([]byte, error) { return append([]byte(nil), m.data...), nil }

func (m *memory) Lock() (func(), error) { return func() {}, nil }

func (m *memory) Save(data []byte) error {
	m.data = append([]byte(nil), data...)
	return nil
}
