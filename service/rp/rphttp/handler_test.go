package rphttp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/openapi"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
)

// TestEveryEndpoint: what is asked for reaches the engine, and its answer the relying
// party, however clients join base and path.
func TestEveryEndpoint(t *testing.T) {
	s := start(t, rphttp.Options{})
	all := endpoints()
	require.Len(t, all, 15+13)
	for _, e := range all {
		for _, path := range []string{
			e.path, "/" + e.path, strings.Replace(e.path, "/v", "//v", 1), strings.Replace(e.path, base+fmt.Sprintf("/v%d/", e.version), base+fmt.Sprintf("/v%d//", e.version), 1),
			e.path + "/", strings.NewReplacer("PNOEE-", "PNO%45E%2D", "TRE", "T%52E", "4050", "%34050").Replace(e.path), e.path + "?x=1",
		} {
			before := s.book.count()
			r := s.post(path, e.body, "Authorization: Bearer undefined", "X-Anything: \x80")
			require.Equal(t, 200, r.status, "%s: %s", path, r.body)
			require.Equal(t, before+1, s.book.count())
			request, source := s.book.last(t)
			require.Equal(t, e.version, request.Version)
			require.Equal(t, uuid, request.RelyingPartyUUID)
			if strings.Contains(e.pattern, "{id}") {
				if request.Target.Document != nil {
					require.Equal(t, number, request.Target.Document.String())
				} else {
					require.Equal(t, person, request.Target.Person.String())
				}
			}
			require.Equal(t, netip.MustParseAddr("127.0.0.1"), source.Address)
			if request.Kind == rp.Certificate {
				continue
			}
			// Its session, of this version and no other.
			id := r.field(t, "sessionID").(string)
			s.book.end(id, success(t, request))
			for v := rp.V1; v <= rp.V3; v++ {
				r := s.do("GET", fmt.Sprintf("%s/v%d/session/%s?timeoutMs=1000", base, v, strings.ToUpper(id)), nil)
				if v != e.version {
					require.Equal(t, 404, r.status)
					continue
				}
				require.Equal(t, 200, r.status)
				require.Equal(t, "COMPLETE", r.field(t, "state"))
			}
		}
	}
}

// TestPaths: what leads nowhere is not found, in the form of its version; what leads
// somewhere by another method says by which.
func TestPaths(t *testing.T) {
	s := start(t, rphttp.Options{})
	for _, path := range []string{
		"/", base, base + "/", "/v2/session/" + uuid, "/other/v2/session/" + uuid, base + "/v4/session/" + uuid, base + "/v2", base + "/v3", base + "/v2/session", base + "/v2/session/" + uuid + "/x", base + "/V2/session/" + uuid,
		base + "/v2/authentication/etsi", base + "/v2/authentication/etsi/a/b", base + "/v2/authentication/etsi/a%2Fb", base + "/v2/authentication/pno/EE/1", base + "/v1/authentication/pno/EE",
		base + "/v2/authentication/private/a/b", base + "/v3/authentication/device-link/anonymous/x", base + "/v3/signature/device-link/anonymous", base + "/v2/./session/" + uuid, base + "/x/../v2/session/" + uuid,
		base + "/v2/authentication%2Fetsi/" + person, base + "/v2/openapi.yaml", "/openapi.yaml", base + "/v3/signature/certificate",
	} {
		for _, method := range []string{"GET", "POST"} {
			r := s.do(method, path, nil, asJSON)
			if strings.HasSuffix(path, "a%2Fb") && method == "GET" {
				require.Equal(t, 405, r.status) // a path, to which nobody belongs
				continue
			}
			if strings.HasSuffix(path, "a%2Fb") {
				require.Equal(t, 400, r.status)
				continue
			}
			require.Equal(t, 404, r.status, "%s %s", method, path)
		}
	}
	require.Zero(t, s.book.count())
	for _, e := range endpoints() {
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "OPTIONS", "post", "BREW"} {
			r := s.do(method, e.path, nil)
			require.Equal(t, 405, r.status, "%s %s", method, e.path)
			require.Equal(t, "POST", r.header.Get("Allow"))
		}
	}
	for v := 1; v <= 3; v++ {
		r := s.do("POST", fmt.Sprintf("%s/v%d/session/%s", base, v, uuid), nil)
		require.Equal(t, 405, r.status)
		require.Equal(t, "GET", r.header.Get("Allow"))
	}
	r := s.do("GET", base+"/openapi.yaml", nil)
	require.Equal(t, 200, r.status)
	require.Equal(t, openapi.YAML(), r.body)
}

// TestIdentifiersOfNobody: an identifier that nobody can have is answered as one that has
// no account.
func TestIdentifiersOfNobody(t *testing.T) {
	s := start(t, rphttp.Options{})
	for _, e := range endpoints() {
		if !strings.Contains(e.pattern, "{id}") {
			continue
		}
		for _, id := range []string{"pnoee-40504040001", "x", "%00", "%ff", "a%2Fb", "PNOEE-1%E2%80%AE2", strings.Repeat("1", 5000)} {
			r := s.post(e.path[:strings.LastIndexByte(e.path, '/')+1]+id, e.body)
			want := 404
			if strings.Contains(e.pattern, "pno/") && (id == "x" || id == "pnoee-40504040001") {
				want = 200 // "PNOEE-x" might be somebody
			}
			require.Equal(t, want, r.status, "%s %s: %s", e, id, r.body)
		}
	}
}

// TestProblems: an engine's problem is the answer of its version. What else goes wrong is
// in the log, and the relying party learns nothing of it.
func TestProblems(t *testing.T) {
	s := start(t, rphttp.Options{})
	for _, e := range endpoints() {
		for kind := rp.Invalid; kind <= rp.Busy; kind++ {
			if kind == rp.NotAllowed {
				continue
			}
			problem := &rp.Problem{Kind: kind, Detail: "for a reason"}
			if kind == rp.Invalid {
				problem.Pointer = "/relyingPartyName"
			}
			s.book.problem = fmt.Errorf("wrapped: %w", problem)
			r := s.post(e.path, e.body)
			require.Equal(t, problem.Status(e.version), r.status)
			if kind == rp.Invalid {
				pointer, _ := r.detail(t, e.version)
				require.Equal(t, "/relyingPartyName", pointer)
			}
		}
		s.book.problem = errors.New("the database has a secret")
		r := s.post(e.path, e.body)
		require.Equal(t, 500, r.status)
		require.NotContains(t, string(r.body), "secret")
	}
	require.Contains(t, s.log.String(), `level=ERROR msg="relying-party request"`)
	require.Contains(t, s.log.String(), `error="the database has a secret"`)
	require.NotContains(t, s.log.String(), "for a reason")
	for v := 1; v <= 3; v++ {
		r := s.do("GET", fmt.Sprintf("%s/v%d/session/%s", base, v, uuid), nil)
		require.Equal(t, 500, r.status)
		require.NotContains(t, string(r.body), "secret")
	}
	// An outcome that is none does not leave either.
	s.book.problem = nil
	e := endpoints()[0]
	r := s.post(e.path, e.body)
	request, _ := s.book.last(t)
	id := r.field(t, "sessionID").(string)
	bad := success(t, request)
	bad.Signature = nil
	s.book.end(id, bad)
	require.Equal(t, 500, s.do("GET", fmt.Sprintf("%s/v%d/session/%s", base, e.version, id), nil).status)
}

// TestMaintenance: nothing begins, and what has begun may end. Other versions are told
// from retired ones.
func TestMaintenance(t *testing.T) {
	s := start(t, rphttp.Options{Retired: []rp.Version{rp.V1}})
	retired := 0
	for _, e := range endpoints() {
		if e.version == rp.V1 {
			require.Equal(t, 480, s.post(e.path, e.body).status)
			retired++
			continue
		}
		r := s.post(e.path, e.body)
		require.Equal(t, 200, r.status)
		s.handler.SetMaintenance(true)
		require.Equal(t, 580, s.post(e.path, e.body).status)
		require.Equal(t, 580, s.post(e.path, "{").status)
		if id, ok := r.field(t, "sessionID").(string); ok {
			request, _ := s.book.last(t)
			s.book.end(id, success(t, request))
			require.Equal(t, 200, s.do("GET", fmt.Sprintf("%s/v%d/session/%s", base, e.version, id), nil).status)
		}
		s.handler.SetMaintenance(false)
	}
	require.Equal(t, 9, retired)
	require.Equal(t, 480, s.do("GET", base+"/v1/session/"+uuid, nil).status)
	require.Equal(t, 200, s.do("GET", base+"/openapi.yaml", nil).status)
}

// TestLog: a line for each request, with what an operator needs, and nothing of a person.
func TestLog(t *testing.T) {
	var seen []rphttp.Answered
	s := start(t, rphttp.Options{Observe: func(a rphttp.Answered) { seen = append(seen, a) }})
	for _, e := range endpoints() {
		s.log.b.Reset()
		seen = nil
		body := map[string]any{}
		for k, v := range e.body {
			body[k] = v
		}
		body["unknown-38001085718"] = "38001085718"
		r := s.post(e.path, body, "Authorization: Bearer opensesame", "X-Request-Id: mine", "User-Agent: 38001085718")
		line := s.log.String()
		require.Equal(t, 1, strings.Count(line, "\n"), line)
		require.Contains(t, line, " endpoint="+e.pattern+" method=POST status=200 ")
		require.Contains(t, line, " rp="+uuid)
		require.Contains(t, line, " source=127.0.0.1")
		require.Contains(t, line, " request="+r.header.Get("X-Request-Id")+" ")
		require.NotEqual(t, "mine", r.header.Get("X-Request-Id"), "nobody but a trusted proxy names a request")
		if id, ok := r.field(t, "sessionID").(string); ok {
			require.Contains(t, line, " session="+id)
		}
		for _, private := range []string{"40504040001", "7TRE-Q", "38001085718", "opensesame", "+/v7", "Log in", "mine"} {
			require.NotContains(t, line, private)
		}
		if secret, ok := r.field(t, "sessionSecret").(string); ok {
			require.NotContains(t, line, secret)
			require.NotContains(t, line, r.field(t, "sessionToken"))
		}
		require.Len(t, seen, 1)
		require.Equal(t, rphttp.Answered{Version: e.version, Endpoint: e.pattern, Status: 200, Took: seen[0].Took}, seen[0])

		// What is refused is named by the client, so no word of it is in the log.
		s.log.b.Reset()
		text, err := json.Marshal(e.body)
		require.NoError(t, err)
		r = s.post(e.path, `{"38001085718":{"a":1,"a":2},`+string(text[1:]))
		require.Equal(t, 400, r.status)
		s.do("brew", e.path+"/38001085718?38001085718", nil)
		require.Contains(t, s.log.String(), "method=other status=4")
		require.NotContains(t, s.log.String(), "38001085718")
		require.NotContains(t, s.log.String(), "brew")
	}
}

// TestHTTP2: the same over HTTP/2.
func TestHTTP2(t *testing.T) {
	s := start(t, rphttp.Options{}, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	})
	for _, e := range endpoints() {
		r := s.post(e.path, e.body)
		require.Equal(t, 200, r.status)
		require.Equal(t, 413, s.post(e.path, strings.Repeat(" ", 1<<20)).status)
	}
	out, err := s.Client().Get(s.URL + base + "/v3/session/" + uuid)
	require.NoError(t, err)
	require.NoError(t, out.Body.Close())
	require.Equal(t, 2, out.ProtoMajor)
	require.Equal(t, 404, out.StatusCode)
}

func TestNewHandlerRefuses(t *testing.T) {
	for name, o := range map[string]rphttp.Options{
		"base": {Base: "v2"}, "base's end": {Base: "/a/"}, "base's escape": {Base: "/%61"}, "base's slashes": {Base: "/a//b"}, "version": {Retired: []rp.Version{4}},
		"proxy": {TrustedProxies: []netip.Prefix{{}}}, "rate": {RatePerSource: -1}, "burst": {BurstPerSource: -1}, "fast": {RatePerSource: 1e6 + 1}, "hours": {RatePerSource: 2, BurstPerSource: 7201}, "working": {Concurrent: -1}, "waiting": {Waiters: -1}, "waiting of one": {WaitersPerSource: -1},
		"read": {ReadTimeout: -1}, "write": {WriteTimeout: -1},
	} {
		_, err := rphttp.NewHandler(newBook(), o)
		require.ErrorIs(t, err, rphttp.ErrConfig, name)
	}
}

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*rphttp.Handler)(nil)},
		Functions: map[string]any{"NewHandler": rphttp.NewHandler},
		Good:      []any{newBook(), rphttp.Options{}, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)},
		Nils:      []any{(*book)(nil)},
	})
}
