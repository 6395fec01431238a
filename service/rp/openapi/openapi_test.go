package openapi_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
	"github.com/tandem-rsa/tandem/service/rp/openapi"
	"github.com/tandem-rsa/tandem/service/rp/rpv2"
	"github.com/tandem-rsa/tandem/service/rp/rpv3"
)

var document = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData(openapi.YAML()) })

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := document()
	require.NoError(t, err)
	return doc
}

// schemas of an operation: of its body, and of the answer with a status.
func bodySchema(t *testing.T, o *openapi3.Operation) *openapi3.Schema {
	return o.RequestBody.Value.Content["application/json"].Schema.Value
}

func answerSchema(t *testing.T, o *openapi3.Operation, status int, contentType string) *openapi3.Schema {
	t.Helper()
	r := o.Responses.Value(strconv.Itoa(status))
	require.NotNil(t, r, "no answer with %d", status)
	require.Len(t, r.Value.Content, 1)
	require.NotNil(t, r.Value.Content[contentType], contentType)
	return r.Value.Content[contentType].Schema.Value
}

func visit(s *openapi3.Schema, text []byte) error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	return s.VisitJSON(v, openapi3.MultiErrors())
}

// TestPaths: the document has what is served and nothing else.
func TestPaths(t *testing.T) {
	doc := load(t)
	require.NoError(t, doc.Validate(t.Context()))
	served := map[string]string{"/v1/session/{sessionID}": "GET", "/v2/session/{sessionID}": "GET", "/v3/session/{sessionID}": "GET"}
	for _, e := range rpv2.Endpoints() {
		served[fmt.Sprintf("/v%d/%s", e.Version(), e.Path())] = "POST"
	}
	for _, e := range rpv3.Endpoints() {
		served["/v3/"+e.Path()] = "POST"
	}
	require.Len(t, served, 3+15+13)
	described := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			described[path] += method
			names := map[string]bool{}
			for _, p := range operation.Parameters {
				if p.Value.In == "path" {
					names["{"+p.Value.Name+"}"] = true
				}
			}
			require.Len(t, names, strings.Count(path, "{"), path)
			for name := range names {
				require.Contains(t, path, name)
			}
		}
	}
	require.Equal(t, served, described)
}

// candidates are bodies of all kinds, right and wrong, of which each endpoint takes some.
func candidates() (out []map[string]any) {
	base := func() map[string]any {
		return map[string]any{"relyingPartyUUID": "00000000-0000-4000-8000-000000000000", "relyingPartyName": "DEMO"}
	}
	digest := base64.StdEncoding.EncodeToString(make([]byte, 64))
	signing := func() map[string]any {
		o := base()
		o["hash"], o["hashType"] = digest, "SHA512"
		o["allowedInteractionsOrder"] = []any{map[string]any{"type": "displayTextAndPIN", "displayText60": "Log in"}, map[string]any{"type": "confirmationMessage", "displayText200": "Log in", "displayText60": nil}}
		return o
	}
	three := func(protocol, name string) map[string]any {
		o := base()
		o["signatureProtocol"] = protocol
		o["signatureProtocolParameters"] = map[string]any{name: digest, "signatureAlgorithm": "rsassa-pss", "signatureAlgorithmParameters": map[string]any{"hashAlgorithm": "SHA-512"}}
		o["interactions"] = base64.StdEncoding.EncodeToString([]byte(`[{"type":"displayTextAndPIN","displayText60":"Log in"}]`))
		return o
	}
	kinds := []func() map[string]any{
		base, signing,
		func() map[string]any { return three("ACSP_V2", "rpChallenge") }, func() map[string]any { return three("RAW_DIGEST_SIGNATURE", "digest") },
		func() map[string]any { o := three("ACSP_V2", "rpChallenge"); o["vcType"] = "numeric4"; return o },
		func() map[string]any {
			o := three("RAW_DIGEST_SIGNATURE", "digest")
			o["linkedSessionID"] = base()["relyingPartyUUID"]
			return o
		},
	}
	changes := map[string][]any{
		"relyingPartyUUID": {nil, 1, "x"}, "relyingPartyName": {nil, "", strings.Repeat("a", 33)}, "certificateLevel": {nil, "ADVANCED", "QUALIFIED", "QSCD", "NONE", 1}, "nonce": {nil, "a", "", strings.Repeat("a", 31), 1},
		"capabilities": {nil, []any{}, []any{"a"}, []any{1}, "a"}, "requestProperties": {nil, map[string]any{}, map[string]any{"shareMdClientIpAddress": true, "x": 1}, map[string]any{"shareMdClientIpAddress": 1}, 1},
		"hash": {nil, "", 1, digest + digest}, "hashType": {nil, "SHA1", 1}, "displayText": {nil, "", "a", strings.Repeat("a", 61), 1}, "initialCallbackUrl": {nil, "https://rp.example/", "http://rp.example/", "https://rp.example/#", 1},
		"vcType": {nil, "numeric4", "x", 4}, "linkedSessionID": {nil, base()["relyingPartyUUID"], "x"}, "signatureProtocol": {nil, "ACSP_V2", "RAW_DIGEST_SIGNATURE", "ACSP_V1"}, "interactions": {nil, "", "!", 1},
		"signatureProtocolParameters": {nil, 1, map[string]any{}, map[string]any{"rpChallenge": "", "digest": ""}}, "unknown": {1},
		"allowedInteractionsOrder": {nil, []any{}, []any{1}, []any{map[string]any{"type": "displayTextAndPIN"}}, []any{map[string]any{"type": "displayTextAndPIN", "displayText200": "a"}}, []any{map[string]any{"type": "confirmationMessage", "displayText60": "a", "displayText200": "a"}}, []any{map[string]any{"type": "x", "displayText60": "a"}}},
	}
	for _, kind := range kinds {
		out = append(out, kind())
		for name, values := range changes {
			for _, v := range values {
				o := kind()
				o[name] = v
				out = append(out, o)
			}
			o := kind()
			delete(o, name)
			out = append(out, o)
		}
	}
	return out
}

// TestRequests: what the document takes the parsers take, and the other way round. The
// answer to what they refuse is one of the document's.
func TestRequests(t *testing.T) {
	doc := load(t)
	// Where the document is wider: levels of logins in versions 1 and 2, whose body is
	// that of signatures.
	wider := func(err error) bool { return strings.HasPrefix(err.Error(), "rp: /certificateLevel ") }
	accepted, refused := 0, 0
	check := func(path string, parse func([]byte) error, problem func(error) (int, []byte), contentType string) {
		o := doc.Paths.Value(path).Post
		for n, c := range candidates() {
			if testing.Short() && n%17 != 0 {
				continue
			}
			text, err := json.Marshal(c)
			require.NoError(t, err)
			schemaErr := visit(bodySchema(t, o), text)
			err = parse(text)
			if err == nil {
				require.NoError(t, schemaErr, "%s %s", path, text)
				accepted++
				continue
			}
			refused++
			if schemaErr == nil {
				require.True(t, wider(err), "%s %s: %v", path, text, err)
			}
			status, body := problem(err)
			require.Equal(t, 400, status)
			require.NoError(t, visit(answerSchema(t, o, status, contentType), body), string(body))
		}
	}
	for _, e := range rpv2.Endpoints() {
		values := []string{"PNOEE-40504040001"}
		if strings.Contains(e.Path(), "document") {
			values = []string{"PNOEE-40504040001-7TRE-Q"}
		} else if strings.Contains(e.Path(), "country") {
			values = []string{"EE", "40504040001"}
		}
		check(fmt.Sprintf("/v%d/%s", e.Version(), e.Path()), func(b []byte) error { _, err := e.Parse(b, values...); return err },
			func(err error) (int, []byte) { return rpv2.Problem(e.Version(), err) }, rpv2.ContentType)
	}
	for _, e := range rpv3.Endpoints() {
		value := "PNOEE-40504040001"
		switch {
		case !strings.Contains(e.Path(), "{"):
			value = ""
		case !strings.Contains(e.Path(), "etsi"):
			value = "PNOEE-40504040001-7TRE-Q"
		}
		check("/v3/"+e.Path(), func(b []byte) error { _, err := e.Parse(b, value); return err }, rpv3.Problem, rpv3.ProblemType)
	}
	require.Greater(t, accepted, 50)
	require.Greater(t, refused, 200)
}

// ofPosts are the problems that no question for a session gets.
var ofPosts = []rp.ProblemKind{rp.Forbidden, rp.NoSuitableAccount, rp.PersonShouldViewApp, rp.TooSlow, rp.TooLarge, rp.MediaType}

// TestProblems: each problem is described for each request and each status that gets it.
func TestProblems(t *testing.T) {
	doc := load(t)
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			for kind := rp.Invalid; kind <= rp.Busy; kind++ {
				if kind == rp.NotAllowed || method == "GET" && slices.Contains(ofPosts, kind) {
					continue
				}
				p := &rp.Problem{Kind: kind, Detail: "detail"}
				if kind == rp.Invalid {
					p.Pointer = "/a"
				}
				status, body := rpv3.Problem(p)
				contentType := rpv3.ProblemType
				if !strings.HasPrefix(path, "/v3/") {
					status, body = rpv2.Problem(rp.V2, p)
					contentType = rpv2.ContentType
				}
				require.NoError(t, visit(answerSchema(t, o, status, contentType), body), "%s %s", path, body)
			}
			status, body := rpv3.Problem(errors.New("x"))
			if strings.HasPrefix(path, "/v3/") {
				require.NoError(t, visit(answerSchema(t, o, status, rpv3.ProblemType), body))
			}
		}
	}
}

// TestAnswers: every answer that can be written is described.
func TestAnswers(t *testing.T) {
	doc := load(t)
	answer := func(path, method string, body []byte, err error) {
		t.Helper()
		require.NoError(t, err)
		o := doc.Paths.Value(path).GetOperation(method)
		require.NoError(t, visit(answerSchema(t, o, 200, rpv2.ContentType), body), "%s %s", path, body)
	}
	id := rp.NewSessionID()
	for _, e := range rpv2.Endpoints() {
		body, err := rpv2.Created(id)
		answer(fmt.Sprintf("/v%d/%s", e.Version(), e.Path()), "POST", body, err)
	}
	document, err := identity.ParseDocument("PNOEE-40504040001-7TRE-Q")
	require.NoError(t, err)
	for _, e := range rpv3.Endpoints() {
		s := rp.Session{ID: id}
		switch {
		case e.Flow() == rp.DeviceLink:
			s = s.WithLink(devicelink.NewToken(), devicelink.NewSecret().Text(), "https://id.example/device-link")
		case e.Flow() == rp.Notification && e.Kind() == rp.Signature:
			s.Code = "0012"
		case e.Kind() == rp.Certificate:
			for _, end := range []rp.End{rp.OK, rp.DocumentUnusable} {
				body, err := rpv3.Certificate(rp.Outcome{End: end, Document: document, Certificate: []byte{1}})
				answer("/v3/"+e.Path(), "POST", body, err)
			}
			continue
		}
		body, err := rpv3.Created(s)
		answer("/v3/"+e.Path(), "POST", body, err)
	}

	flows := map[rp.Flow][]rp.FlowType{rp.Notification: {rp.FlowNotification}, rp.Linked: {rp.FlowNotification}, rp.DeviceLink: {rp.FlowQR, rp.FlowWeb2App, rp.FlowApp2App}}
	written := 0
	for _, version := range []rp.Version{rp.V1, rp.V2, rp.V3} {
		path := fmt.Sprintf("/v%d/session/{sessionID}", version)
		for _, kind := range []rp.Kind{rp.Authentication, rp.Signature, rp.CertificateChoice} {
			for flow, types := range flows {
				for _, flowType := range types {
					for _, algorithm := range []rp.Algorithm{{Hash: crypto.SHA256}, {Hash: crypto.SHA512}, {Hash: crypto.SHA3_384, PSS: true}} {
						if version != rp.V3 && (algorithm.PSS || flow != rp.Notification) {
							continue
						}
						s := rp.Status{Request: &rp.Request{Version: version, Kind: kind, Flow: flow, Algorithm: algorithm, Ignored: []string{"x"}}, DeviceIP: "192.0.2.1"}
						write := rpv2.Status
						if version == rp.V3 {
							write = rpv3.Status
						}
						body, err := write(s)
						answer(path, "GET", body, err)
						for end := rp.OK; end <= rp.ExpectedLinkedSession; end++ {
							for _, screen := range []rp.InteractionType{rp.DisplayTextAndPIN, rp.VerificationCodeChoice, rp.ConfirmationMessage, rp.ConfirmationMessageAndVerificationCodeChoice} {
								s.Outcome = &rp.Outcome{
									End: end, Interaction: screen, Document: document, Certificate: bytes.Repeat([]byte{1}, 10), Signature: make([]byte, 768), Flow: flowType,
									ServerRandom: acsp.NewServerRandom(), UserChallenge: acsp.UserChallenge(acsp.NewVerifier()),
								}
								body, err := write(s)
								answer(path, "GET", body, err)
								written++
							}
						}
					}
				}
			}
		}
	}
	require.Greater(t, written, 1000)
}

// TestValidatorSees: the schemas refuse what is not an answer.
func TestValidatorSees(t *testing.T) {
	doc := load(t)
	s := answerSchema(t, doc.Paths.Value("/v3/session/{sessionID}").Get, 200, rpv3.ContentType)
	require.NoError(t, visit(s, []byte(`{"state":"RUNNING"}`)))
	for _, text := range []string{
		`{}`, `{"state":"OVER"}`, `{"state":"RUNNING","x":1}`, `{"state":"COMPLETE","result":{"endResult":"MAYBE"}}`, `{"state":"COMPLETE","signature":{"flowType":"QR","x":1}}`,
		`{"state":"COMPLETE","signature":{"value":"AA==","flowType":"QR"}}`,
	} {
		require.Error(t, visit(s, []byte(text)), text)
	}
}
