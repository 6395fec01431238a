package push

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Web sends by Web Push.
type Web struct {
	vapid  *vapid
	client *http.Client
}

var _ Sender = (*Web)(nil)

const (
	// life is how long a push service keeps a message for a browser that is not there, in
	// seconds: as long as a session.
	life = "120"
	// connectTime is how long a connection may take.
	connectTime = 5 * time.Second
	// connections is how many there are to one push service.
	connections = 16
	// minSecret is the least length of the service's secret in bytes.
	minSecret = 32
)

// NewWeb returns a Web. Its key follows from secret, which all nodes have, of 32 bytes or
// more. contact is where a push service finds who runs this one: an https or mailto URL;
// any other is left out. The error wraps ErrConfig; in FIPS 140-only mode, whose AES-GCM
// takes no nonce that another standard computes, also splitkey.ErrFIPS.
func NewWeb(secret []byte, contact string) (*Web, error) { return newWeb(secret, contact, public) }

func newWeb(secret []byte, contact string, may func(netip.Addr) bool) (*Web, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("%w: a secret of less than %d bytes", ErrConfig, minSecret)
	}
	if fips140.Enforced() {
		return nil, fmt.Errorf("%w: Web Push: %w", ErrConfig, splitkey.ErrFIPS)
	}
	key, err := vapidKey(secret)
	if err != nil {
		return nil, err
	}
	return &Web{&vapid{key, contact}, &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: connectTime, Control: dials(may)}).DialContext, TLSHandshakeTimeout: connectTime,
			ForceAttemptHTTP2: true, MaxConnsPerHost: connections, MaxIdleConns: 4 * connections, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// vapidKey is a key of P-256 that follows from a secret.
func vapidKey(secret []byte) (*ecdsa.PrivateKey, error) {
	for try := byte(0); ; try++ {
		scalar, err := hkdf.Key(sha256.New, secret, nil, "tandem web push 1 "+string([]byte{try}), 32)
		if err != nil {
			return nil, err
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
		clear(scalar)
		// One of 2^32 is no scalar: four such in a row do not happen.
		if err == nil || try == 3 {
			return key, err
		}
	}
}

// Format hides the key.
func (w Web) Format(f fmt.State, _ rune) { fmt.Fprint(f, "push.Web") }

// PublicKey is VAPID's: what browsers subscribe for, 65 bytes.
func (w *Web) PublicKey() []byte {
	if w == nil || w.vapid == nil {
		return nil
	}
	return w.vapid.public()
}

// webAddress is where a browser is.
type webAddress struct {
	endpoint *url.URL
	public   *ecdh.PublicKey
	auth     []byte
}

// parseAddress reads the JSON of a PushSubscription.
func parseAddress(text string) (a webAddress, err error) {
	bad := func(why string) (webAddress, error) { return webAddress{}, fmt.Errorf("%w: %s", ErrAddress, why) }
	var in struct {
		Endpoint string `json:"endpoint"`
		Keys     struct {
			P256dh string `json:"p256dh"`
			Auth   string `json:"auth"`
		} `json:"keys"`
	}
	if len(text) > maxAddress || json.Unmarshal([]byte(text), &in) != nil {
		return bad("not the JSON of a subscription")
	}
	if a.endpoint, err = url.Parse(in.Endpoint); err != nil {
		return bad("the endpoint is no URL")
	}
	u := a.endpoint
	_, noName := netip.ParseAddr(u.Hostname())
	switch {
	case u.Scheme != "https" || u.Opaque != "" || u.User != nil || u.Fragment != "" || u.Port() != "" && u.Port() != "443":
		return bad("the endpoint is not https at port 443")
	case noName == nil || !strings.Contains(strings.Trim(u.Hostname(), "."), "."):
		return bad("the endpoint has no host with a name")
	}
	point, err := base64.RawURLEncoding.Strict().DecodeString(in.Keys.P256dh)
	if err != nil {
		return bad("p256dh is not base64url")
	}
	if a.public, err = ecdh.P256().NewPublicKey(point); err != nil {
		return bad("p256dh is no point of P-256")
	}
	if a.auth, err = base64.RawURLEncoding.Strict().DecodeString(in.Keys.Auth); err != nil || len(a.auth) != authSize {
		return bad("auth does not have 16 bytes")
	}
	return a, nil
}

// Check refuses what is no subscription of a browser, or may not be sent to. The error
// wraps ErrAddress.
func (w *Web) Check(address string) error {
	_, err := parseAddress(address)
	return err
}

// Send implements [Sender].
func (w *Web) Send(ctx context.Context, address string) error {
	if w == nil || w.client == nil || ctx == nil {
		return fmt.Errorf("%w: not made by NewWeb, or no context", ErrConfig)
	}
	a, err := parseAddress(address)
	if err != nil {
		return err
	}
	body, err := encrypt([]byte(devicewire.Look), a.public, a.auth)
	if err != nil {
		return err
	}
	authorization, err := w.vapid.authorization(a.endpoint, time.Now())
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: the endpoint", ErrAddress)
	}
	for name, value := range map[string]string{
		"Authorization": authorization, "Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream",
		"TTL": life, "Urgency": "high", "Topic": devicewire.Look, "User-Agent": "tandem",
	} {
		r.Header.Set(name, value)
	}
	answer, err := w.client.Do(r)
	if err != nil {
		// A *url.Error has the endpoint, which is a capability.
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("push: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10) // so that the connection can be used again
	switch status := answer.StatusCode; {
	case status >= 200 && status <= 299:
		return nil
	case status == http.StatusNotFound || status == http.StatusGone:
		return ErrGone
	default:
		return fmt.Errorf("push: the push service says %d", status)
	}
}
