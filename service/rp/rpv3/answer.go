package rpv3

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tandem-rsa/tandem/service/rp"
)

const (
	// ContentType is that of answers.
	ContentType = "application/json"
	// ProblemType is that of problems (RFC 9457).
	ProblemType = "application/problem+json"
)

// encode writes JSON without the escapes that HTML wants.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

type vc struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// Created is the answer to a request that got a session.
func Created(s rp.Session) ([]byte, error) {
	token, secret, base := s.Link()
	out := struct {
		SessionID      string `json:"sessionID"`
		VC             *vc    `json:"vc,omitempty"`
		SessionToken   string `json:"sessionToken,omitempty"`
		SessionSecret  string `json:"sessionSecret,omitempty"`
		DeviceLinkBase string `json:"deviceLinkBase,omitempty"`
	}{SessionID: s.ID, SessionToken: token, SessionSecret: secret, DeviceLinkBase: base}
	if s.Code != "" {
		out.VC = &vc{"numeric4", s.Code}
	}
	link := token != ""
	if s.ID == "" || link != (secret != "") || link != (base != "") || link && s.Code != "" {
		return nil, errors.New("rpv3: a session of which a part is missing")
	}
	return encode(out)
}

type status struct {
	State               string             `json:"state"`
	Result              *result            `json:"result,omitempty"`
	SignatureProtocol   string             `json:"signatureProtocol,omitempty"`
	Signature           *signature         `json:"signature,omitempty"`
	Cert                *cert              `json:"cert,omitempty"`
	InteractionTypeUsed rp.InteractionType `json:"interactionTypeUsed,omitempty"`
	DeviceIPAddress     string             `json:"deviceIpAddress,omitempty"`
	IgnoredProperties   []string           `json:"ignoredProperties,omitempty"`
}

type result struct {
	EndResult      string   `json:"endResult"`
	DocumentNumber string   `json:"documentNumber,omitempty"`
	Details        *details `json:"details,omitempty"`
}

type details struct {
	Interaction rp.InteractionType `json:"interaction"`
}

// signature is one of three objects: of a login, of a signature, and of a choice of
// certificate, which has its flow only.
type signature struct {
	Value                        string            `json:"value,omitempty"`
	ServerRandom                 string            `json:"serverRandom,omitempty"`
	UserChallenge                string            `json:"userChallenge,omitempty"`
	FlowType                     rp.FlowType       `json:"flowType"`
	SignatureAlgorithm           string            `json:"signatureAlgorithm,omitempty"`
	SignatureAlgorithmParameters *rp.PSSParameters `json:"signatureAlgorithmParameters,omitempty"`
}

type cert struct {
	Value            string `json:"value"`
	CertificateLevel string `json:"certificateLevel"`
}

// Status is the answer to a question for a session of version 3. The error is for an
// outcome that is not one.
func Status(s rp.Status) ([]byte, error) {
	r := s.Request
	if r == nil || r.Version != rp.V3 || r.Kind == rp.Certificate {
		return nil, errors.New("rpv3: a session of another version")
	}
	out := status{State: "RUNNING", IgnoredProperties: r.Ignored, DeviceIPAddress: s.DeviceIP}
	o := s.Outcome
	if o == nil {
		return encode(out)
	}
	out.State = "COMPLETE"
	out.Result = &result{EndResult: o.End.String()}
	if out.Result.EndResult == "" {
		return nil, fmt.Errorf("rpv3: end %d", o.End)
	}
	_, member := o.Interaction.MaxText()
	if o.End == rp.UserRefusedInteraction {
		if member == "" {
			return nil, errors.New("rpv3: a refusal without a screen")
		}
		out.Result.Details = &details{o.Interaction}
	}
	if o.End != rp.OK {
		return encode(out)
	}
	var err error
	if out.Cert, err = certOf(o); err != nil {
		return nil, err
	}
	out.Result.DocumentNumber = o.Document.String()
	if !flowFits(r.Flow, o.Flow) {
		return nil, fmt.Errorf("rpv3: flow %d ends as %q", r.Flow, o.Flow)
	}
	if r.Kind == rp.CertificateChoice {
		if r.Flow == rp.DeviceLink {
			out.Signature = &signature{FlowType: o.Flow}
		}
		return encode(out)
	}
	if len(o.Signature) == 0 || r.Algorithm.Name() == "" || member == "" {
		return nil, errors.New("rpv3: a success without a signature or an interaction")
	}
	out.InteractionTypeUsed = o.Interaction
	out.SignatureProtocol = RawDigest
	out.Signature = &signature{
		Value: base64.StdEncoding.EncodeToString(o.Signature), FlowType: o.Flow,
		SignatureAlgorithm: r.Algorithm.Name(), SignatureAlgorithmParameters: r.Algorithm.Parameters(),
	}
	if r.Kind == rp.Authentication {
		if o.ServerRandom == "" || o.UserChallenge == "" {
			return nil, errors.New("rpv3: a login without what was signed")
		}
		out.SignatureProtocol = ACSP
		out.Signature.ServerRandom, out.Signature.UserChallenge = o.ServerRandom, o.UserChallenge
	}
	return encode(out)
}

// flowFits reports whether a flow can end as a flow type. A linked signature counts as a
// notification.
func flowFits(f rp.Flow, t rp.FlowType) bool {
	switch t {
	case rp.FlowNotification:
		return f == rp.Notification || f == rp.Linked
	case rp.FlowQR, rp.FlowWeb2App, rp.FlowApp2App:
		return f == rp.DeviceLink
	}
	return false
}

func certOf(o *rp.Outcome) (*cert, error) {
	if o.Document.Check() != nil || len(o.Certificate) == 0 {
		return nil, errors.New("rpv3: a success without an account and its certificate")
	}
	return &cert{base64.StdEncoding.EncodeToString(o.Certificate), o.Document.Level.String()}, nil
}

// Certificate is the answer to a request for a certificate: with OK the account's, or
// with DocumentUnusable none. The error is for any other outcome.
func Certificate(o rp.Outcome) ([]byte, error) {
	out := struct {
		State string `json:"state"`
		Cert  *cert  `json:"cert,omitempty"`
	}{State: o.End.String()}
	var err error
	switch o.End {
	case rp.OK:
		if out.Cert, err = certOf(&o); err != nil {
			return nil, err
		}
	case rp.DocumentUnusable:
	default:
		return nil, fmt.Errorf("rpv3: end %d of a request for a certificate", o.End)
	}
	return encode(out)
}

type problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail,omitempty"`
	Errors []issue `json:"errors,omitempty"`
}

type issue struct {
	Code      string `json:"code,omitempty"`
	Detail    string `json:"detail,omitempty"`
	ParamName string `json:"paramName,omitempty"`
	Pointer   string `json:"pointer,omitempty"`
}

// Problem is the answer in place of a session, by RFC 9457: the status code, and the
// body. What is not an [*rp.Problem] is an internal error, of which the relying party
// learns nothing.
func Problem(err error) (code int, body []byte) {
	var p *rp.Problem
	if !errors.As(err, &p) || p == nil {
		p = &rp.Problem{Kind: rp.Internal}
	}
	code = p.Status(rp.V3)
	out := problem{Type: "about:blank", Title: rp.Title(code), Status: code, Detail: p.Detail}
	if p.Kind == rp.Internal {
		out.Detail = ""
	}
	if p.Kind == rp.NoSuitableAccount {
		out.Errors = []issue{{Code: "NO_SUITABLE_ACCOUNT_FOUND", Detail: "the person has accounts, none of the level"}}
	}
	if p.Pointer != "" {
		out.Errors = []issue{{Detail: p.Detail, ParamName: p.Pointer[strings.LastIndexByte(p.Pointer, '/')+1:], Pointer: p.Pointer}}
	}
	body, err = encode(out)
	if err != nil {
		panic(err) // strings and numbers are always encoded
	}
	return code, body
}
