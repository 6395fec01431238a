package notices

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
)

// Webhook posts each notice as JSON to the operator's own system:
//
//	POST URL
//	Content-Type: application/json
//	Tandem-Time: 1803859200
//	Tandem-Signature: HMAC-SHA256 of time, full stop and body, in hexadecimal digits
//
//	{"id": "...", "kind": "key locked", ...}
//
// The receiver compares the signature, refuses a time that is minutes old, and knows by
// the id what it has had before. Any status from 200 to 299 says that it has the
// notice. It is not followed elsewhere.
type Webhook struct {
	url    string
	secret secret.Bytes
	client *http.Client
}

var _ Sender = (*Webhook)(nil)

// NewWebhook returns a Webhook. key is what the receiver knows too, of 32 bytes or
// more. The URL is https, but on this machine. transport is http.DefaultTransport if
// nil. The error is ErrConfig.
func NewWebhook(address string, key []byte, transport http.RoundTripper) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !local(u.Hostname())) {
		return nil, fmt.Errorf("%w: the URL of a webhook", ErrConfig)
	}
	if len(key) < 32 {
		return nil, fmt.Errorf("%w: the secret of a webhook has less than 32 bytes", ErrConfig)
	}
	return &Webhook{address, secret.Copy(key), &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Format hides the secret.
func (w Webhook) Format(f fmt.State, _ rune) { fmt.Fprint(f, "notices.Webhook") }

// Send implements [Sender].
func (w *Webhook) Send(ctx context.Context, n Notice) error {
	if w == nil || w.client == nil || ctx == nil {
		return fmt.Errorf("%w: not made by NewWebhook, or no context", ErrConfig)
	}
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUndeliverable, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("notices: webhook: %w", err)
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	h := hmac.New(sha256.New, w.secret.Get())
	h.Write([]byte(at + "."))
	h.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Tandem-Time", at)
	r.Header.Set("Tandem-Signature", hex.EncodeToString(h.Sum(nil)))
	response, err := w.client.Do(r)
	if err != nil {
		// A *url.Error has the URL, which may have a secret of its own.
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("notices: webhook: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("notices: webhook: status %d", response.StatusCode)
	}
	return nil
}
