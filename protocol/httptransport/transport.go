// Package httptransport carries a phone's requests to its server over HTTP.
// [NewTransport] is all that a phone needs; package protocol/httphandler is the other
// end. They are two packages so that a phone's program does not carry the server.
//
// docs/protocol.md, section 16, says what travels, for another implementation.
//
// # Security
//
// The bytes are encrypted and authenticated end to end before they come here. TLS is
// needed all the same: it hides key ids. So a URL must be https, except for this machine.
// Lengths and times are visible through TLS: see [device.Transport].
package httptransport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
)

const mediaType = "application/octet-stream"

// patience is how long the client of a phone that brought none waits for an answer: a
// server that has no server key in stock makes one first.
const patience = time.Minute

// maxRetryAfter bounds what a server can ask for.
const maxRetryAfter = time.Hour

// ErrResponse is returned for what is no answer of a server of tandem: the wrong media
// type, an encoding, or more than [protocol.MaxResponse] bytes. A proxy or a portal on
// the way says such things.
var ErrResponse = errors.New("httptransport: not a response of the server")

// StatusError is returned for every status but 200.
//
// 403 is the server's refusal: it does not answer this request, and sending it again will
// not help unless the server itself was at fault. 503 is for later. All others, redirects
// among them, come from something on the way, or from a URL that is wrong. RetryAfter is
// an hour at most, whatever was said.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0 if nothing was said of it
}

func (e *StatusError) Error() string {
	if e == nil {
		return "httptransport: nil StatusError"
	}
	return fmt.Sprintf("httptransport: HTTP status %d", e.Status)
}

// NewTransport returns a transport that POSTs each request to a URL. The error wraps
// [protocol.ErrConfig]: for a URL that is not https, unless its host is localhost or a
// loopback address.
//
// The client is used as it is (its TLS, its proxies, its timeout), but for two things: it
// follows no redirect, since that would send the request to somebody else, or as a GET;
// and it keeps no cookies. nil means [http.DefaultTransport] and a minute for each
// request.
//
// A request is sent once. net/http sends a POST again only where a connection that was
// open already broke before any of it was written, or where an HTTP/2 server said that it
// did not look at it. Whether to send it again otherwise is the device's decision: after
// any error the request may have reached the server, and it stays pending. device.Device
// wraps the error with [device.ErrUnanswered], under which errors.As finds a
// [*StatusError].
func NewTransport(address string, client *http.Client) (device.Transport, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: URL: %w", protocol.ErrConfig, err)
	case u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !local(u.Hostname())):
		return nil, fmt.Errorf("%w: URL %q, want https", protocol.ErrConfig, address)
	}
	own := http.Client{Timeout: patience}
	if client != nil {
		own = *client
	}
	own.Jar = nil
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, request []byte) ([]byte, error) {
		if ctx == nil {
			return nil, fmt.Errorf("%w: no context", protocol.ErrConfig)
		}
		return post(ctx, &own, address, request)
	}, nil
}

// local reports whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func post(ctx context.Context, client *http.Client, address string, request []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", mediaType)
	r.Header.Set("Accept", mediaType)
	r.Header.Set("Accept-Encoding", "identity") // what is encrypted does not get shorter
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &StatusError{response.StatusCode, retryAfter(response.Header.Get("Retry-After"))}
	}
	if t := response.Header.Get("Content-Type"); t != mediaType {
		return nil, fmt.Errorf("%w: of type %q", ErrResponse, t)
	}
	if e := response.Header.Get("Content-Encoding"); e != "" {
		return nil, fmt.Errorf("%w: encoded as %q", ErrResponse, e)
	}
	if response.ContentLength > protocol.MaxResponse {
		return nil, fmt.Errorf("%w: %d bytes", ErrResponse, response.ContentLength)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, protocol.MaxResponse+1))
	if err != nil {
		return nil, err
	}
	if len(body) > protocol.MaxResponse {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrResponse, protocol.MaxResponse)
	}
	return body, nil
}

// retryAfter reads a number of seconds (RFC 9110, section 10.2.3), and takes anything
// else, a date included, for nothing.
func retryAfter(text string) time.Duration {
	seconds, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}
