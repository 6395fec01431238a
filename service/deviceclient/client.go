package deviceclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
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

// ErrConnection wraps the errors of a [Fetch]: whether the service was asked, nobody
// knows.
var ErrConnection = errors.New("deviceclient: no answer")

// maxAnswer is the most bytes of an answer: a history, or a response to sign.
const maxAnswer = 1 << 20

const (
	jsonType    = "application/json"
	messageType = "application/octet-stream"
)

// client calls the service.
type client struct {
	base   string
	fetch  Fetch
	stream Stream
	token  secret.Bytes
}

// local reports whether a host is this machine, to which a connection need not be
// encrypted.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
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
	r := Request{Method: method, URL: c.base + path, Token: string(c.token.Get()), Most: maxAnswer}
	if in != nil {
		var err error
		if r.Body, err = json.Marshal(in); err != nil {
			return err
		}
		r.MediaType = jsonType
	}
	answer, err := c.ask(ctx, r, jsonType)
	switch {
	case err != nil:
		return err
	case answer.Status != ok:
		return refusal(answer)
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return fmt.Errorf("%w: %w", ErrResponse, err)
	}
	return nil
}

const ok = 200

// ask makes a request whose answer is of a type.
func (c *client) ask(ctx context.Context, r Request, mediaType string) (*Response, error) {
	answer, err := c.fetch(ctx, r)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrConnection, err)
	case answer == nil || len(answer.Body) > r.Most || answer.MediaType != mediaType:
		status := 0
		if answer != nil {
			status = answer.Status
		}
		return nil, fmt.Errorf("%w: status %d", ErrResponse, status)
	}
	return answer, nil
}

// message carries a request of protocol/device: bytes that are encrypted end to end.
func (c *client) message(ctx context.Context, request []byte) ([]byte, error) {
	answer, err := c.ask(ctx, Request{Method: "POST", URL: c.base + devicewire.Message, MediaType: messageType, Body: request, Most: protocol.MaxResponse}, messageType)
	if err == nil && answer.Status != ok {
		err = fmt.Errorf("%w: status %d", ErrResponse, answer.Status)
	}
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

func (c *client) post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, "POST", path, in, out)
}

type nothing struct{}
