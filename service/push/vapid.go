package push

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// vapid says to a push service who sends: RFC 8292, a JWT (RFC 7519) signed with ES256
// (RFC 7518, section 3.4).
type vapid struct {
	key     *ecdsa.PrivateKey
	contact string
}

// tokenLife is less than the day that RFC 8292 allows.
const tokenLife = 12 * time.Hour

func (v *vapid) public() []byte {
	b, err := v.key.PublicKey.Bytes()
	if err != nil {
		return nil // not of a key that vapidKey made
	}
	return b
}

// authorization is the header's value for a push service.
func (v *vapid) authorization(endpoint *url.URL, now time.Time) (string, error) {
	claims := map[string]any{"aud": endpoint.Scheme + "://" + endpoint.Host, "exp": now.Add(tokenLife).Unix()}
	if strings.HasPrefix(v.contact, "https:") || strings.HasPrefix(v.contact, "mailto:") {
		claims["sub"] = v.contact
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + encode(text)
	digest := sha256.Sum256([]byte(signed))
	der, err := ecdsa.SignASN1(rand.Reader, v.key, digest[:])
	if err != nil {
		return "", err
	}
	signature, err := rawSignature(der)
	if err != nil {
		return "", err
	}
	return "vapid t=" + signed + "." + encode(signature) + ", k=" + encode(v.public()), nil
}

// rawSignature is r and s of a signature, of 32 bytes each.
func rawSignature(der []byte) ([]byte, error) {
	var inner cryptobyte.String
	var r, s []byte
	in := cryptobyte.String(der)
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || len(r) > 32 || len(s) > 32 {
		return nil, errors.New("push: not a signature of P-256")
	}
	out := make([]byte, 64)
	copy(out[32-len(r):], r)
	copy(out[64-len(s):], s)
	return out, nil
}
