package deviceapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/protocol/httphandler"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/strictjson"
	"github.com/tandem-rsa/tandem/service/transactions"
)

// ErrConfig is returned by [NewHandler] for a configuration that cannot work.
var ErrConfig = errors.New("deviceapi: unusable configuration")

// Config is what [NewHandler] makes a Handler of.
type Config struct {
	Engine   *transactions.Engine // required
	Accounts *accounts.Accounts   // required
	Server   *server.Server       // of the protocol; required

	// Source returns the address that a request is from: the client's, behind whatever
	// proxies are trusted. nil is the other end of the connection.
	Source func(*http.Request) netip.Addr

	// Waiters is how many polls may wait at once; whoever comes beyond that is answered
	// at once. 0 is 10,000.
	Waiters int

	// Streams is how many streams of events may be open at once, one of an account;
	// whoever comes beyond that is refused, and may poll. 0 is 10,000.
	Streams int

	// KeepAlive is how often a stream says that it is there; 0 is 25 s.
	KeepAlive time.Duration

	// Subscriptions are those by which phones are woken, such as a [*push.Push]. nil is
	// none.
	Subscriptions Subscriptions

	Log *slog.Logger // slog.Default() if nil: what fails in the service
}

// Subscriptions is what a Handler needs of a [*push.Push].
type Subscriptions interface {
	Subscribe(ctx context.Context, d identity.Document, kind, address string) error
	Unsubscribe(ctx context.Context, d identity.Document) error
}

const (
	contentType      = "application/json"
	defaultWaiters   = 10_000
	defaultStreams   = 10_000
	defaultKeepAlive = 25 * time.Second
	// readTimeout is how long a body may take, and writeTimeout an answer.
	readTimeout, writeTimeout = 15 * time.Second, 15 * time.Second
)

// Handler answers phones. It is safe for concurrent use.
type Handler struct {
	config  Config
	message http.Handler
	waiters chan struct{}
	streams streams
	closed  context.Context
	close   context.CancelFunc
}

// NewHandler returns a handler of the paths below the prefix that the caller strips
// (http.StripPrefix). The error wraps ErrConfig.
func NewHandler(c Config) (*Handler, error) {
	if c.Engine == nil || c.Accounts == nil || c.Server == nil || c.Waiters < 0 || c.Streams < 0 || c.KeepAlive < 0 {
		return nil, fmt.Errorf("%w: a part is missing", ErrConfig)
	}
	if c.Source == nil {
		c.Source = remote
	}
	if c.Waiters == 0 {
		c.Waiters = defaultWaiters
	}
	if c.Streams == 0 {
		c.Streams = defaultStreams
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = defaultKeepAlive
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	message, err := httphandler.NewHandler(c.Server, httphandler.Options{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	h := &Handler{config: c, message: message, waiters: make(chan struct{}, c.Waiters), streams: streams{most: c.Streams}}
	h.closed, h.close = context.WithCancel(context.Background())
	return h, nil
}

// Close has all that wait answered, now and from now on at once: an http.Server that is
// shut down waits for its answers.
func (h *Handler) Close() {
	if h != nil && h.close != nil {
		h.close()
	}
}

func remote(r *http.Request) netip.Addr {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap()
}

// call is one request.
type call struct {
	*Handler
	ctx     context.Context // with what the service wants to know of the request
	http    *http.Request
	source  netip.Addr
	token   string
	account accounts.Account
	body    *strictjson.Object
}

// route is what one method and path do.
type route struct {
	do func(*call) (any, error)
	// anybody says that the token need not be an account's.
	anybody bool
	// ended says that the account may have ended.
	ended bool
}

var routes = map[string]map[string]route{
	devicewire.EnrolBegin:    {http.MethodPost: {do: (*call).enrolBegin, anybody: true}},
	devicewire.EnrolAsk:      {http.MethodPost: {do: (*call).enrolAsk, anybody: true}},
	devicewire.EnrolContinue: {http.MethodPost: {do: (*call).enrolContinue, anybody: true}},
	devicewire.EnrolFinish:   {http.MethodPost: {do: (*call).enrolFinish, anybody: true}},
	devicewire.Account:       {http.MethodGet: {do: (*call).readAccount, ended: true}, http.MethodDelete: {do: (*call).deleteAccount, ended: true}},
	devicewire.History:       {http.MethodPost: {do: (*call).readHistory}},
	devicewire.NewPhone:      {http.MethodPost: {do: (*call).newPhone}},
	devicewire.Approve:       {http.MethodPost: {do: (*call).approve}},
	devicewire.Poll:          {http.MethodPost: {do: (*call).poll}},
	devicewire.Claim:         {http.MethodPost: {do: (*call).claim}},
	devicewire.Choice:        {http.MethodPost: {do: (*call).choose}},
	devicewire.Sign:          {http.MethodPost: {do: (*call).sign}},
	devicewire.Refuse:        {http.MethodPost: {do: (*call).refuse}},
	devicewire.Challenge:     {http.MethodPost: {do: (*call).challenge}},
	devicewire.Events:        {http.MethodGet: {do: (*call).listen}},
	devicewire.Push:          {http.MethodPost: {do: (*call).subscribe}},
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h == nil || h.config.Engine == nil {
		http.Error(w, "no handler", http.StatusInternalServerError)
		return
	}
	id := rand.Text()
	c := &call{Handler: h, http: r, source: h.config.Source(r)}
	c.ctx = accounts.WithSource(observe.WithRequestID(r.Context(), id), address(c.source))
	if r.URL.Path == devicewire.Message {
		h.message.ServeHTTP(w, r.WithContext(c.ctx))
		return
	}
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetReadDeadline(time.Now().Add(readTimeout))
	answer, err := c.answer()
	if s, ok := answer.(*stream); ok {
		s.serve(w, deadlines)
		return
	}
	status := http.StatusOK
	if err != nil {
		e := problemOf(err)
		status, answer = e.status, e.body
		if status == http.StatusInternalServerError && r.Context().Err() == nil {
			h.config.Log.LogAttrs(c.ctx, slog.LevelError, "a phone's request failed", slog.String("request", id), slog.String("path", r.URL.Path),
				slog.String("document", documentText(c.account)), slog.Any("error", err))
		}
		if e.body.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.FormatInt(e.body.RetryAfter, 10))
		}
	}
	text, err := json.Marshal(answer)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"internal"}`)
	}
	// A client that does not read ends here. net/http lifts the deadline afterwards.
	_ = deadlines.SetWriteDeadline(time.Now().Add(writeTimeout))
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	if status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // whoever does not hear it asks again
}

func documentText(a accounts.Account) string {
	if a.Document.Check() != nil {
		return ""
	}
	return a.Document.String()
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// answer finds the route, then the account, then reads the body: in the order of what it
// costs.
func (c *call) answer() (any, error) {
	methods, ok := routes[c.http.URL.Path]
	if !ok {
		return nil, noSuchPath
	}
	r, ok := methods[c.http.Method]
	if !ok {
		return nil, &problem{http.StatusMethodNotAllowed, devicewire.Error{Code: devicewire.Method}}
	}
	if c.http.Method == http.MethodPost {
		switch {
		case c.http.Header.Get("Content-Type") != contentType || c.http.Header.Get("Content-Encoding") != "":
			return nil, &problem{http.StatusUnsupportedMediaType, devicewire.Error{Code: devicewire.MediaType}}
		case c.http.ContentLength > strictjson.MaxBytes:
			return nil, tooLarge
		}
	}
	token, ok := strings.CutPrefix(c.http.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, unauthorized
	}
	c.token = token
	if !r.anybody {
		var err error
		c.account, err = c.config.Accounts.ByToken(c.ctx, token)
		switch {
		case errors.Is(err, accounts.ErrNotFound):
			return nil, unauthorized
		case err != nil && !(r.ended && errors.Is(err, accounts.ErrEnded)):
			return nil, err
		}
	}
	if c.http.Method == http.MethodPost {
		body, err := io.ReadAll(io.LimitReader(c.http.Body, strictjson.MaxBytes+1))
		switch {
		case err != nil:
			return nil, &problem{http.StatusBadRequest, devicewire.Error{Code: devicewire.Invalid, Detail: "the body did not come"}}
		case len(body) > strictjson.MaxBytes:
			return nil, tooLarge
		}
		if c.body, err = strictjson.Parse(body); err != nil {
			return nil, err
		}
	}
	return r.do(c)
}
