package rphttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/openapi"
	"github.com/tandem-rsa/tandem/service/rp/rpv2"
	"github.com/tandem-rsa/tandem/service/rp/rpv3"
)

// retryAfter is in seconds: how long those wait who came when too many did.
const retryAfter = "2"

// clientGone is the status in the log of an answer that nobody waited for.
const clientGone = 499

// call is one request on its way.
type call struct {
	route
	source rp.Source
	from   netip.Prefix // what counts as its source

	// For the log, once they are known.
	relyingParty, session string
}

// answer is what leaves.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isnil.Value(w) || r == nil || r.URL == nil:
		return
	case !h.made():
		http.Error(w, "rphttp: a Handler that NewHandler did not make", http.StatusInternalServerError)
		return
	}
	began := time.Now()
	c := &call{route: h.routes.find(r.URL.EscapedPath())}
	var byProxy bool
	c.source, byProxy = h.source(r)
	c.from = network(c.source.Address)
	id := h.requestID(r, byProxy)
	ctx := observe.WithRequestID(r.Context(), id)

	a, err := h.answer(ctx, c, w, r)
	if err != nil {
		a = c.problem(err)
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		a.status = clientGone
	} else {
		h.write(w, r, c, id, a)
	}
	h.report(ctx, c, r, id, a.status, time.Since(began), err)
}

// answer finds the answer to a request. What can be refused is refused before it costs.
func (h *Handler) answer(ctx context.Context, c *call, w http.ResponseWriter, r *http.Request) (answer, error) {
	switch {
	case !h.sources.allow(c.from, time.Now()):
		return answer{}, &rp.Problem{Kind: rp.TooManyRequests, Detail: "too many requests from this address"}
	case c.pattern == "":
		return answer{}, &rp.Problem{Kind: rp.NotFound, Detail: "no such path"}
	case r.Method != c.method:
		return answer{}, &rp.Problem{Kind: rp.NotAllowed, Detail: "the method is not " + c.method}
	case c.pattern == openapiPath:
		return answer{http.StatusOK, "application/yaml", openapi.YAML()}, nil
	case slices.Contains(h.options.Retired, c.version):
		return answer{}, &rp.Problem{Kind: rp.ClientTooOld, Detail: "this version is no longer served"}
	case c.parse == nil:
		return h.status(ctx, c, r)
	case h.maintenance.Load():
		return answer{}, &rp.Problem{Kind: rp.Maintenance, Detail: "the service is under maintenance"}
	}
	body, err := h.body(c, w, r)
	if err != nil {
		return answer{}, err
	}
	select {
	case h.working <- struct{}{}:
		defer func() { <-h.working }()
	default:
		return answer{}, busy()
	}
	request, err := c.parse(body, c.values)
	if err != nil {
		return answer{}, err
	}
	c.relyingParty = request.RelyingPartyUUID
	if request.Kind == rp.Certificate {
		outcome, err := h.engine.Certificate(ctx, *request, c.source)
		if err != nil {
			return answer{}, err
		}
		return c.ok(rpv3.Certificate(outcome))
	}
	session, err := h.engine.Begin(ctx, *request, c.source)
	if err != nil {
		return answer{}, err
	}
	c.session = session.ID
	if c.version == rp.V3 {
		return c.ok(rpv3.Created(session))
	}
	return c.ok(rpv2.Created(session.ID))
}

func busy() error { return &rp.Problem{Kind: rp.Busy, Detail: "too many requests at once"} }

func (c *call) ok(body []byte, err error) (answer, error) {
	return answer{http.StatusOK, jsonType, body}, err
}

// problem returns the answer that has an error, in the form of the path's version. Where
// the path has none, it is that of version 2.
func (c *call) problem(err error) answer {
	if c.version == rp.V3 {
		status, body := rpv3.Problem(err)
		return answer{status, rpv3.ProblemType, body}
	}
	status, body := rpv2.Problem(max(c.version, rp.V1), err)
	return answer{status, rpv2.ContentType, body}
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, c *call, id string, a answer) {
	// A client that does not read ends here. net/http lifts the deadline afterwards.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.options.WriteTimeout))
	header := w.Header()
	header.Set("X-Request-Id", id)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Type", a.contentType)
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	switch a.status {
	case http.StatusMethodNotAllowed:
		header.Set("Allow", c.method)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header.Set("Retry-After", retryAfter)
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge:
		if r.ProtoMajor == 1 {
			header.Set("Connection", "close") // else net/http waits for the rest of the body
		}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // whoever does not hear it asks again
}

// report writes the line of a request. It has nothing that names a person: no path, no
// body, and of a problem no more than its kind.
func (h *Handler) report(ctx context.Context, c *call, r *http.Request, id string, status int, took time.Duration, err error) {
	if h.options.Observe != nil {
		h.options.Observe(Answered{c.version, c.pattern, status, took})
	}
	attrs := []slog.Attr{
		slog.String("request", id), slog.Int("version", int(c.version)), slog.String("endpoint", c.pattern), slog.String("method", method(r.Method)),
		slog.Int("status", status), slog.Duration("took", took), slog.String("source", c.source.Address.String()),
	}
	if c.relyingParty != "" {
		attrs = append(attrs, slog.String("rp", c.relyingParty))
	}
	if c.session != "" {
		attrs = append(attrs, slog.String("session", c.session))
	}
	level := slog.LevelInfo
	if p := (*rp.Problem)(nil); err != nil && !errors.As(err, &p) && status != clientGone {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	h.options.Log.LogAttrs(ctx, level, "relying-party request", attrs...)
}

// method returns a method that HTTP knows, so that strangers do not fill the log with
// others.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}
