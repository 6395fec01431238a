package examples_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// signJWS signs a payload by RS256 or PS256 (RFC 7518, sections 3.3 and 3.5), in the
// compact form of RFC 7515.
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

// TestJWS: jose, the library of most services in Node, verifies RS256 and PS256 under the
// key of 4096 bits, and refuses a token with another payload.
func TestJWS(t *testing.T) {
	node := needtest.Program(t, "node", "nodejs")
	if _, err := os.Stat("testdata/jose/node_modules/jose"); err != nil {
		needtest.Need(t, "jose is missing: apt-get install nodejs npm, and npm ci --prefix examples/testdata/jose")
	}
	signer := newSigner(t.Context(), t.TempDir())
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	require.NoError(t, err)
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	verify := func(alg, token string) (string, error) {
		cmd := exec.CommandContext(t.Context(), node, "testdata/jose/verify.mjs", alg)
		in, err := json.Marshal(map[string]string{"key": public, "token": token})
		require.NoError(t, err)
		cmd.Stdin = strings.NewReader(string(in))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, alg := range []string{"RS256", "PS256"} {
		token, err := signJWS(signer, alg, map[string]string{"sub": "ann"})
		require.NoError(t, err)
		out, err := verify(alg, token)
		require.NoError(t, err, out)
		require.JSONEq(t, `{"sub":"ann"}`, out)
		part := strings.Split(token, ".")
		part[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"eve"}`))
		out, err = verify(alg, strings.Join(part, "."))
		require.Error(t, err, out)
		require.Contains(t, out, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED")
	}
}
