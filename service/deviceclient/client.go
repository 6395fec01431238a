package deviceclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
)

// Codes of an [Error], by which an app decides.
const (
	CodeUnauthorized = devicewire.Unauthorized // nobody's token: the account was never opened
	CodeEnded        = devicewire.Ended        // the account has ended
	CodeNotFound     = devicewire.NotFound     // no such session, or not for this account
	CodeNoSuchCode   = devicewire.NoCode       // of an enrolment: used, outdated, or mistyped
	CodeNotApproved  = devicewire.NotApproved  // the old phone has not yet approved this one
	CodeUnconfirmed  = devicewire.Unconfirmed  // a key is not confirmed
	CodeGone         = devicewire.Gone         // the session has ended
	CodeWrongCode    = devicewire.WrongCode    // another one of the three codes
	CodeWrongAccount = devicewire.WrongAccount // a device link for somebody else
	CodeWrongLink    = devicewire.WrongLink    // not a device link of this service
	CodeOutdated     = devicewire.Outdated     // not the QR code of now
	CodeUnusable     = devicewire.Unusable     // this account cannot answer: EndResult says why
	CodeLater        = devicewire.Later        // too often: RetryAfter says when
	CodeInvalid      = devicewire.Invalid      // a defect of the app, or what the person typed
)

// Error is an answer of the service in place of what was asked for.
type Error struct {
	Status     int
	Code       string // one of the constants, or another
	Detail     string
	EndResult  string // of CodeUnusable, in the words of version 3 of the relying-party API
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	if e == nil {
		return "deviceclient: nil Error"
	}
	s := "deviceclient: the service answers: " + e.Code
	for _, more := range []string{e.EndResult, e.Detail} {
		if more != "" {
			s += ": " + more
		}
	}
	return s
}

// Is reports whether an error is an [*Error] with a code.
func Is(err error, code string) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// ErrResponse is returned for what is no answer of the service: something on the way said
// it.
var ErrResponse = errors.New("deviceclient: not an answer of the service")

// maxAnswer is the most bytes of an answer: a history, or a response to sign.
const maxAnswer = 1 << 20

// client calls the service.
type client struct {
	base  string
	http  http.Client
	token secret.Bytes
}

// local reports whether a host is this machine, to which a connection need not be
// encrypted.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkURL(base string) error {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return fmt.Errorf("%w: URL: %w", ErrConfig, err)
	case u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !local(u.Hostname())) || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%w: the URL is not https", ErrConfig)
	}
	return nil
}

// call makes one request. in is nil for a GET or DELETE.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+string(c.token.Get()))
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxAnswer || response.Header.Get("Content-Type") != "application/json":
		return fmt.Errorf("%w: status %d", ErrResponse, response.StatusCode)
	case response.StatusCode != http.StatusOK:
		var e devicewire.Error
		if json.Unmarshal(text, &e) != nil || e.Code == "" {
			return fmt.Errorf("%w: status %d", ErrResponse, response.StatusCode)
		}
		detail := e.Detail
		if e.Pointer != "" {
			detail = e.Pointer + " " + detail
		}
		return &Error{response.StatusCode, e.Code, detail, e.EndResult, time.Duration(min(max(e.RetryAfter, 0), 3600)) * time.Second}
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%w: %w", ErrResponse, err)
	}
	return nil
}

func (c *client) post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, in, out)
}

type nothing struct{}
