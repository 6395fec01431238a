// Package rpv3 reads requests of version 3 of the relying-party API, and writes its
// answers.
//
// An [Endpoint] turns a body into an [rp.Request]; [Created], [Status], [Certificate] and
// [Problem] write the answers. All refusals are an [*rp.Problem] that names the member of
// the body. A member that the API knows and that has no place in a request is refused;
// one that it does not know is ignored; one that is null is as one that is absent.
package rpv3

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/internal/fields"
	"github.com/tandem-rsa/tandem/service/strictjson"
)

// target is how an endpoint names the person.
type target uint8

const (
	etsi target = iota
	document
	anonymous
)

// Endpoint is one kind of POST.
type Endpoint struct {
	path   string
	kind   rp.Kind
	flow   rp.Flow
	target target
	fields string // the members beside those that all requests have, with "!" those that are required
	local  bool   // see Local
}

const (
	what    = "signatureProtocol! signatureProtocolParameters! interactions!"
	options = "requestProperties capabilities"
)

var endpoints = []Endpoint{
	{"authentication/device-link/etsi/{id}", rp.Authentication, rp.DeviceLink, etsi, what + " initialCallbackUrl " + options, false},
	{"authentication/device-link/document/{id}", rp.Authentication, rp.DeviceLink, document, what + " initialCallbackUrl " + options, false},
	{"authentication/device-link/anonymous", rp.Authentication, rp.DeviceLink, anonymous, what + " initialCallbackUrl " + options, false},
	{"authentication/notification/etsi/{id}", rp.Authentication, rp.Notification, etsi, what + " vcType! " + options, false},
	{"authentication/notification/document/{id}", rp.Authentication, rp.Notification, document, what + " vcType! " + options, false},
	{"signature/device-link/etsi/{id}", rp.Signature, rp.DeviceLink, etsi, what + " initialCallbackUrl nonce " + options, false},
	{"signature/device-link/document/{id}", rp.Signature, rp.DeviceLink, document, what + " initialCallbackUrl nonce " + options, false},
	{"signature/notification/etsi/{id}", rp.Signature, rp.Notification, etsi, what + " nonce " + options, false},
	{"signature/notification/document/{id}", rp.Signature, rp.Notification, document, what + " nonce " + options, false},
	{"signature/notification/linked/{id}", rp.Signature, rp.Linked, document, what + " linkedSessionID! nonce " + options, false},
	{"signature/certificate/{id}", rp.Certificate, 0, document, "", false},
	{"signature/certificate-choice/device-link/anonymous", rp.CertificateChoice, rp.DeviceLink, anonymous, "initialCallbackUrl nonce " + options, false},
	{"signature/certificate-choice/notification/etsi/{id}", rp.CertificateChoice, rp.Notification, etsi, "nonce " + options, false},
}

// members are those that some request has.
var members = []string{
	"signatureProtocol", "signatureProtocolParameters", "interactions", "initialCallbackUrl", "vcType", "linkedSessionID", "nonce", "requestProperties", "capabilities",
}

// Endpoints returns all that there are.
func Endpoints() []Endpoint { return slices.Clone(endpoints) }

// Local returns an endpoint that takes callback URLs of the phone's own machine without
// TLS, too: "http://127.0.0.1:8080/...". It is for trials in which browser, phone and
// service are on one machine.
func (e Endpoint) Local() Endpoint {
	e.local = true
	return e
}

// Path returns the path below the base URL, with the variable, if there is one, in
// braces, as http.ServeMux has it: "authentication/notification/etsi/{id}".
func (e Endpoint) Path() string { return e.path }

// Kind returns what the endpoint is for.
func (e Endpoint) Kind() rp.Kind { return e.kind }

// Flow returns how its requests reach the person's device.
func (e Endpoint) Flow() rp.Flow { return e.flow }

// Parse reads a body. id is the value of the variable of Path, decoded; empty if there is
// none. The error is an [*rp.Problem].
func (e Endpoint) Parse(body []byte, id string) (*rp.Request, error) {
	if e.kind == 0 {
		return nil, &rp.Problem{Kind: rp.Internal, Detail: "no endpoint"}
	}
	o, err := strictjson.Parse(body)
	if err != nil {
		return nil, fields.Problem(err)
	}
	r := &rp.Request{Version: rp.V3, Kind: e.kind, Flow: e.flow}
	// What comes twice within some seconds is the same signature; a login has a challenge
	// that is new each time.
	r.Idempotent = e.kind == rp.Signature || e.kind == rp.CertificateChoice
	fields.RelyingParty(o, r)
	fields.Level(o, r)
	e.place(o)
	if e.has("nonce") {
		fields.Nonce(o, r)
	}
	if e.has("requestProperties") {
		fields.Properties(o, r)
	}
	if e.has("signatureProtocol") {
		protocol(o, r)
		interactions(o, r)
	}
	if e.has("initialCallbackUrl") {
		callback(o, r, e.local)
	}
	if e.has("vcType") && o.String("vcType", true) != "numeric4" {
		o.Fail("vcType", "is not numeric4")
	}
	if e.has("linkedSessionID") {
		linked(o, r)
	}
	if err := o.Err(); err != nil {
		return nil, fields.Problem(err)
	}
	switch {
	case e.target == etsi:
		r.Target, err = fields.Person(id)
	case e.target == document:
		r.Target, err = fields.Document(id)
	case id != "":
		err = &rp.Problem{Kind: rp.Internal, Detail: "the path has no variable"}
	}
	if err != nil {
		return nil, err
	}
	r.Key = fields.Key(r, e.path+"\x00"+id, o)
	return r, nil
}

// has reports whether a request of the endpoint has a member.
func (e Endpoint) has(member string) bool {
	return slices.ContainsFunc(strings.Fields(e.fields), func(f string) bool { return strings.TrimSuffix(f, "!") == member })
}

// place refuses members of other requests, and asks for those that are required.
func (e Endpoint) place(o *strictjson.Object) {
	for _, m := range members {
		switch {
		case !e.has(m) && o.Has(m):
			o.Fail(m, "has no place in this request")
		case strings.Contains(" "+e.fields+" ", " "+m+"! ") && !o.Has(m):
			o.Fail(m, "is missing")
		}
	}
}

const (
	// ACSP is the signature protocol of logins.
	ACSP = "ACSP_V2"
	// RawDigest is the signature protocol of signatures.
	RawDigest = "RAW_DIGEST_SIGNATURE"

	minChallenge, maxChallenge = 32, 64 // bytes
)

// protocol reads signatureProtocol and its parameters.
func protocol(o *strictjson.Object, r *rp.Request) {
	want := map[rp.Kind]string{rp.Authentication: ACSP, rp.Signature: RawDigest}[r.Kind]
	if o.String("signatureProtocol", true) != want {
		o.Fail("signatureProtocol", "is not "+want)
	}
	p := o.Object("signatureProtocolParameters", true)
	name := p.String("signatureAlgorithm", true)
	hashOf := p.Object("signatureAlgorithmParameters", false)
	hash := hashOf.String("hashAlgorithm", false)
	a, nameOK, hashOK := rp.AlgorithmOfName(name, hash)
	switch {
	case !nameOK:
		p.Fail("signatureAlgorithm", "is not a signature algorithm")
	case !p.Has("signatureAlgorithmParameters") && !hashOK:
		p.Fail("signatureAlgorithmParameters", "is missing")
	case !hashOK:
		hashOf.Fail("hashAlgorithm", "is not a hash of this signature algorithm")
	}
	if o.Err() != nil {
		return
	}
	r.Algorithm = a
	if r.Kind == rp.Signature {
		fields.Digest(p, "digest", r)
		return
	}
	r.Challenge = p.String("rpChallenge", true)
	if b, ok := fields.Base64(r.Challenge); !ok {
		p.Fail("rpChallenge", "is not base64")
	} else if len(b) < minChallenge || len(b) > maxChallenge {
		p.Fail("rpChallenge", "does not have 32 to 64 bytes")
	}
}

// interactions reads interactions: JSON in base64, which is kept as it is.
func interactions(o *strictjson.Object, r *rp.Request) {
	const name = "interactions"
	r.InteractionsText = o.String(name, true)
	text, ok := fields.Base64(r.InteractionsText)
	if !ok {
		o.Fail(name, "is not base64")
		return
	}
	list, problem := parseInteractions(text, r.Flow)
	if problem != "" {
		o.Fail(name, problem)
	}
	r.Interactions = list
}

// parseInteractions reads the JSON of interactions. Its members are those of interactions
// and no others: all of it is signed, so all of it must be shown.
func parseInteractions(text []byte, flow rp.Flow) (out []rp.Interaction, problem string) {
	list, err := strictjson.ParseArray(text)
	if err != nil {
		return nil, "is not an array of interactions: " + err.Error()
	}
	if len(list) == 0 {
		return nil, "is empty"
	}
	for _, o := range list {
		i := fields.Interaction(o)
		for _, name := range o.Names() {
			if name != "type" && name != "displayText60" && name != "displayText200" {
				o.Fail(name, "is not a member of an interaction")
			}
		}
		switch {
		case i.Type == rp.VerificationCodeChoice,
			i.Type == rp.ConfirmationMessageAndVerificationCodeChoice && flow != rp.Notification:
			o.Fail("type", "has no place in this flow")
		case slices.ContainsFunc(out, func(other rp.Interaction) bool { return other.Type == i.Type }):
			o.Fail("type", "is there twice")
		}
		out = append(out, i)
	}
	if err := list[0].Err(); err != nil {
		return nil, "is not acceptable: " + err.Error()
	}
	return out, ""
}

const maxCallback = 1800

// callback reads initialCallbackUrl. A "|" would end it where it is signed, and what a
// fragment has the phone could not add to.
func callback(o *strictjson.Object, r *rp.Request, local bool) {
	const name = "initialCallbackUrl"
	if !o.Has(name) {
		return
	}
	r.CallbackURL = o.String(name, true)
	u, err := url.Parse(r.CallbackURL)
	switch {
	case len(r.CallbackURL) > maxCallback:
		o.Fail(name, "has more than 1800 characters")
	case strings.ContainsFunc(r.CallbackURL, func(r rune) bool { return r <= ' ' || r > '~' || r == '|' || r == '#' }):
		o.Fail(name, "has a character that is not allowed")
	case err != nil || !strings.HasPrefix(r.CallbackURL, "https://") && !(local && onLoopback(u)) || u.Hostname() == "" || u.User != nil:
		o.Fail(name, "is not an https URL")
	}
}

// onLoopback reports whether a URL is of this machine, by http.
func onLoopback(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && err == nil && a.IsLoopback()
}

func linked(o *strictjson.Object, r *rp.Request) {
	const name = "linkedSessionID"
	id, ok := rp.UUID(o.String(name, true))
	if !ok {
		o.Fail(name, "is not a UUID")
	}
	r.LinkedSession = id
}
