package rphttp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
	"github.com/tandem-rsa/tandem/service/rp/openapi"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
	"github.com/tandem-rsa/tandem/service/rp/rpv2"
	"github.com/tandem-rsa/tandem/service/rp/rpv3"
)

const (
	base   = "/smart-id-rp"
	uuid   = "00000000-0000-4000-8000-000000000000"
	person = "PNOEE-40504040001"
	number = "PNOEE-40504040001-7TRE-Q"
)

// book is an engine that has sessions in memory, whose ends the test writes.
type book struct {
	problem error // in place of an answer, if not nil

	mu       sync.Mutex
	sessions map[string]*entry
	requests []rp.Request
	sources  []rp.Source
	waits    chan time.Duration // what Status was asked to wait, if anybody listens
	left     chan error         // the error of each wait that a context ended
}

type entry struct {
	request rp.Request
	outcome *rp.Outcome
	ended   chan struct{}
}

var _ rphttp.Engine = (*book)(nil)

func newBook() *book {
	return &book{sessions: map[string]*entry{}, waits: make(chan time.Duration, 64), left: make(chan error, 64)}
}

func (b *book) note(r rp.Request, s rp.Source) {
	b.requests, b.sources = append(b.requests, r), append(b.sources, s)
}

func (b *book) Begin(_ context.Context, r rp.Request, source rp.Source) (rp.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(r, source)
	if b.problem != nil {
		return rp.Session{}, b.problem
	}
	s := rp.Session{ID: rp.NewSessionID()}
	switch {
	case r.Flow == rp.DeviceLink:
		s = s.WithLink(devicelink.NewToken(), devicelink.NewSecret().Text(), "https://id.example/device-link")
	case r.Version == rp.V3 && r.Kind == rp.Signature && r.Flow == rp.Notification:
		s.Code = "0012"
	}
	b.sessions[s.ID] = &entry{request: r, ended: make(chan struct{})}
	return s, nil
}

func (b *book) Certificate(_ context.Context, r rp.Request, source rp.Source) (rp.Outcome, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(r, source)
	return rp.Outcome{End: rp.OK, Document: *r.Target.Document, Certificate: []byte("DER")}, b.problem
}

func (b *book) Status(ctx context.Context, id string, wait time.Duration, source rp.Source) (rp.Status, error) {
	b.mu.Lock()
	b.sources = append(b.sources, source)
	s, problem := b.sessions[id], b.problem
	b.mu.Unlock()
	switch {
	case problem != nil:
		return rp.Status{}, problem
	case s == nil:
		return rp.Status{}, &rp.Problem{Kind: rp.NotFound, Detail: "no such session"}
	}
	select {
	case b.waits <- wait:
	default: // nobody listens
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-s.ended:
		return rp.Status{Request: &s.request, Outcome: s.outcome}, nil
	case <-over.C:
		return rp.Status{Request: &s.request}, nil
	case <-ctx.Done():
		b.left <- ctx.Err()
		return rp.Status{}, ctx.Err()
	}
}

// end ends a session.
func (b *book) end(id string, o rp.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sessions[id].outcome = &o
	close(b.sessions[id].ended)
}

// success is an outcome that fits any request.
func success(t testing.TB, r rp.Request) rp.Outcome {
	d, err := identity.ParseDocument(number)
	require.NoError(t, err)
	o := rp.Outcome{End: rp.OK, Interaction: rp.DisplayTextAndPIN, Document: d, Certificate: []byte("DER"), Signature: make([]byte, 512), Flow: rp.FlowNotification}
	if r.Flow == rp.DeviceLink {
		o.Flow = rp.FlowQR
	}
	if r.Kind == rp.Authentication {
		o.ServerRandom, o.UserChallenge = acsp.NewServerRandom(), acsp.UserChallenge(acsp.NewVerifier())
	}
	return o
}

func (b *book) last(t testing.TB) (rp.Request, rp.Source) {
	b.mu.Lock()
	defer b.mu.Unlock()
	require.NotEmpty(t, b.requests)
	return b.requests[len(b.requests)-1], b.sources[len(b.sources)-1]
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.requests)
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// hang is how long nothing takes that goes on at all.
const hang = 3 * time.Minute

// service is a handler behind a real http.Server.
type service struct {
	*httptest.Server
	t       testing.TB
	handler *rphttp.Handler
	book    *book
	log     *buffer
}

// start starts a service, with TLS if the change of the server wants it.
func start(t testing.TB, o rphttp.Options, change ...func(*httptest.Server)) *service {
	b := newBook()
	return startWith(t, b, b, o, change...)
}

func startWith(t testing.TB, engine rphttp.Engine, b *book, o rphttp.Options, change ...func(*httptest.Server)) *service {
	s := &service{t: t, book: b, log: new(buffer)}
	o.Log = slog.New(slog.NewTextHandler(s.log, nil))
	if o.Base == "" {
		o.Base = base
	}
	if o.RatePerSource == 0 {
		o.RatePerSource, o.BurstPerSource = 1e6, 1e6
	}
	var err error
	s.handler, err = rphttp.NewHandler(engine, o)
	require.NoError(t, err)
	s.Server = httptest.NewUnstartedServer(s.handler)
	s.Config.RegisterOnShutdown(s.handler.Drain)
	for _, c := range change {
		c(s.Server)
	}
	if s.URL == "" {
		s.Start()
	}
	s.Client().Timeout = hang
	t.Cleanup(func() {
		s.handler.Drain()
		s.Close()
	})
	return s
}

type response struct {
	status int
	header http.Header
	body   []byte
}

func (r response) field(t testing.TB, name string) any {
	var o map[string]any
	require.NoError(t, json.Unmarshal(r.body, &o), string(r.body))
	return o[name]
}

// detail returns what a 400 says, in the form of its version: the pointer to the member,
// and the whole text.
func (r response) detail(t testing.TB, v rp.Version) (pointer, text string) {
	text, _ = r.field(t, "detail").(string)
	if v != rp.V3 {
		require.Equal(t, text, r.field(t, "message"))
		pointer, _, _ = strings.Cut(text, " ")
		return pointer, text
	}
	if errors, ok := r.field(t, "errors").([]any); ok {
		pointer, _ = errors[0].(map[string]any)["pointer"].(string)
	}
	return pointer, text
}

// do sends a request and checks the answer against the OpenAPI document.
func (s *service) do(method, path string, body io.Reader, headers ...string) response {
	s.t.Helper()
	r, err := http.NewRequest(method, s.URL+path, body)
	require.NoError(s.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	out, err := s.Client().Do(r)
	require.NoError(s.t, err)
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	require.NoError(s.t, err)
	answer := response{out.StatusCode, out.Header, text}
	require.NoError(s.t, described(method, path, answer), "%s %s: %d %s", method, path, answer.status, text)
	return answer
}

const asJSON = "Content-Type: application/json"

func (s *service) post(path string, body any, headers ...string) response {
	s.t.Helper()
	text, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		require.NoError(s.t, err)
		text = string(b)
	}
	return s.do("POST", path, strings.NewReader(text), append([]string{asJSON}, headers...)...)
}

var document = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(openapi.YAML()) })

// described reports whether an answer is one that the OpenAPI document has. What leads
// nowhere has no place in it: then the answer must have the form of version 2, or of 3 if
// the path is below that.
func described(method, path string, a response) error {
	doc, err := document()
	if err != nil {
		return err
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Length": strconv.Itoa(len(a.body))} {
		if got := a.header.Values(name); len(got) != 1 || got[0] != want {
			return fmt.Errorf("%s: %q", name, got)
		}
	}
	if id := a.header.Get("X-Request-Id"); id == "" {
		return fmt.Errorf("no X-Request-Id")
	}
	if again := a.header.Get("Retry-After") != ""; again != (a.status == 429 || a.status == 503) {
		return fmt.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	if allow := a.header.Get("Allow") != ""; allow != (a.status == 405) {
		return fmt.Errorf("Allow %q", a.header.Get("Allow"))
	}
	kind := a.header.Get("Content-Type")
	segments := below(path)
	schema, problem := "problem2", "application/json"
	if len(segments) > 0 && segments[0] == "v3" {
		schema, problem = "problem3", "application/problem+json"
	}
	form := doc.Components.Schemas[schema].Value
	if operation := find(doc, method, segments); operation != nil {
		r := operation.Responses.Value(strconv.Itoa(a.status))
		if r == nil {
			return fmt.Errorf("status %d is not described", a.status)
		}
		if len(r.Value.Content) != 1 || r.Value.Content[kind] == nil {
			return fmt.Errorf("Content-Type %q", kind)
		}
		form = r.Value.Content[kind].Schema.Value
	} else if kind == "application/yaml" && a.status == 200 {
		return nil
	} else if kind != problem || a.status != 404 && a.status != 405 && a.status != 429 {
		return fmt.Errorf("status %d, Content-Type %q", a.status, kind)
	}
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		return err
	}
	return form.VisitJSON(v, openapi3.MultiErrors())
}

// below returns the decoded segments of a path below the base; none if it is not there.
func below(path string) (out []string) {
	path, _, _ = strings.Cut(path, "?")
	for s := range strings.SplitSeq(path, "/") {
		if s, err := url.PathUnescape(s); err != nil {
			return nil
		} else if s != "" {
			out = append(out, s)
		}
	}
	if len(out) == 0 || out[0] != base[1:] {
		return nil
	}
	return out[1:]
}

func find(doc *openapi3.T, method string, segments []string) *openapi3.Operation {
paths:
	for path, item := range doc.Paths.Map() {
		parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
		if len(parts) != len(segments) {
			continue
		}
		for i, p := range parts {
			if p != segments[i] && !strings.HasPrefix(p, "{") {
				continue paths
			}
		}
		return item.Operations()[method]
	}
	return nil
}

// TestDescribedSees: the check of answers refuses what is none.
func TestDescribedSees(t *testing.T) {
	header := func() http.Header {
		return http.Header{"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}, "Content-Length": {"18"}, "X-Request-Id": {"a"}, "Content-Type": {"application/json"}}
	}
	const path = base + "/v2/session/" + uuid
	good := response{200, header(), []byte(`{"state":"RUNNING"}`[:18] + "}")}
	good.header.Set("Content-Length", "19")
	require.NoError(t, described("GET", path, good))
	for name, change := range map[string]func(*response){
		"status": func(r *response) { r.status = 418 }, "body": func(r *response) { r.body = []byte(`{"state":"RUNNINH"}`) }, "type": func(r *response) { r.header.Set("Content-Type", "text/plain") },
		"length": func(r *response) { r.header.Del("Content-Length") }, "id": func(r *response) { r.header.Del("X-Request-Id") }, "cache": func(r *response) { r.header.Del("Cache-Control") },
		"retry": func(r *response) { r.header.Set("Retry-After", "1") }, "allow": func(r *response) { r.header.Set("Allow", "GET") },
	} {
		bad := response{good.status, good.header.Clone(), good.body}
		change(&bad)
		require.Error(t, described("GET", path, bad), name)
	}
}

// endpoint is one kind of POST, with a body that is right.
type endpoint struct {
	version rp.Version
	path    string // with the values of its variables
	pattern string
	body    map[string]any
	digest  string // the member that has base64
}

func (e endpoint) String() string { return fmt.Sprintf("/v%d/%s", e.version, e.pattern) }

// endpoints returns all that there are.
func endpoints() (out []endpoint) {
	fill := func(pattern string) string {
		id := person
		if strings.Contains(pattern, "document/") || strings.Contains(pattern, "linked/") || strings.Contains(pattern, "certificate/") {
			id = number
		} else if strings.Contains(pattern, "{country}") {
			id = strings.TrimPrefix(person, "PNOEE-")
		}
		return strings.NewReplacer("{id}", id, "{country}", "EE").Replace(pattern)
	}
	common := func() map[string]any {
		return map[string]any{"relyingPartyUUID": uuid, "relyingPartyName": "DEMO", "certificateLevel": "QUALIFIED"}
	}
	digest := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 64))
	for _, e := range rpv2.Endpoints() {
		b, member := common(), ""
		b["nonce"] = "n"
		if !strings.HasPrefix(e.Path(), "certificatechoice") {
			b["hash"], b["hashType"], member = digest, "SHA512", "/hash"
			if e.Version() == rp.V1 {
				b["displayText"] = "Log in"
			} else {
				b["allowedInteractionsOrder"] = []any{map[string]any{"type": "displayTextAndPIN", "displayText60": "Log in"}}
			}
		}
		out = append(out, endpoint{e.Version(), fmt.Sprintf("%s/v%d/%s", base, e.Version(), fill(e.Path())), e.Path(), b, member})
	}
	for _, e := range rpv3.Endpoints() {
		b, member := common(), ""
		if e.Kind() == rp.Authentication || e.Kind() == rp.Signature {
			name, protocol := "rpChallenge", "ACSP_V2"
			if e.Kind() == rp.Signature {
				name, protocol = "digest", "RAW_DIGEST_SIGNATURE"
			}
			member = "/signatureProtocolParameters/" + name
			b["signatureProtocol"] = protocol
			b["signatureProtocolParameters"] = map[string]any{name: digest, "signatureAlgorithm": "rsassa-pss", "signatureAlgorithmParameters": map[string]any{"hashAlgorithm": "SHA3-512"}}
			b["interactions"] = base64.StdEncoding.EncodeToString([]byte(`[{"type":"displayTextAndPIN","displayText60":"Log in"}]`))
			if e.Kind() == rp.Authentication && e.Flow() == rp.Notification {
				b["vcType"] = "numeric4"
			}
		}
		if e.Flow() == rp.Linked {
			b["linkedSessionID"] = uuid
		}
		out = append(out, endpoint{rp.V3, base + "/v3/" + fill(e.Path()), e.Path(), b, member})
	}
	return out
}
