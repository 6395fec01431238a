package splitkey_test

import (
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// shapes are the split keys that the tests of interoperation use.
func shapes(t *testing.T) map[string]*pair {
	return map[string]*pair{
		"two-prime 2048 multiplicative": splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, nil),
		"two-prime 3072 additive":       splitOf(t, splitkeytest.Key(3072), splitkey.Additive, nil),
		"composite 4096 multiplicative": splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, splitkeytest.ServerKey(2048)),
		"composite 4096 additive":       splitOf(t, splitkeytest.Key(2048), splitkey.Additive, splitkeytest.ServerKey(2048)),
		"composite 6144 multiplicative": splitOf(t, splitkeytest.Key(3072), splitkey.Multiplicative, splitkeytest.ServerKey(3072)),
		"two-prime 4096 multiplicative": splitOf(t, splitkeytest.Key(4096), splitkey.Multiplicative, nil),
		"composite 8192 multiplicative": splitOf(t, splitkeytest.Key(4096), splitkey.Multiplicative, splitkeytest.ServerKey(4096)),
	}
}

func publicPEM(t *testing.T, pub crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(pub)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func signer(t testing.TB, p *pair) crypto.Signer {
	return p.client.Signer(t.Context(), p.final(), p.complete)
}

// TestOpenSSL has the openssl command verify signatures over a file, and refuse the
// same signatures over another.
func TestOpenSSL(t *testing.T) {
	openssl := needtest.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	file, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
	require.NoError(t, os.WriteFile(file, []byte("a contract"), 0o600))
	require.NoError(t, os.WriteFile(other, []byte("another contract"), 0o600))
	names := map[crypto.Hash]string{crypto.SHA256: "-sha256", crypto.SHA384: "-sha384", crypto.SHA512: "-sha512",
		crypto.SHA3_256: "-sha3-256", crypto.SHA3_384: "-sha3-384", crypto.SHA3_512: "-sha3-512"}
	for shape, p := range shapes(t) {
		key, sigFile := filepath.Join(dir, "key.pem"), filepath.Join(dir, "sig")
		require.NoError(t, os.WriteFile(key, publicPEM(t, p.pub()), 0o600))
		for h, name := range names {
			digest := digestFor(h, "a contract")
			for padding, opts := range map[string]crypto.SignerOpts{
				"pkcs1": h,
				"pss":   &rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthEqualsHash},
			} {
				require.NoError(t, os.WriteFile(sigFile, p.sign(t, digest, opts), 0o600))
				args := []string{"dgst", name, "-verify", key, "-signature", sigFile}
				if padding == "pss" {
					args = append(args, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
				}
				out, err := exec.Command(openssl, append(args, file)...).CombinedOutput()
				require.NoError(t, err, "%s %v %s: %s", shape, h, padding, out)
				require.Contains(t, string(out), "Verified OK")
				_, err = exec.Command(openssl, append(args, other)...).CombinedOutput()
				require.Error(t, err, "%s %v %s: accepted for another file", shape, h, padding)
			}
		}
	}
}

// verifyNode verifies JSON Web Signatures (RFC 7515) with Node's WebCrypto, from the
// JSON Web Key alone. It prints one line per token.
const verifyNode = `
const {subtle} = require('crypto').webcrypto;
(async () => {
  const input = JSON.parse(require('fs').readFileSync(0));
  for (const {jwk, token} of input) {
    const [h, p, s] = token.split('.');
    const alg = JSON.parse(Buffer.from(h, 'base64url')).alg;
    const hash = 'SHA-' + alg.slice(2);
    const name = alg.startsWith('PS') ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5';
    const key = await subtle.importKey('jwk', jwk, {name, hash}, false, ['verify']);
    const verify = text => subtle.verify({name, saltLength: parseInt(alg.slice(2)) / 8}, key,
      Buffer.from(s, 'base64url'), Buffer.from(text));
    console.log(alg, await verify(h + '.' + p), await verify(h + '.' + p + 'x'));
  }
})();`

// TestJWS signs tokens through the Signer and has Node's WebCrypto verify them.
func TestJWS(t *testing.T) {
	node := needtest.Program(t, "node", "nodejs")
	b64 := base64.RawURLEncoding.EncodeToString
	var input []map[string]any
	var want strings.Builder
	for _, p := range shapes(t) {
		jwk := map[string]string{"kty": "RSA", "n": b64(p.pub().N.Bytes()), "e": b64(big.NewInt(int64(p.pub().E)).Bytes())}
		for alg, opts := range map[string]crypto.SignerOpts{
			"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512,
			"PS256": &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash},
			"PS384": &rsa.PSSOptions{Hash: crypto.SHA384, SaltLength: rsa.PSSSaltLengthEqualsHash},
			"PS512": &rsa.PSSOptions{Hash: crypto.SHA512, SaltLength: rsa.PSSSaltLengthEqualsHash},
		} {
			token := b64(fmt.Appendf(nil, `{"alg":%q}`, alg)) + "." + b64([]byte(`{"sub":"alice"}`))
			h := opts.HashFunc().New()
			h.Write([]byte(token))
			sig, err := signer(t, p).Sign(rand.Reader, h.Sum(nil), opts)
			require.NoError(t, err)
			input = append(input, map[string]any{"jwk": jwk, "token": token + "." + b64(sig)})
			fmt.Fprintf(&want, "%s true false\n", alg)
		}
	}
	in, err := json.Marshal(input)
	require.NoError(t, err)
	cmd := exec.Command(node, "-e", verifyNode)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, want.String(), string(out))
}

// TestX509 makes a certificate request and a certificate with a split key.
func TestX509(t *testing.T) {
	for shape, p := range shapes(t) {
		for _, alg := range []x509.SignatureAlgorithm{x509.SHA256WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS} {
			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
				Subject: pkix.Name{CommonName: shape}, SignatureAlgorithm: alg,
			}, signer(t, p))
			require.NoError(t, err)
			csr, err := x509.ParseCertificateRequest(der)
			require.NoError(t, err)
			require.NoError(t, csr.CheckSignature(), "%s %v", shape, alg)
			require.Equal(t, alg, csr.SignatureAlgorithm)
		}
		certificate(t, p)
	}
}

func certificate(t *testing.T, p *pair) *x509.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tandem test"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.pub(), signer(t, p))
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.NoError(t, cert.CheckSignatureFrom(cert))
	return cert
}

// TestTLS: a TLS 1.3 handshake (RSA-PSS) and a TLS 1.2 one in which server and client
// both have split keys.
func TestTLS(t *testing.T) {
	for shape, p := range shapes(t) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cert := certificate(t, p)
			pool := x509.NewCertPool()
			pool.AddCert(cert)
			pair := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: signer(t, p)}
			a, b := net.Pipe()
			server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert,
				ClientCAs: pool, MinVersion: version, MaxVersion: version})
			client := tls.Client(b, &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "localhost"})
			done := make(chan error, 1)
			go func() {
				_, err := io.WriteString(server, "hello")
				server.Close()
				done <- err
			}()
			got, err := io.ReadAll(client)
			require.NoError(t, err, shape)
			require.NoError(t, <-done)
			require.Equal(t, "hello", string(got))
			require.Equal(t, version, client.ConnectionState().Version)
		}
	}
}

// TestVerify: Message.Verify accepts what crypto/rsa accepts, of exactly this message.
func TestVerify(t *testing.T) {
	for shape, p := range shapes(t) {
		for _, opts := range []crypto.SignerOpts{crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA256}} {
			digest := digestFor(crypto.SHA256, "x")
			m, err := p.final().Encode(digest, opts)
			require.NoError(t, err)
			y, err := p.client.SignPartial(m)
			require.NoError(t, err)
			sig, err := p.complete(ctx, m, y)
			require.NoError(t, err)
			require.NoError(t, m.Verify(sig), shape)
			other, err := p.final().Encode(digestFor(crypto.SHA256, "y"), opts)
			require.NoError(t, err)
			require.ErrorIs(t, other.Verify(sig), splitkey.ErrSignature)
			for _, bad := range [][]byte{nil, sig[1:], append([]byte{0}, sig...), append(sig[:len(sig)-1:len(sig)-1], sig[len(sig)-1]^1),
				make([]byte, len(sig)), p.pub().N.Bytes(), m.Bytes()} {
				require.ErrorIs(t, m.Verify(bad), splitkey.ErrSignature)
			}
		}
	}
	require.ErrorIs(t, (&splitkey.Message{}).Verify(nil), splitkey.ErrMessage)
}

// TestSigner: the adapter returns a copy of the key, refuses what it cannot sign, and
// verifies what a server returns.
func TestSigner(t *testing.T) {
	p := splitOf(t, splitkeytest.Key(2048), splitkey.Multiplicative, nil)
	digest := digestFor(crypto.SHA256, "x")
	s := signer(t, p)
	s.Public().(*rsa.PublicKey).N.SetInt64(1)
	_, err := s.Sign(nil, digest, crypto.SHA256)
	require.NoError(t, err)
	_, err = s.Sign(nil, digest, crypto.MD5)
	require.ErrorIs(t, err, splitkey.ErrMessage)
	_, err = (*splitkey.ClientShare)(nil).Signer(t.Context(), p.final(), p.complete).Sign(nil, digest, crypto.SHA256)
	require.ErrorIs(t, err, splitkey.ErrShare)
	_, err = p.client.Signer(t.Context(), p.final(), nil).Sign(nil, digest, crypto.SHA256)
	require.ErrorIs(t, err, splitkey.ErrShare)
	wrong, _, err := splitkey.Split(splitkeytest.Key(2048), splitkey.Multiplicative)
	require.NoError(t, err)
	_, err = wrong.Signer(t.Context(), p.final(), p.complete).Sign(nil, digest, crypto.SHA256)
	require.ErrorIs(t, err, splitkey.ErrPartial)
	liar := func(sig []byte) func(context.Context, *splitkey.Message, []byte) ([]byte, error) {
		return func(ctx context.Context, m *splitkey.Message, y []byte) ([]byte, error) { return sig, nil }
	}
	for _, sig := range [][]byte{nil, {}, make([]byte, 256), p.sign(t, digestFor(crypto.SHA256, "y"), crypto.SHA256)} {
		_, err = p.client.Signer(t.Context(), p.final(), liar(sig)).Sign(nil, digest, crypto.SHA256)
		require.ErrorIs(t, err, splitkey.ErrSignature)
	}
}

// TestVerifyTakesTheWholeNumber: where EM is a byte shorter than n (RFC 8017, section
// 9.1.1, step 3), the byte before it must be 0.
func TestVerifyTakesTheWholeNumber(t *testing.T) {
	client := splitkeytest.Key(2048)
	one, top := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 4096)
	other := splitkeytest.NamedKey(splitkeytest.Server, 2048)
	three := big.NewInt(3) // makes a modulus of 4097 bits
	n := new(big.Int).Mul(client.N, new(big.Int).Mul(other.N, three))
	require.Equal(t, 4097, n.BitLen())
	phi := new(big.Int).Sub(three, one)
	for _, prime := range append(client.Primes, other.Primes...) {
		phi.Mul(phi, new(big.Int).Sub(prime, one))
	}
	d := new(big.Int).ModInverse(big.NewInt(65537), phi)
	final, err := splitkey.CheckFinalKey(&rsa.PublicKey{N: n, E: 65537}, &client.PublicKey)
	if fips140.Enforced() { // which takes no modulus of an odd length
		require.ErrorIs(t, err, splitkey.ErrFIPS)
		return
	}
	require.NoError(t, err)
	sign := func(em *big.Int) []byte { return new(big.Int).Exp(em, d, n).FillBytes(make([]byte, 513)) }
	for {
		m, err := final.Encode(digestFor(crypto.SHA256, "x"), &rsa.PSSOptions{Hash: crypto.SHA256})
		require.NoError(t, err)
		em := new(big.Int).SetBytes(m.Bytes())
		sig := sign(em)
		require.NoError(t, m.Verify(sig))
		require.NoError(t, rsa.VerifyPSS(final.PublicKey(), crypto.SHA256, digestFor(crypto.SHA256, "x"), sig, nil))
		if em.Add(em, top); em.Cmp(n) < 0 {
			require.ErrorIs(t, m.Verify(sign(em)), splitkey.ErrSignature)
			return
		}
	}
}
