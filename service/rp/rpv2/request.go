// Package rpv2 reads requests of versions 1 and 2 of the relying-party API, and writes
// its answers.
//
// An [Endpoint] turns a body into an [rp.Request]; [Created], [Status] and [Problem]
// write the answers. All refusals are an [*rp.Problem] that names the member of the body.
// Members that the API does not know are ignored, since version 2 always did; a member
// that is null is as one that is absent.
package rpv2

import (
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/internal/fields"
	"github.com/tandem-rsa/tandem/service/strictjson"
)

// target is how an endpoint names the person.
type target uint8

const (
	etsi target = iota
	document
	pno // a country and a personal number, in version 1
)

// Endpoint is one kind of POST.
type Endpoint struct {
	version rp.Version
	kind    rp.Kind
	target  target
}

// Endpoints returns all that there are.
func Endpoints() (out []Endpoint) {
	for _, kind := range []rp.Kind{rp.Authentication, rp.Signature, rp.CertificateChoice} {
		for _, t := range []target{etsi, document} {
			out = append(out, Endpoint{rp.V1, kind, t}, Endpoint{rp.V2, kind, t})
		}
		out = append(out, Endpoint{rp.V1, kind, pno})
	}
	return out
}

// Version returns the version that the endpoint is of.
func (e Endpoint) Version() rp.Version { return e.version }

// Path returns the path below the base URL of its version, with the variables in braces,
// as http.ServeMux has them: "authentication/etsi/{id}".
func (e Endpoint) Path() string {
	kinds := map[rp.Kind]string{rp.Authentication: "authentication", rp.Signature: "signature", rp.CertificateChoice: "certificatechoice"}
	return kinds[e.kind] + "/" + map[target]string{etsi: "etsi/{id}", document: "document/{id}", pno: "pno/{country}/{id}"}[e.target]
}

// Parse reads a body. values are those of the variables of Path, in their order, decoded.
// The error is an [*rp.Problem].
func (e Endpoint) Parse(body []byte, values ...string) (*rp.Request, error) {
	if e.version != rp.V1 && e.version != rp.V2 {
		return nil, &rp.Problem{Kind: rp.Internal, Detail: "no endpoint"}
	}
	o, err := strictjson.Parse(body)
	if err != nil {
		return nil, fields.Problem(err)
	}
	r := &rp.Request{Version: e.version, Kind: e.kind, Flow: rp.Notification, Idempotent: true}
	fields.RelyingParty(o, r)
	fields.Level(o, r)
	fields.Nonce(o, r)
	properties := fields.Properties(o, r, known[e.version]...)
	if e.kind != rp.CertificateChoice {
		digest(o, r)
		if e.version == rp.V1 {
			displayText(o, properties, r)
		} else {
			interactions(o, r)
		}
	}
	if err := o.Err(); err != nil {
		return nil, fields.Problem(err)
	}
	if r.Target, err = e.find(values); err != nil {
		return nil, err
	}
	r.Key = fields.Key(r, e.Path()+"\x00"+name(r.Target), o)
	return r, nil
}

var known = map[rp.Version][]string{rp.V1: {"vcChoice"}}

func name(t rp.Target) string {
	if t.Document != nil {
		return t.Document.String()
	}
	return t.Person.String()
}

func (e Endpoint) find(values []string) (rp.Target, error) {
	switch {
	case e.target == pno && len(values) == 2:
		return fields.Person(identity.ID{Type: "PNO", Country: values[0], Number: values[1]}.String())
	case e.target == document && len(values) == 1:
		return fields.Document(values[0])
	case e.target == etsi && len(values) == 1:
		return fields.Person(values[0])
	}
	return rp.Target{}, &rp.Problem{Kind: rp.Internal, Detail: "the path has other variables"}
}

// digest reads hashType and hash.
func digest(o *strictjson.Object, r *rp.Request) {
	hashType := o.String("hashType", true)
	a, ok := rp.AlgorithmOfHash(hashType)
	if !ok {
		o.Fail("hashType", "is not SHA256, SHA384 or SHA512")
		return
	}
	r.Algorithm = a
	fields.Digest(o, "hash", r)
}

const maxInteractions = 8

// interactions reads allowedInteractionsOrder of version 2.
func interactions(o *strictjson.Object, r *rp.Request) {
	const name = "allowedInteractionsOrder"
	list := o.Objects(name, true)
	if len(list) == 0 || len(list) > maxInteractions {
		o.Fail(name, "does not have 1 to 8 elements")
		return
	}
	for _, i := range list {
		r.Interactions = append(r.Interactions, fields.Interaction(i))
	}
}

// displayText reads the text of version 1, which may be left out.
func displayText(o, properties *strictjson.Object, r *rp.Request) {
	const name = "displayText"
	i := rp.Interaction{Type: rp.DisplayTextAndPIN, Text: o.String(name, false)}
	if properties.Bool("vcChoice") {
		i.Type = rp.VerificationCodeChoice
	}
	most, _ := i.Type.MaxText()
	if problem := rp.DisplayProblem(i.Text, most); problem != "" {
		o.Fail(name, problem)
	}
	r.Interactions = []rp.Interaction{i}
}
