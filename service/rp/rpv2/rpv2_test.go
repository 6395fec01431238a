package rpv2_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rpv2"
)

const (
	uuid   = "00000000-0000-4000-8000-000000000000"
	person = "PNOEE-40504040001"
	number = "PNOEE-40504040001-7TRE-Q"
)

type object = map[string]any

// endpoint returns the endpoint of a version and a path.
func endpoint(t testing.TB, v rp.Version, path string) rpv2.Endpoint {
	for _, e := range rpv2.Endpoints() {
		if e.Version() == v && e.Path() == path {
			return e
		}
	}
	require.Fail(t, "no endpoint", path)
	return rpv2.Endpoint{}
}

func hash(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, n)) }

// signing is a body of version 2 for a login or a signature.
func signing() object {
	return object{
		"relyingPartyUUID": uuid, "relyingPartyName": "DEMO", "certificateLevel": "QUALIFIED", "hash": hash(64), "hashType": "SHA512",
		"allowedInteractionsOrder": []any{
			object{"type": "verificationCodeChoice", "displayText60": "Log in to Tree Bank"},
			object{"type": "displayTextAndPIN", "displayText60": "Log in to Tree Bank"},
		},
	}
}

func parse(t testing.TB, e rpv2.Endpoint, body any, values ...string) (*rp.Request, error) {
	b, err := json.Marshal(body)
	require.NoError(t, err)
	return e.Parse(b, values...)
}

func TestEndpoints(t *testing.T) {
	var paths []string
	for _, e := range rpv2.Endpoints() {
		paths = append(paths, fmt.Sprint(e.Version(), " ", e.Path()))
	}
	require.ElementsMatch(t, []string{
		"1 authentication/etsi/{id}", "1 authentication/document/{id}", "1 authentication/pno/{country}/{id}",
		"1 signature/etsi/{id}", "1 signature/document/{id}", "1 signature/pno/{country}/{id}",
		"1 certificatechoice/etsi/{id}", "1 certificatechoice/document/{id}", "1 certificatechoice/pno/{country}/{id}",
		"2 authentication/etsi/{id}", "2 authentication/document/{id}", "2 signature/etsi/{id}", "2 signature/document/{id}",
		"2 certificatechoice/etsi/{id}", "2 certificatechoice/document/{id}",
	}, paths)
}

func TestParse(t *testing.T) {
	body := signing()
	body["nonce"] = strings.Repeat("Õ", 30)
	body["requestProperties"] = object{"shareMdClientIpAddress": true, "vcChoice": true, "other": object{"a": []int{1}}, "none": nil}
	body["capabilities"] = []string{"ADVANCED"}
	body["unknown"] = 1
	r, err := parse(t, endpoint(t, rp.V2, "authentication/etsi/{id}"), body, person)
	require.NoError(t, err)
	id, err := identity.ParseID(person)
	require.NoError(t, err)
	require.NotEmpty(t, r.Key)
	require.Equal(t, &rp.Request{
		Version: rp.V2, Kind: rp.Authentication, Flow: rp.Notification, Target: rp.Target{Person: &id}, RelyingPartyUUID: uuid, RelyingPartyName: "DEMO",
		Level: rp.LevelQualified, Digest: bytes.Repeat([]byte{0xfb}, 64), Algorithm: rp.Algorithm{Hash: crypto.SHA512},
		Interactions: []rp.Interaction{{Type: rp.VerificationCodeChoice, Text: "Log in to Tree Bank"}, {Type: rp.DisplayTextAndPIN, Text: "Log in to Tree Bank"}},
		Nonce:        strings.Repeat("Õ", 30), ShareIP: true, Capabilities: []string{"ADVANCED"}, Ignored: []string{"other", "vcChoice"}, Idempotent: true, Key: r.Key,
	}, r)

	// A choice of certificate has nothing to sign.
	document, err := identity.ParseDocument(number)
	require.NoError(t, err)
	r, err = parse(t, endpoint(t, rp.V2, "certificatechoice/document/{id}"), object{"relyingPartyUUID": strings.ToUpper(uuid), "relyingPartyName": "DEMO", "certificateLevel": "QSCD", "nonce": nil}, number)
	require.NoError(t, err)
	require.Equal(t, &rp.Request{
		Version: rp.V2, Kind: rp.CertificateChoice, Flow: rp.Notification, Target: rp.Target{Document: &document}, RelyingPartyUUID: uuid, RelyingPartyName: "DEMO",
		Level: rp.LevelQSCD, Idempotent: true, Key: r.Key,
	}, r)

	for hashType, want := range map[string]crypto.Hash{"SHA256": crypto.SHA256, "SHA384": crypto.SHA384, "SHA512": crypto.SHA512} {
		body := signing()
		body["hashType"], body["hash"], body["certificateLevel"] = hashType, hash(want.Size()), "ADVANCED"
		r, err := parse(t, endpoint(t, rp.V2, "signature/document/{id}"), body, number)
		require.NoError(t, err)
		require.Equal(t, rp.Algorithm{Hash: want}, r.Algorithm)
		require.Equal(t, rp.Signature, r.Kind)
		require.Equal(t, rp.LevelAdvanced, r.Level)
	}
	for _, long := range []object{
		{"type": "confirmationMessage", "displayText200": strings.Repeat("Õ", 200)}, {"type": "confirmationMessageAndVerificationCodeChoice", "displayText200": "a", "displayText60": nil},
		{"type": "displayTextAndPIN", "displayText60": strings.Repeat("Õ", 60)},
	} {
		body := signing()
		body["allowedInteractionsOrder"] = []any{long}
		_, err := parse(t, endpoint(t, rp.V2, "signature/etsi/{id}"), body, person)
		require.NoError(t, err)
	}
}

func TestParseV1(t *testing.T) {
	body := object{"relyingPartyUUID": uuid, "relyingPartyName": "DEMO", "hash": hash(32), "hashType": "SHA256"}
	r, err := parse(t, endpoint(t, rp.V1, "authentication/pno/{country}/{id}"), body, "LV", "050405-10009")
	require.NoError(t, err)
	require.Equal(t, rp.V1, r.Version)
	require.Equal(t, "PNOLV-050405-10009", r.Target.Person.String())
	require.Equal(t, []rp.Interaction{{Type: rp.DisplayTextAndPIN}}, r.Interactions)
	body["displayText"], body["requestProperties"] = strings.Repeat("Õ", 60), object{"vcChoice": true, "x": 1}
	r, err = parse(t, endpoint(t, rp.V1, "signature/document/{id}"), body, number)
	require.NoError(t, err)
	require.Equal(t, []rp.Interaction{{Type: rp.VerificationCodeChoice, Text: strings.Repeat("Õ", 60)}}, r.Interactions)
	require.Equal(t, []string{"x"}, r.Ignored)
	for field, value := range map[string]any{"displayText": "a\nb", "displayText ": strings.Repeat("Õ", 61), "requestProperties/vcChoice": "yes"} {
		bad := maps.Clone(body)
		if name, property, ok := strings.Cut(field, "/"); ok {
			bad[name] = object{property: value}
		} else {
			bad[strings.TrimSpace(name)] = value
		}
		_, err := parse(t, endpoint(t, rp.V1, "authentication/etsi/{id}"), bad, person)
		requireInvalid(t, err, "/"+strings.TrimSpace(field))
	}
}

func requireInvalid(t *testing.T, err error, pointer string) {
	t.Helper()
	var p *rp.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, rp.Invalid, p.Kind)
	require.Equal(t, pointer, p.Pointer, p.Detail)
	require.NotEmpty(t, p.Detail)
}

// TestParseRefuses: what is wrong with a body is refused, and named.
func TestParseRefuses(t *testing.T) {
	interaction := func(kind string, texts ...string) any {
		o := object{"type": kind}
		for i := 0; i < len(texts); i += 2 {
			o[texts[i]] = texts[i+1]
		}
		return []any{o}
	}
	const first = "/allowedInteractionsOrder/0"
	for _, c := range []struct {
		name, pointer string
		value         any
	}{
		{"relyingPartyUUID", "", nil}, {"relyingPartyUUID", "", 1}, {"relyingPartyUUID", "", ""}, {"relyingPartyUUID", "", "x" + uuid[1:]}, {"relyingPartyUUID", "", uuid + " "},
		{"relyingPartyName", "", nil}, {"relyingPartyName", "", ""}, {"relyingPartyName", "", true}, {"relyingPartyName", "", strings.Repeat("Õ", 17)}, {"relyingPartyName", "", "DE\x00MO"}, {"relyingPartyName", "", "DEMO\u202e"},
		{"certificateLevel", "", ""}, {"certificateLevel", "", "qualified"}, {"certificateLevel", "", []any{"QUALIFIED"}},
		{"hashType", "", nil}, {"hashType", "", "SHA1"}, {"hashType", "", "sha512"}, {"hashType", "", 512}, {"hashType", "/hash", "SHA256"},
		{"hash", "", nil}, {"hash", "", ""}, {"hash", "", 5}, {"hash", "", hash(63)}, {"hash", "", hash(65)}, {"hash", "", strings.TrimRight(hash(64), "=")}, {"hash", "", hash(64) + "\n"}, {"hash", "", "\r\n" + hash(64)},
		{"hash", "", strings.Replace(hash(64), "w==", "x==", 1)}, {"hash", "", strings.ReplaceAll(hash(64), "+", "-")}, {"hash", "", hash(64)[:40] + " " + hash(64)[40:]},
		{"nonce", "", ""}, {"nonce", "", strings.Repeat("a", 31)}, {"nonce", "", 1}, {"nonce", "", "a\x00"},
		{"requestProperties", "", "x"}, {"requestProperties", "/shareMdClientIpAddress", object{"shareMdClientIpAddress": "true"}}, {"requestProperties", "", object{"": 1}}, {"requestProperties", "", object{"a\nb": 1}}, {"requestProperties", "", many(17)},
		{"capabilities", "", "x"}, {"capabilities", "/0", []any{1}}, {"capabilities", "", []any{""}}, {"capabilities", "", []any{strings.Repeat("a", 65)}}, {"capabilities", "", make17()},
		{"allowedInteractionsOrder", "", nil}, {"allowedInteractionsOrder", "", []any{}}, {"allowedInteractionsOrder", "", object{}}, {"allowedInteractionsOrder", "", "W10="}, {"allowedInteractionsOrder", "/0", []any{1}},
		{"allowedInteractionsOrder", "", make9()},
		{"allowedInteractionsOrder", first + "/type", interaction("")}, {"allowedInteractionsOrder", first + "/type", interaction("displayTextandPIN", "displayText60", "a")}, {"allowedInteractionsOrder", first + "/type", []any{object{}}},
		{"allowedInteractionsOrder", first + "/displayText60", interaction("displayTextAndPIN")}, {"allowedInteractionsOrder", first + "/displayText60", interaction("verificationCodeChoice", "displayText60", "")},
		{"allowedInteractionsOrder", first + "/displayText200", interaction("displayTextAndPIN", "displayText200", "a")}, {"allowedInteractionsOrder", first + "/displayText200", interaction("displayTextAndPIN", "displayText60", "a", "displayText200", "a")},
		{"allowedInteractionsOrder", first + "/displayText60", interaction("confirmationMessage", "displayText60", "a", "displayText200", "a")},
		{"allowedInteractionsOrder", first + "/displayText60", interaction("displayTextAndPIN", "displayText60", strings.Repeat("Õ", 61))}, {"allowedInteractionsOrder", first + "/displayText200", interaction("confirmationMessage", "displayText200", strings.Repeat("Õ", 201))},
		{"allowedInteractionsOrder", first + "/displayText60", interaction("displayTextAndPIN", "displayText60", "a\nb")}, {"allowedInteractionsOrder", first + "/displayText60", interaction("displayTextAndPIN", "displayText60", "a\rb")},
		{"allowedInteractionsOrder", first + "/displayText60", interaction("displayTextAndPIN", "displayText60", "a\x00b")}, {"allowedInteractionsOrder", first + "/displayText60", interaction("displayTextAndPIN", "displayText60", "a\u202eb")},
	} {
		body := signing()
		body[c.name] = c.value
		pointer := c.pointer
		if !strings.HasPrefix(pointer, "/hash") && !strings.HasPrefix(pointer, first) {
			pointer = "/" + c.name + pointer
		}
		_, err := parse(t, endpoint(t, rp.V2, "authentication/etsi/{id}"), body, person)
		requireInvalid(t, err, pointer)
	}
	body := signing()
	body["certificateLevel"] = "QSCD"
	_, err := parse(t, endpoint(t, rp.V2, "authentication/etsi/{id}"), body, person)
	requireInvalid(t, err, "/certificateLevel")
	_, err = parse(t, endpoint(t, rp.V2, "signature/etsi/{id}"), body, person)
	require.NoError(t, err)

	e := endpoint(t, rp.V2, "authentication/etsi/{id}")
	good, err := json.Marshal(signing())
	require.NoError(t, err)
	for text, pointer := range map[string]string{
		"":   "",
		"[]": "",
		strings.Replace(string(good), "{", `{"hash":"",`, 1):      "/hash",
		strings.Repeat(" ", 64<<10) + string(good):                "",
		strings.Replace(string(good), `"DEMO"`, `"\ud800"`, 1):    "",
		strings.Replace(string(good), `"DEMO"`, "\"D\xffMO\"", 1): "",
	} {
		_, err := e.Parse([]byte(text), person)
		requireInvalid(t, err, pointer)
	}

	// A person who cannot be, and a path that is not one.
	for path, values := range map[string][][]string{
		"authentication/etsi/{id}":          {{""}, {"pnoee-40504040001"}, {"NTREE-10747013"}, {"PNOEE-1\x00"}},
		"authentication/document/{id}":      {{""}, {person}, {"PNOEE-40504040001-7tre-Q"}},
		"authentication/pno/{country}/{id}": {{"ee", "1"}, {"EE", ""}, {"", "1"}},
	} {
		for _, v := range values {
			version := rp.V2
			if strings.Contains(path, "pno") {
				version = rp.V1
			}
			_, err := parse(t, endpoint(t, version, path), signing(), v...)
			var p *rp.Problem
			require.ErrorAs(t, err, &p)
			require.Equal(t, rp.NotFound, p.Kind)
		}
	}
	_, err = e.Parse(good)
	require.Error(t, err)
	_, err = e.Parse(good, "a", "b")
	require.Error(t, err)
}

func many(n int) object {
	o := object{}
	for i := range n {
		o[fmt.Sprint("p", i)] = 1
	}
	return o
}

func make17() (out []any) {
	for range 17 {
		out = append(out, "a")
	}
	return out
}

func make9() (out []any) {
	for range 9 {
		out = append(out, object{"type": "displayTextAndPIN", "displayText60": "a"})
	}
	return out
}

// TestIdempotence: the same request has the same key; anything else has another.
func TestIdempotence(t *testing.T) {
	key := func(version rp.Version, path, body string, values ...string) string {
		r, err := endpoint(t, version, path).Parse([]byte(body), values...)
		require.NoError(t, err)
		require.True(t, r.Idempotent)
		return fmt.Sprintf("%x", r.Key)
	}
	good, err := json.Marshal(signing())
	require.NoError(t, err)
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, good, " ", "\t"))
	const path = "signature/etsi/{id}"
	want := key(rp.V2, path, string(good), person)
	require.Equal(t, want, key(rp.V2, path, indented.String(), person))
	seen := map[string]bool{want: true}
	for _, other := range []string{
		key(rp.V2, path, string(good), "PNOEE-40504040002"), key(rp.V2, "authentication/etsi/{id}", string(good), person), key(rp.V2, "signature/document/{id}", string(good), number),
		key(rp.V2, path, strings.Replace(string(good), "{", `{"nonce":"1",`, 1), person), key(rp.V2, path, strings.Replace(string(good), "Tree", "Free", 1), person),
		key(rp.V2, path, strings.Replace(string(good), uuid, strings.Replace(uuid, "8", "9", 1), 1), person), key(rp.V1, path, string(good), person),
	} {
		require.False(t, seen[other])
		seen[other] = true
	}
}

func outcome(t testing.TB) *rp.Outcome {
	d, err := identity.ParseDocument(number)
	require.NoError(t, err)
	return &rp.Outcome{End: rp.OK, Interaction: rp.DisplayTextAndPIN, Document: d, Certificate: []byte("DER"), Signature: []byte("signature"), Flow: rp.FlowNotification}
}

// TestStatus: every answer, byte for byte.
func TestStatus(t *testing.T) {
	request := func(v rp.Version, k rp.Kind) *rp.Request {
		return &rp.Request{Version: v, Kind: k, Algorithm: rp.Algorithm{Hash: crypto.SHA512}}
	}
	ignoring := request(rp.V2, rp.Signature)
	ignoring.Ignored = []string{"a<b"}
	advanced := outcome(t)
	advanced.Document.Level = identity.Advanced
	for want, s := range map[string]rp.Status{
		`{"state":"RUNNING"}`: {Request: request(rp.V2, rp.Authentication)},
		`{"state":"RUNNING","ignoredProperties":["a<b"],"deviceIpAddress":"192.0.2.1"}`: {Request: ignoring, DeviceIP: "192.0.2.1"},
		`{"state":"COMPLETE","result":{"endResult":"OK","documentNumber":"PNOEE-40504040001-7TRE-Q"},"signature":{"value":"c2lnbmF0dXJl","algorithm":"sha512WithRSAEncryption"},` +
			`"cert":{"value":"REVS","certificateLevel":"QUALIFIED"},"interactionFlowUsed":"displayTextAndPIN"}`: {Request: request(rp.V2, rp.Authentication), Outcome: outcome(t)},
		`{"state":"COMPLETE","result":{"endResult":"OK","documentNumber":"PNOEE-40504040001-7TRE-NQ"},"signature":{"value":"c2lnbmF0dXJl","algorithm":"sha512WithRSAEncryption"},` +
			`"cert":{"value":"REVS","certificateLevel":"ADVANCED"}}`: {Request: request(rp.V1, rp.Signature), Outcome: advanced},
		`{"state":"COMPLETE","result":{"endResult":"OK","documentNumber":"PNOEE-40504040001-7TRE-Q"},"cert":{"value":"REVS","certificateLevel":"QUALIFIED"}}`: {Request: request(rp.V2, rp.CertificateChoice), Outcome: outcome(t)},
	} {
		got, err := rpv2.Status(s)
		require.NoError(t, err)
		require.Equal(t, want+"\n", string(got))
	}

	screens := map[rp.InteractionType]string{
		rp.DisplayTextAndPIN: "USER_REFUSED_DISPLAYTEXTANDPIN", rp.VerificationCodeChoice: "USER_REFUSED_VC_CHOICE", rp.ConfirmationMessage: "USER_REFUSED_CONFIRMATIONMESSAGE",
		rp.ConfirmationMessageAndVerificationCodeChoice: "USER_REFUSED_CONFIRMATIONMESSAGE_WITH_VC_CHOICE",
	}
	for _, c := range []struct {
		end    rp.End
		v1, v2 string
	}{
		{rp.UserRefused, "USER_REFUSED", "USER_REFUSED"}, {rp.UserRefusedCertChoice, "USER_REFUSED", "USER_REFUSED_CERT_CHOICE"}, {rp.Timeout, "TIMEOUT", "TIMEOUT"}, {rp.DocumentUnusable, "DOCUMENT_UNUSABLE", "DOCUMENT_UNUSABLE"},
		{rp.WrongVC, "WRONG_VC", "WRONG_VC"}, {rp.InteractionNotSupported, "DOCUMENT_UNUSABLE", "REQUIRED_INTERACTION_NOT_SUPPORTED_BY_APP"}, {rp.ProtocolFailure, "DOCUMENT_UNUSABLE", "DOCUMENT_UNUSABLE"},
		{rp.ExpectedLinkedSession, "DOCUMENT_UNUSABLE", "DOCUMENT_UNUSABLE"}, {rp.UserRefusedInteraction, "USER_REFUSED", ""},
	} {
		for screen, refused := range screens {
			for version, want := range map[rp.Version]string{rp.V1: c.v1, rp.V2: c.v2} {
				if want == "" {
					want = refused
				}
				// Whatever else is in an outcome that is no success does not leave.
				o := outcome(t)
				o.End, o.Interaction = c.end, screen
				got, err := rpv2.Status(rp.Status{Request: request(version, rp.Signature), Outcome: o})
				require.NoError(t, err)
				require.Equal(t, `{"state":"COMPLETE","result":{"endResult":"`+want+`"}}`+"\n", string(got))
			}
		}
	}

	for name, change := range map[string]func(*rp.Status){
		"no request": func(s *rp.Status) { s.Request = nil }, "version 3": func(s *rp.Status) { s.Request.Version = rp.V3 }, "no end": func(s *rp.Status) { s.Outcome.End = 0 }, "another end": func(s *rp.Status) { s.Outcome.End = 99 },
		"no account": func(s *rp.Status) { s.Outcome.Document = identity.Document{} }, "no certificate": func(s *rp.Status) { s.Outcome.Certificate = nil }, "no signature": func(s *rp.Status) { s.Outcome.Signature = nil },
		"no algorithm": func(s *rp.Status) { s.Request.Algorithm = rp.Algorithm{} }, "PSS": func(s *rp.Status) { s.Request.Algorithm.PSS = true }, "no interaction": func(s *rp.Status) { s.Outcome.Interaction = "" },
		"no screen": func(s *rp.Status) { s.Outcome.End, s.Outcome.Interaction = rp.UserRefusedInteraction, "" },
	} {
		s := rp.Status{Request: request(rp.V2, rp.Signature), Outcome: outcome(t)}
		change(&s)
		_, err := rpv2.Status(s)
		require.Error(t, err, name)
	}
}

func TestProblem(t *testing.T) {
	for want, err := range map[string]error{
		`404 {"code":404,"message":"Not Found"}`:                 &rp.Problem{Kind: rp.NotFound, Detail: "no such account"},
		`471 {"code":471,"message":"No suitable account found"}`: &rp.Problem{Kind: rp.NoSuitableAccount},
		`401 {"code":401,"message":"Unauthorized"}`:              &rp.Problem{Kind: rp.Unauthorized},
		`500 {"code":500,"message":"Internal Server Error"}`:     errors.New("password of the database"),
		`400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"/hash is missing","instance":null,"properties":null,"code":400,"message":"/hash is missing"}`: &rp.Problem{
			Kind: rp.Invalid, Pointer: "/hash", Detail: "is missing",
		},
		`400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"the body is not JSON","instance":null,"properties":null,"code":400,"message":"the body is not JSON"}`: fmt.Errorf("wrapped: %w", &rp.Problem{
			Kind: rp.Invalid, Detail: "the body is not JSON",
		}),
	} {
		code, body := rpv2.Problem(rp.V2, err)
		require.Equal(t, want+"\n", fmt.Sprint(code, " ", string(body)))
	}
	created, err := rpv2.Created(uuid)
	require.NoError(t, err)
	require.Equal(t, `{"sessionID":"`+uuid+`"}`+"\n", string(created))
}

// FuzzParse: no body crashes; one that is refused has a problem that the relying party
// may see, and one that is not is within its limits.
func FuzzParse(f *testing.F) {
	endpoints := rpv2.Endpoints()
	f.Fuzz(func(t *testing.T, n uint8, body []byte, a, b string) {
		e := endpoints[int(n)%len(endpoints)]
		values := []string{a, b}[:strings.Count(e.Path(), "{")]
		r, err := e.Parse(body, values...)
		if err != nil {
			var p *rp.Problem
			require.ErrorAs(t, err, &p)
			require.Contains(t, []rp.ProblemKind{rp.Invalid, rp.NotFound}, p.Kind)
			_, answer := rpv2.Problem(e.Version(), err)
			require.True(t, json.Valid(answer))
			return
		}
		require.Equal(t, e.Version(), r.Version)
		require.NotEmpty(t, r.RelyingPartyName)
		require.LessOrEqual(t, len(r.RelyingPartyName), 32)
		require.True(t, (r.Target.Person == nil) != (r.Target.Document == nil))
		if r.Kind != rp.CertificateChoice {
			require.Len(t, r.Digest, r.Algorithm.Hash.Size())
			require.NotEmpty(t, r.Interactions)
		}
		for _, i := range r.Interactions {
			most, _ := i.Type.MaxText()
			require.Empty(t, rp.DisplayProblem(i.Text, most))
		}
	})
}

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*rpv2.Endpoint)(nil)},
		Functions: map[string]any{"Endpoints": rpv2.Endpoints, "Created": rpv2.Created, "Status": rpv2.Status, "Problem": rpv2.Problem},
	})
}

func ExampleEndpoint_Parse() {
	for _, e := range rpv2.Endpoints() {
		if e.Version() == rp.V2 && e.Path() == "certificatechoice/etsi/{id}" {
			_, err := e.Parse([]byte(`{"relyingPartyUUID": "00000000-0000-4000-8000-000000000000"}`), "PNOEE-40504040001")
			fmt.Println(err)
			code, _ := rpv2.Problem(rp.V2, err)
			fmt.Println(code)
		}
	}
	// Output:
	// rp: /relyingPartyName is missing
	// 400
}
