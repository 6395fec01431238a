// Package httphandler answers devices' requests over HTTP. [NewHandler] puts a
// [server.Server] behind an [http.Handler]; package protocol/httptransport is the phone's
// end.
//
//	mux.Handle("/device", handler) // without a method: the handler refuses the others
//
// docs/protocol.md, section 16, says what travels, and docs/operating.md how to set up
// the http.Server and proxies around it.
//
// # Security
//
// Whoever does not hold the K_dev of the key that he names gets one refusal, whatever he
// sends: status 403, no body, the same headers byte for byte, and on HTTP/1 the end of
// the connection. That holds for what the server refuses and for what never gets there:
// other methods and media types, bodies that are too long, too slow, or cut off. Only
// HTTP itself tells requests apart: see section 16.
//
// Nothing of a request is read before its headers say that it can be one, and no more
// than [protocol.MaxRequest] bytes in any case.
package httphandler

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

const (
	mediaType = "application/octet-stream"

	// retryAfter is in seconds: how long those wait who came when too many did.
	retryAfter = "2"

	defaultTimeout    = 15 * time.Second
	defaultConcurrent = 1024
)

// Options may be left out, each by itself.
type Options struct {
	// ReadTimeout is how long the body of a request may take, and WriteTimeout the
	// answer, to a client that is slow or does not read. 0 means 15 seconds. They hold
	// whatever the http.Server around the handler says.
	ReadTimeout, WriteTimeout time.Duration

	// Concurrent is how many requests are worked on at once. Whoever comes beyond that is
	// told so, by status 503 and Retry-After, whoever he is and whatever he sent. 0 means
	// 1024.
	Concurrent int

	// RequestIDHeader, if not empty, is the header in which a proxy in front names each
	// request, in 1 to 64 letters, digits, and ".", "_" and "-". The proxy must set it,
	// and drop what clients send. Else, and for any other value, the handler draws an id.
	// It is in the log of the server, and in no answer.
	RequestIDHeader string
}

type handler struct {
	server  *server.Server
	options Options
	working chan struct{} // one for each request at work
}

// NewHandler returns a handler that answers devices' requests on whatever path it is
// mounted. The context of each request goes to the server, and so to the store and to the
// service's own functions: it ends when the client hangs up. The error wraps
// [protocol.ErrConfig].
//
// Where the ResponseWriter has no deadlines, as behind a middleware without Unwrap, every
// request is refused: see [http.ResponseController].
func NewHandler(s *server.Server, options Options) (http.Handler, error) {
	if s == nil || s.HPKEKey() == nil {
		return nil, fmt.Errorf("%w: no server", protocol.ErrConfig)
	}
	if options.ReadTimeout < 0 || options.WriteTimeout < 0 || options.Concurrent < 0 {
		return nil, fmt.Errorf("%w: a negative option", protocol.ErrConfig)
	}
	if options.ReadTimeout == 0 {
		options.ReadTimeout = defaultTimeout
	}
	if options.WriteTimeout == 0 {
		options.WriteTimeout = defaultTimeout
	}
	if options.Concurrent == 0 {
		options.Concurrent = defaultConcurrent
	}
	return &handler{s, options, make(chan struct{}, options.Concurrent)}, nil
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := observe.WithRequestID(r.Context(), h.requestID(r))
	deadlines := http.NewResponseController(w)
	status, response := h.answer(ctx, deadlines, r)
	// A client that does not read ends here. net/http lifts the deadline afterwards.
	_ = deadlines.SetWriteDeadline(time.Now().Add(h.options.WriteTimeout))
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(len(response)))
	switch {
	case status == http.StatusOK:
		header.Set("Content-Type", mediaType)
	case r.ProtoMajor == 1:
		// net/http closes a connection by itself where much of a body is unread, or none
		// of it was asked for. So all are closed, and a refusal does not tell.
		header.Set("Connection", "close")
	}
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = w.Write(response) // whoever does not hear it asks again
}

// answer returns the status, and the response if that is 200.
func (h *handler) answer(ctx context.Context, deadlines *http.ResponseController, r *http.Request) (int, []byte) {
	request, cause := h.read(deadlines, r)
	if cause != "" {
		_ = h.server.Refuse(ctx, cause)
		return http.StatusForbidden, nil
	}
	select {
	case h.working <- struct{}{}:
		defer func() { <-h.working }()
	default:
		_ = h.server.Refuse(ctx, "too many at once")
		return http.StatusServiceUnavailable, nil
	}
	response, err := h.server.Handle(ctx, request)
	if err != nil {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, response
}

// read returns the body of a request that can be a device's, or why it is none.
func (h *handler) read(deadlines *http.ResponseController, r *http.Request) (body []byte, cause string) {
	// It holds for a body that is refused unread, too: net/http waits for its end. Once
	// the body was read net/http lifts it.
	if deadlines.SetReadDeadline(time.Now().Add(h.options.ReadTimeout)) != nil {
		return nil, "no deadlines"
	}
	switch {
	case r.Method != http.MethodPost:
		return nil, "method"
	case r.Header.Get("Content-Type") != mediaType || r.Header.Get("Content-Encoding") != "":
		return nil, "media type"
	case r.ContentLength > protocol.MaxRequest:
		return nil, "too long"
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, protocol.MaxRequest+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, "too slow"
	case err != nil:
		return nil, "cut off"
	case len(body) > protocol.MaxRequest:
		return nil, "too long"
	}
	return body, ""
}

// requestID returns the proxy's name for a request, or draws one.
func (h *handler) requestID(r *http.Request) string {
	if h.options.RequestIDHeader != "" {
		if id := r.Header.Get(h.options.RequestIDHeader); plain(id) {
			return id
		}
	}
	return rand.Text()
}

// plain reports whether an id can stand in a log.
func plain(id string) bool {
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= 64
}
