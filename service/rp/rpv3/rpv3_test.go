package rpv3_test

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
	"github.com/tandem-rsa/tandem/service/rp/rpv3"
)

const (
	uuid   = "00000000-0000-4000-8000-000000000000"
	person = "PNOEE-40504040001"
	number = "PNOEE-40504040001-7TRE-Q"

	linkLogin   = "authentication/device-link/anonymous"
	pushLogin   = "authentication/notification/etsi/{id}"
	linkSign    = "signature/device-link/document/{id}"
	pushSign    = "signature/notification/etsi/{id}"
	linkedSign  = "signature/notification/linked/{id}"
	certificate = "signature/certificate/{id}"
	linkChoice  = "signature/certificate-choice/device-link/anonymous"
	pushChoice  = "signature/certificate-choice/notification/etsi/{id}"
)

type object = map[string]any

func endpoint(t testing.TB, path string) rpv3.Endpoint {
	for _, e := range rpv3.Endpoints() {
		if e.Path() == path {
			return e
		}
	}
	require.Fail(t, "no endpoint", path)
	return rpv3.Endpoint{}
}

// id is the value of an endpoint's variable.
func id(path string) string {
	switch {
	case strings.Contains(path, "etsi/"):
		return person
	case strings.Contains(path, "{id}"):
		return number
	}
	return ""
}

func b64(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, n)) }

func interactions(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// body is one for an endpoint, with all that is required and nothing else.
func body(path string) object {
	o := object{"relyingPartyUUID": uuid, "relyingPartyName": "DEMO"}
	parameters := object{"signatureAlgorithm": "rsassa-pss", "signatureAlgorithmParameters": object{"hashAlgorithm": "SHA3-512"}}
	switch {
	case strings.HasPrefix(path, "authentication"):
		parameters["rpChallenge"] = b64(64)
		o["signatureProtocol"] = "ACSP_V2"
	case strings.HasPrefix(path, "signature/certificate"):
		return o
	default:
		parameters["digest"] = b64(64)
		o["signatureProtocol"] = "RAW_DIGEST_SIGNATURE"
	}
	o["signatureProtocolParameters"] = parameters
	o["interactions"] = interactions(`[{"type":"displayTextAndPIN","displayText60":"Log in"}]`)
	if strings.HasPrefix(path, "authentication/notification") {
		o["vcType"] = "numeric4"
	}
	if path == linkedSign {
		o["linkedSessionID"] = uuid
	}
	return o
}

func parse(t testing.TB, path string, body any) (*rp.Request, error) {
	b, err := json.Marshal(body)
	require.NoError(t, err)
	return endpoint(t, path).Parse(b, id(path))
}

func TestEndpoints(t *testing.T) {
	found := map[string]string{}
	for _, e := range rpv3.Endpoints() {
		found[e.Path()] = fmt.Sprint(e.Kind(), e.Flow())
	}
	require.Equal(t, map[string]string{
		"authentication/device-link/etsi/{id}": "1 2", "authentication/device-link/document/{id}": "1 2", "authentication/device-link/anonymous": "1 2",
		"authentication/notification/etsi/{id}": "1 1", "authentication/notification/document/{id}": "1 1",
		"signature/device-link/etsi/{id}": "2 2", "signature/device-link/document/{id}": "2 2", "signature/notification/etsi/{id}": "2 1", "signature/notification/document/{id}": "2 1",
		"signature/notification/linked/{id}": "2 3", "signature/certificate/{id}": "4 0", "signature/certificate-choice/device-link/anonymous": "3 2", "signature/certificate-choice/notification/etsi/{id}": "3 1",
	}, found)
}

func TestParse(t *testing.T) {
	pid, err := identity.ParseID(person)
	require.NoError(t, err)
	document, err := identity.ParseDocument(number)
	require.NoError(t, err)

	// The example of a login.
	o := body(linkLogin)
	o["initialCallbackUrl"], o["unknown"], o["nonce"] = "https://bank.example/cb?value=R4nd0m", 1, nil
	o["requestProperties"], o["capabilities"] = object{"shareMdClientIpAddress": true, "x": 1}, []string{"c"}
	r, err := parse(t, linkLogin, o)
	require.NoError(t, err)
	require.Equal(t, &rp.Request{
		Version: rp.V3, Kind: rp.Authentication, Flow: rp.DeviceLink, RelyingPartyUUID: uuid, RelyingPartyName: "DEMO", Level: rp.LevelQualified,
		Algorithm: rp.Algorithm{Hash: crypto.SHA3_512, PSS: true}, Challenge: b64(64),
		Interactions: []rp.Interaction{{Type: rp.DisplayTextAndPIN, Text: "Log in"}}, InteractionsText: interactions(`[{"type":"displayTextAndPIN","displayText60":"Log in"}]`),
		CallbackURL: "https://bank.example/cb?value=R4nd0m", ShareIP: true, Capabilities: []string{"c"}, Ignored: []string{"x"}, Key: r.Key,
	}, r)

	// A linked signature.
	o = body(linkedSign)
	o["nonce"], o["certificateLevel"] = "n", "QSCD"
	r, err = parse(t, linkedSign, o)
	require.NoError(t, err)
	require.Equal(t, &rp.Request{
		Version: rp.V3, Kind: rp.Signature, Flow: rp.Linked, Target: rp.Target{Document: &document}, RelyingPartyUUID: uuid, RelyingPartyName: "DEMO", Level: rp.LevelQSCD,
		Algorithm: rp.Algorithm{Hash: crypto.SHA3_512, PSS: true}, Digest: bytes.Repeat([]byte{0xfb}, 64),
		Interactions: []rp.Interaction{{Type: rp.DisplayTextAndPIN, Text: "Log in"}}, InteractionsText: interactions(`[{"type":"displayTextAndPIN","displayText60":"Log in"}]`),
		LinkedSession: uuid, Nonce: "n", Idempotent: true, Key: r.Key,
	}, r)

	for path, want := range map[string]*rp.Request{
		certificate: {Kind: rp.Certificate, Target: rp.Target{Document: &document}},
		linkChoice:  {Kind: rp.CertificateChoice, Flow: rp.DeviceLink, Idempotent: true},
		pushChoice:  {Kind: rp.CertificateChoice, Flow: rp.Notification, Target: rp.Target{Person: &pid}, Idempotent: true},
	} {
		r, err := parse(t, path, body(path))
		require.NoError(t, err)
		want.Version, want.RelyingPartyUUID, want.RelyingPartyName, want.Level, want.Key = rp.V3, uuid, "DEMO", rp.LevelQualified, r.Key
		require.Equal(t, want, r)
	}
	// What is required is enough for each.
	for _, e := range rpv3.Endpoints() {
		r, err := parse(t, e.Path(), body(e.Path()))
		require.NoError(t, err, e.Path())
		require.Equal(t, e.Kind(), r.Kind)
		require.Equal(t, e.Flow(), r.Flow)
	}

	for name, hashes := range map[string][]string{
		"rsassa-pss": {"SHA-256", "SHA-384", "SHA-512", "SHA3-256", "SHA3-384", "SHA3-512"}, "sha256WithRSAEncryption": {"", "SHA-256"}, "sha384WithRSAEncryption": {""}, "sha512WithRSAEncryption": {""},
	} {
		for _, hash := range hashes {
			o := body(pushSign)
			p := object{"signatureAlgorithm": name}
			if hash != "" {
				p["signatureAlgorithmParameters"] = object{"hashAlgorithm": hash}
			}
			a, _, ok := rp.AlgorithmOfName(name, hash)
			require.True(t, ok)
			p["digest"] = b64(a.Hash.Size())
			o["signatureProtocolParameters"] = p
			r, err := parse(t, pushSign, o)
			require.NoError(t, err)
			require.Equal(t, a, r.Algorithm)
		}
	}
	for _, n := range []int{32, 48, 64} {
		o := body(pushLogin)
		o["signatureProtocolParameters"].(object)["rpChallenge"] = b64(n)
		_, err := parse(t, pushLogin, o)
		require.NoError(t, err)
	}
}

// TestInteractions: the text is kept byte for byte, and all of it is shown.
func TestInteractions(t *testing.T) {
	with := func(path, text string) (*rp.Request, error) {
		o := body(path)
		o["interactions"] = text
		return parse(t, path, o)
	}
	const all = "[ {\"type\" : \"confirmationMessageAndVerificationCodeChoice\",\"displayText200\":\"\\u00d5\"},\n{\"type\":\"confirmationMessage\",\"displayText200\":\"b\",\"displayText60\":null},{\"type\":\"displayTextAndPIN\",\"displayText60\":\"c\"}]"
	r, err := with(pushSign, interactions(all))
	require.NoError(t, err)
	require.Equal(t, interactions(all), r.InteractionsText)
	require.Equal(t, []rp.Interaction{
		{Type: rp.ConfirmationMessageAndVerificationCodeChoice, Text: "Õ"}, {Type: rp.ConfirmationMessage, Text: "b"}, {Type: rp.DisplayTextAndPIN, Text: "c"},
	}, r.Interactions)
	for _, path := range []string{linkLogin, linkSign, linkedSign} {
		_, err := with(path, interactions(all))
		requireInvalid(t, err, "/interactions")
		_, err = with(path, interactions(`[{"type":"confirmationMessage","displayText200":"b"}]`))
		require.NoError(t, err)
	}
	for _, text := range []string{
		"", "[]", "{}", "null", `["a"]`, `[{}]`, `[{"type":"displayTextAndPIN"}]`, `[{"type":"displayTextAndPIN","displayText60":""}]`, `[{"type":"displayTextAndPIN","displayText60":1}]`,
		`[{"type":"displayTextAndPIN","displayText200":"a"}]`, `[{"type":"displayTextAndPIN","displayText60":"a","displayText200":"a"}]`, `[{"type":"displayTextAndPIN","displayText60":"` + strings.Repeat("Õ", 61) + `"}]`,
		`[{"type":"confirmationMessage","displayText200":"` + strings.Repeat("Õ", 201) + `"}]`, `[{"type":"verificationCodeChoice","displayText60":"a"}]`, `[{"type":"x","displayText60":"a"}]`,
		`[{"type":"displayTextAndPIN","displayText60":"a"},{"type":"displayTextAndPIN","displayText60":"b"}]`, `[{"type":"displayTextAndPIN","displayText60":"a","displayText60":"b"}]`,
		`[{"type":"displayTextAndPIN","displayText60":"a","amount":"1000"}]`, `[{"type":"displayTextAndPIN","displayText60":"a\nb"}]`, `[{"type":"displayTextAndPIN","displayText60":"a\u0000b"}]`,
		`[{"type":"displayTextAndPIN","displayText60":"a\u202eb"}]`, "[{\"type\":\"displayTextAndPIN\",\"displayText60\":\"\xff\"}]", `[{"type":"displayTextAndPIN","displayText60":"a"}] ` + "\x00",
	} {
		_, err := with(pushSign, interactions(text))
		requireInvalid(t, err, "/interactions")
	}
	good := interactions(`[{"type":"displayTextAndPIN","displayText60":"Log in"}]`)
	for _, text := range []string{good + "\n", strings.TrimRight(good, "="), " " + good, strings.ReplaceAll(good, "W3si", "W3s-"), `[{"type":"displayTextAndPIN","displayText60":"a"}]`} {
		_, err := with(pushSign, text)
		requireInvalid(t, err, "/interactions")
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

// TestPlaces: a member of another request is refused in each, and one that is required is
// missed in each.
func TestPlaces(t *testing.T) {
	const (
		required = "R"
		optional = "O"
		refused  = "-"
	)
	values := object{
		"initialCallbackUrl": "https://rp.example/", "certificateLevel": "QUALIFIED", "signatureProtocol": "ACSP_V2", "signatureProtocolParameters": object{}, "interactions": "W10=",
		"vcType": "numeric4", "linkedSessionID": uuid, "nonce": "n", "requestProperties": object{}, "capabilities": []any{},
	}
	table := map[string]string{ // by the columns of the API
		"relyingPartyUUID": "RRRRRRRR", "relyingPartyName": "RRRRRRRR", "initialCallbackUrl": "O-O---O-", "certificateLevel": "OOOOOOOO", "signatureProtocol": "RRRRR---",
		"signatureProtocolParameters": "RRRRR---", "interactions": "RRRRR---", "vcType": "-R------", "linkedSessionID": "----R---", "nonce": "--OOO-OO", "requestProperties": "OOOOO-OO", "capabilities": "OOOOO-OO",
	}
	for column, path := range []string{linkLogin, pushLogin, linkSign, pushSign, linkedSign, certificate, linkChoice, pushChoice} {
		for name, places := range table {
			o := body(path)
			switch string(places[column]) {
			case required:
				delete(o, name)
				_, err := parse(t, path, o)
				requireInvalid(t, err, "/"+name)
			case optional:
				o[name] = values[name]
				_, err := parse(t, path, o)
				require.NoError(t, err, "%s in %s", name, path)
			case refused:
				o[name] = values[name]
				_, err := parse(t, path, o)
				requireInvalid(t, err, "/"+name)
				o[name] = nil
				_, err = parse(t, path, o)
				require.NoError(t, err)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const parameters = "signatureProtocolParameters"
	pss := func(hash any) object { return object{"hashAlgorithm": hash} }
	for _, c := range []struct {
		path, pointer string
		value         any
	}{
		{pushLogin, "relyingPartyUUID", "x"}, {pushLogin, "relyingPartyName", strings.Repeat("a", 33)}, {pushLogin, "certificateLevel", "QSCD"}, {pushSign, "certificateLevel", "NONE"},
		{pushLogin, "signatureProtocol", "RAW_DIGEST_SIGNATURE"}, {pushSign, "signatureProtocol", "ACSP_V2"}, {pushLogin, "signatureProtocol", "ACSP_V1"}, {pushLogin, "signatureProtocol", 2}, {pushLogin, parameters, "x"},
		{pushLogin, parameters + "/signatureAlgorithm", nil}, {pushLogin, parameters + "/signatureAlgorithm", "RSASSA-PSS"}, {pushLogin, parameters + "/signatureAlgorithm", "sha1WithRSAEncryption"},
		{pushLogin, parameters + "/signatureAlgorithmParameters", nil}, {pushLogin, parameters + "/signatureAlgorithmParameters", "SHA-512"}, {pushLogin, parameters + "/signatureAlgorithmParameters/hashAlgorithm", pss("SHA-1")},
		{pushLogin, parameters + "/signatureAlgorithmParameters/hashAlgorithm", pss(nil)}, {pushLogin, parameters + "/signatureAlgorithmParameters/hashAlgorithm", pss(512)},
		{pushLogin, parameters + "/rpChallenge", nil}, {pushLogin, parameters + "/rpChallenge", ""}, {pushLogin, parameters + "/rpChallenge", b64(31)}, {pushLogin, parameters + "/rpChallenge", b64(65)},
		{pushLogin, parameters + "/rpChallenge", b64(64) + "\n"}, {pushLogin, parameters + "/rpChallenge", strings.TrimRight(b64(64), "=")}, {pushLogin, parameters + "/rpChallenge", strings.Replace(b64(64), "w==", "x==", 1)}, {pushLogin, parameters + "/rpChallenge", 7},
		{pushSign, parameters + "/digest", nil}, {pushSign, parameters + "/digest", b64(32)}, {pushSign, parameters + "/digest", "!"}, {pushSign, parameters + "/digest", b64(63)},
		{pushLogin, "vcType", "alphanumeric4"}, {pushLogin, "vcType", 4}, {linkedSign, "linkedSessionID", "x"}, {linkedSign, "linkedSessionID", 1},
		{pushSign, "nonce", strings.Repeat("a", 31)}, {pushSign, "nonce", ""}, {pushSign, "capabilities", "a"}, {pushSign, "requestProperties/shareMdClientIpAddress", object{"shareMdClientIpAddress": 1}}, {pushSign, "interactions", 5},
		{linkSign, "initialCallbackUrl", ""}, {linkSign, "initialCallbackUrl", 1}, {linkSign, "initialCallbackUrl", "http://rp.example/"}, {linkSign, "initialCallbackUrl", "HTTPS://rp.example/"}, {linkSign, "initialCallbackUrl", "https://"}, {linkSign, "initialCallbackUrl", "https:///x"},
		{linkSign, "initialCallbackUrl", "https://rp.example/#a"}, {linkSign, "initialCallbackUrl", "https://rp.example/|"}, {linkSign, "initialCallbackUrl", "https://rp.example/ "}, {linkSign, "initialCallbackUrl", "https://rp.example/\n"}, {linkSign, "initialCallbackUrl", "https://rp.example/õ"},
		{linkSign, "initialCallbackUrl", "https://me@rp.example/"}, {linkSign, "initialCallbackUrl", "https://rp.example:x/"}, {linkSign, "initialCallbackUrl", "https://rp.example/%zz"}, {linkSign, "initialCallbackUrl", "https://rp.example/" + strings.Repeat("a", 1782)}, {linkSign, "initialCallbackUrl", "rpapp://x"},
	} {
		o := body(c.path)
		first, rest, nested := strings.Cut(c.pointer, "/")
		switch member, _, _ := strings.Cut(rest, "/"); {
		case nested && first == parameters:
			p := maps.Clone(o[first].(object))
			p[member] = c.value
			o[first] = p
		default:
			o[first] = c.value
		}
		_, err := parse(t, c.path, o)
		requireInvalid(t, err, "/"+c.pointer)
	}
	o := body(linkSign)
	o["initialCallbackUrl"] = "https://rp.example/" + strings.Repeat("a", 1781)
	_, err := parse(t, linkSign, o)
	require.NoError(t, err)

	e := endpoint(t, pushSign)
	good, err := json.Marshal(body(pushSign))
	require.NoError(t, err)
	for text, pointer := range map[string]string{
		"": "", "[]": "", strings.Replace(string(good), "{", `{"nonce":"a","nonce":"b",`, 1): "/nonce", strings.Repeat(" ", 64<<10) + string(good): "",
		strings.Replace(string(good), "{", `{"a":[[[[[[[[1]]]]]]]],`, 1): "/a/0/0/0/0/0/0/0",
	} {
		_, err := e.Parse([]byte(text), person)
		requireInvalid(t, err, pointer)
	}
	for _, value := range []string{"", "pnoee-40504040001", number + "x"} {
		_, err := endpoint(t, linkedSign).Parse(must(json.Marshal(body(linkedSign))), value)
		var p *rp.Problem
		require.ErrorAs(t, err, &p)
		require.Equal(t, rp.NotFound, p.Kind)
	}
	_, err = endpoint(t, linkLogin).Parse(must(json.Marshal(body(linkLogin))), person)
	require.Error(t, err)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestIdempotence: the same signing request has the same key, and a login never counts as
// one that was before.
func TestIdempotence(t *testing.T) {
	seen := map[string]string{}
	for _, e := range rpv3.Endpoints() {
		o := body(e.Path())
		r, err := parse(t, e.Path(), o)
		require.NoError(t, err)
		require.Equal(t, strings.HasPrefix(e.Path(), "signature/") && e.Path() != certificate, r.Idempotent, e.Path())
		again, err := parse(t, e.Path(), o)
		require.NoError(t, err)
		require.Equal(t, r.Key, again.Key)
		require.Empty(t, seen[string(r.Key[:])])
		seen[string(r.Key[:])] = e.Path()
		o["relyingPartyName"] = "demo"
		other, err := parse(t, e.Path(), o)
		require.NoError(t, err)
		require.NotEqual(t, r.Key, other.Key)
	}
}

func outcome() *rp.Outcome {
	return &rp.Outcome{
		End: rp.OK, Interaction: rp.ConfirmationMessage, Document: must(identity.ParseDocument(number)), Certificate: []byte("DER"), Signature: []byte("signature"),
		Flow: rp.FlowQR, ServerRandom: "MTlop6EXCrQ6FOErcKjxUhbV", UserChallenge: "GnsWXXEjTCKR89fj9uo5u5ReBZ9JR7_pezLAI5jMS00",
	}
}

func request(k rp.Kind, f rp.Flow) *rp.Request {
	return &rp.Request{Version: rp.V3, Kind: k, Flow: f, Algorithm: rp.Algorithm{Hash: crypto.SHA512, PSS: true}}
}

// TestStatus: every answer, byte for byte.
func TestStatus(t *testing.T) {
	const (
		ok   = `{"state":"COMPLETE","result":{"endResult":"OK","documentNumber":"PNOEE-40504040001-7TRE-Q"}`
		cert = `"cert":{"value":"REVS","certificateLevel":"QUALIFIED"}`
		pss  = `"signatureAlgorithm":"rsassa-pss","signatureAlgorithmParameters":{"hashAlgorithm":"SHA-512","maskGenAlgorithm":{"algorithm":"id-mgf1","parameters":{"hashAlgorithm":"SHA-512"}},"saltLength":64,"trailerField":"0xbc"}`
	)
	ignoring := request(rp.Signature, rp.DeviceLink)
	ignoring.Ignored = []string{"a<b"}
	old := request(rp.Signature, rp.Linked)
	old.Algorithm.PSS = false
	notified := outcome()
	notified.Flow = rp.FlowNotification
	for want, s := range map[string]rp.Status{
		`{"state":"RUNNING"}`: {Request: request(rp.Authentication, rp.DeviceLink)},
		`{"state":"RUNNING","deviceIpAddress":"192.0.2.1","ignoredProperties":["a<b"]}`: {Request: ignoring, DeviceIP: "192.0.2.1"},
		ok + `,"signatureProtocol":"ACSP_V2","signature":{"value":"c2lnbmF0dXJl","serverRandom":"MTlop6EXCrQ6FOErcKjxUhbV","userChallenge":"GnsWXXEjTCKR89fj9uo5u5ReBZ9JR7_pezLAI5jMS00","flowType":"QR",` + pss +
			`},` + cert + `,"interactionTypeUsed":"confirmationMessage"}`: {Request: request(rp.Authentication, rp.DeviceLink), Outcome: outcome()},
		ok + `,"signatureProtocol":"RAW_DIGEST_SIGNATURE","signature":{"value":"c2lnbmF0dXJl","flowType":"QR",` + pss + `},` + cert + `,"interactionTypeUsed":"confirmationMessage"}`: {Request: request(rp.Signature, rp.DeviceLink), Outcome: outcome()},
		ok + `,"signatureProtocol":"RAW_DIGEST_SIGNATURE","signature":{"value":"c2lnbmF0dXJl","flowType":"Notification","signatureAlgorithm":"sha512WithRSAEncryption"},` + cert + `,"interactionTypeUsed":"confirmationMessage"}`: {
			Request: old, Outcome: notified,
		},
		ok + `,"signature":{"flowType":"QR"},` + cert + `}`: {Request: request(rp.CertificateChoice, rp.DeviceLink), Outcome: outcome()},
		ok + `,` + cert + `}`:                               {Request: request(rp.CertificateChoice, rp.Notification), Outcome: notified},
	} {
		got, err := rpv3.Status(s)
		require.NoError(t, err)
		require.Equal(t, want+"\n", string(got))
	}

	for end, want := range map[rp.End]string{
		rp.UserRefused: "USER_REFUSED", rp.UserRefusedCertChoice: "USER_REFUSED_CERT_CHOICE", rp.Timeout: "TIMEOUT", rp.DocumentUnusable: "DOCUMENT_UNUSABLE", rp.WrongVC: "WRONG_VC",
		rp.InteractionNotSupported: "REQUIRED_INTERACTION_NOT_SUPPORTED_BY_APP", rp.ProtocolFailure: "PROTOCOL_FAILURE", rp.ExpectedLinkedSession: "EXPECTED_LINKED_SESSION",
	} {
		o := outcome()
		o.End = end
		got, err := rpv3.Status(rp.Status{Request: request(rp.Signature, rp.DeviceLink), Outcome: o})
		require.NoError(t, err)
		require.Equal(t, `{"state":"COMPLETE","result":{"endResult":"`+want+`"}}`+"\n", string(got))
	}
	for _, screen := range []rp.InteractionType{rp.DisplayTextAndPIN, rp.VerificationCodeChoice, rp.ConfirmationMessage, rp.ConfirmationMessageAndVerificationCodeChoice} {
		o := outcome()
		o.End, o.Interaction = rp.UserRefusedInteraction, screen
		got, err := rpv3.Status(rp.Status{Request: request(rp.Authentication, rp.Notification), Outcome: o})
		require.NoError(t, err)
		require.Equal(t, `{"state":"COMPLETE","result":{"endResult":"USER_REFUSED_INTERACTION","details":{"interaction":"`+string(screen)+`"}}}`+"\n", string(got))
	}

	for name, change := range map[string]func(*rp.Status){
		"no request": func(s *rp.Status) { s.Request = nil }, "version 2": func(s *rp.Status) { s.Request.Version = rp.V2 }, "a certificate": func(s *rp.Status) { s.Request.Kind = rp.Certificate },
		"no end": func(s *rp.Status) { s.Outcome.End = 0 }, "no account": func(s *rp.Status) { s.Outcome.Document = identity.Document{} }, "no certificate": func(s *rp.Status) { s.Outcome.Certificate = nil },
		"no signature": func(s *rp.Status) { s.Outcome.Signature = nil }, "no algorithm": func(s *rp.Status) { s.Request.Algorithm = rp.Algorithm{} }, "no interaction": func(s *rp.Status) { s.Outcome.Interaction = "" },
		"no screen": func(s *rp.Status) { s.Outcome.End, s.Outcome.Interaction = rp.UserRefusedInteraction, "" }, "no random": func(s *rp.Status) { s.Outcome.ServerRandom = "" }, "no challenge": func(s *rp.Status) { s.Outcome.UserChallenge = "" },
		"a link that was pushed": func(s *rp.Status) { s.Outcome.Flow = rp.FlowNotification }, "a notification that was scanned": func(s *rp.Status) { s.Request.Flow = rp.Notification }, "no flow": func(s *rp.Status) { s.Outcome.Flow = "" },
	} {
		s := rp.Status{Request: request(rp.Authentication, rp.DeviceLink), Outcome: outcome()}
		change(&s)
		_, err := rpv3.Status(s)
		require.Error(t, err, name)
	}
}

func TestCreated(t *testing.T) {
	for want, s := range map[string]rp.Session{
		`{"sessionID":"i"}`: {ID: "i"},
		`{"sessionID":"i","vc":{"type":"numeric4","value":"0012"}}`:                             {ID: "i", Code: "0012"},
		`{"sessionID":"i","sessionToken":"t","sessionSecret":"s","deviceLinkBase":"https://h"}`: rp.Session{ID: "i"}.WithLink("t", "s", "https://h"),
	} {
		got, err := rpv3.Created(s)
		require.NoError(t, err)
		require.Equal(t, want+"\n", string(got))
	}
	i := rp.Session{ID: "i"}
	for _, s := range []rp.Session{{}, i.WithLink("t", "", ""), i.WithLink("t", "s", ""), i.WithLink("", "s", "b"), rp.Session{ID: "i", Code: "1234"}.WithLink("t", "s", "b"), rp.Session{}.WithLink("t", "s", "b")} {
		_, err := rpv3.Created(s)
		require.Error(t, err)
	}
	got, err := rpv3.Certificate(*outcome())
	require.NoError(t, err)
	require.Equal(t, `{"state":"OK","cert":{"value":"REVS","certificateLevel":"QUALIFIED"}}`+"\n", string(got))
	unusable := *outcome()
	unusable.End = rp.DocumentUnusable
	got, err = rpv3.Certificate(unusable)
	require.NoError(t, err)
	require.Equal(t, `{"state":"DOCUMENT_UNUSABLE"}`+"\n", string(got))
	for _, o := range []rp.Outcome{{}, {End: rp.OK}, {End: rp.Timeout}} {
		_, err := rpv3.Certificate(o)
		require.Error(t, err)
	}
}

func TestProblem(t *testing.T) {
	for want, err := range map[string]error{
		`404 {"type":"about:blank","title":"Not Found","status":404,"detail":"no such account"}`:                                                                            &rp.Problem{Kind: rp.NotFound, Detail: "no such account"},
		`404 {"type":"about:blank","title":"Not Found","status":404,"errors":[{"code":"NO_SUITABLE_ACCOUNT_FOUND","detail":"the person has accounts, none of the level"}]}`: &rp.Problem{Kind: rp.NoSuitableAccount},
		`500 {"type":"about:blank","title":"Internal Server Error","status":500}`:                                                                                           errors.New("password of the database"),
		`500 {"type":"about:blank","title":"Internal Server Error","status":500} `:                                                                                          &rp.Problem{Kind: rp.Internal, Detail: "password of the database"},
		`400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"is not a signature algorithm","errors":[{"detail":"is not a signature algorithm","paramName":"signatureAlgorithm","pointer":"/signatureProtocolParameters/signatureAlgorithm"}]}`: fmt.Errorf("wrapped: %w", &rp.Problem{
			Kind: rp.Invalid, Pointer: "/signatureProtocolParameters/signatureAlgorithm", Detail: "is not a signature algorithm",
		}),
		`403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"not permitted","errors":[{"detail":"not permitted","paramName":"shareMdClientIpAddress","pointer":"/requestProperties/shareMdClientIpAddress"}]}`: &rp.Problem{
			Kind: rp.Forbidden, Pointer: "/requestProperties/shareMdClientIpAddress", Detail: "not permitted",
		},
	} {
		code, body := rpv3.Problem(err)
		require.Equal(t, strings.TrimSpace(want)+"\n", fmt.Sprint(code, " ", string(body)))
	}
}

// FuzzParse: no body crashes; one that is refused has a problem that the relying party
// may see, and one that is not is within its limits.
func FuzzParse(f *testing.F) {
	endpoints := rpv3.Endpoints()
	f.Fuzz(func(t *testing.T, n uint8, body []byte, id string) {
		e := endpoints[int(n)%len(endpoints)]
		if !strings.Contains(e.Path(), "{") {
			id = ""
		}
		r, err := e.Parse(body, id)
		if err != nil {
			var p *rp.Problem
			require.ErrorAs(t, err, &p)
			require.Contains(t, []rp.ProblemKind{rp.Invalid, rp.NotFound}, p.Kind)
			_, answer := rpv3.Problem(err)
			require.True(t, json.Valid(answer))
			return
		}
		require.Equal(t, e.Kind(), r.Kind)
		require.NotContains(t, r.CallbackURL+r.Challenge+r.InteractionsText, "|")
		if r.Kind == rp.Signature {
			require.Len(t, r.Digest, r.Algorithm.Hash.Size())
		}
		require.Equal(t, r.Kind == rp.Signature || r.Kind == rp.Authentication, len(r.Interactions) > 0)
		for _, i := range r.Interactions {
			most, _ := i.Type.MaxText()
			require.Empty(t, rp.DisplayProblem(i.Text, most))
		}
	})
}

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*rpv3.Endpoint)(nil)},
		Functions: map[string]any{
			"Endpoints": rpv3.Endpoints, "Created": rpv3.Created, "Status": rpv3.Status, "Certificate": rpv3.Certificate, "Problem": rpv3.Problem,
		},
	})
}

func ExampleEndpoint_Parse() {
	for _, e := range rpv3.Endpoints() {
		if e.Path() == "signature/certificate/{id}" {
			r, err := e.Parse([]byte(`{"relyingPartyUUID": "00000000-0000-4000-8000-000000000000", "relyingPartyName": "DEMO"}`), "PNOEE-40504040001-7TRE-Q")
			fmt.Println(r.Target.Document, err)
		}
	}
	// Output: PNOEE-40504040001-7TRE-Q <nil>
}

// TestProblemOfNothing: a nil in place of a problem is an internal error.
func TestProblemOfNothing(t *testing.T) {
	for _, err := range []error{nil, (*rp.Problem)(nil), fmt.Errorf("wrapped: %w", (*rp.Problem)(nil))} {
		code, body := rpv3.Problem(err)
		require.Equal(t, 500, code)
		require.True(t, json.Valid(body))
	}
}

// TestMostProperties: a request may have 16 properties that nobody knows, and 16
// capabilities.
func TestMostProperties(t *testing.T) {
	for n, ok := range map[int]bool{16: true, 17: false} {
		properties, capabilities := object{"shareMdClientIpAddress": true}, []string{}
		for i := range n {
			properties[fmt.Sprint("p", i)] = i
			capabilities = append(capabilities, fmt.Sprint("c", i))
		}
		for name, value := range map[string]any{"requestProperties": properties, "capabilities": capabilities} {
			o := body(pushSign)
			o[name] = value
			_, err := parse(t, pushSign, o)
			require.Equal(t, ok, err == nil, "%s: %d", name, n)
		}
	}
}

// TestLocal: in a trial a callback URL may be of this machine, by http; nowhere else is
// it, and of no other machine.
func TestLocal(t *testing.T) {
	for _, e := range rpv3.Endpoints() {
		if e.Path() != "authentication/device-link/anonymous" {
			continue
		}
		body := func(callback string) []byte {
			text, err := json.Marshal(object{
				"relyingPartyUUID": "00000000-0000-4000-8000-000000000000", "relyingPartyName": "DEMO", "initialCallbackUrl": callback, "signatureProtocol": "ACSP_V2",
				"signatureProtocolParameters": object{"rpChallenge": strings.Repeat("A", 43) + "=", "signatureAlgorithm": "sha256WithRSAEncryption"},
				"interactions":                "W3sidHlwZSI6ImRpc3BsYXlUZXh0QW5kUElOIiwiZGlzcGxheVRleHQ2MCI6IkxvZyBpbiJ9XQ==",
			})
			require.NoError(t, err)
			return text
		}
		for callback, want := range map[string][2]bool{
			"https://rp.example/": {true, true}, "http://127.0.0.1:8080/back?value=1": {true, false}, "http://[::1]/": {true, false},
			"http://rp.example/": {}, "http://localhost/": {}, "http://192.0.2.1/": {}, "ftp://127.0.0.1/": {}, "http://me@127.0.0.1/": {}, "http://127.0.0.1.rp.example/": {},
		} {
			_, err := e.Local().Parse(body(callback), "")
			require.Equal(t, want[0], err == nil, "%s: %v", callback, err)
			_, err = e.Parse(body(callback), "")
			require.Equal(t, want[1], err == nil, "%s: %v", callback, err)
		}
		return
	}
	require.Fail(t, "no such endpoint")
}
