package rpv2

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/service/rp"
)

// ContentType is that of every answer, those with a problem included.
const ContentType = "application/json"

// encode writes JSON without the escapes that HTML wants.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// Created is the answer to a request that got a session. The error is for none.
func Created(sessionID string) ([]byte, error) {
	if sessionID == "" {
		return nil, errors.New("rpv2: no session")
	}
	return encode(struct {
		SessionID string `json:"sessionID"`
	}{sessionID})
}

type status struct {
	State               string             `json:"state"`
	Result              *result            `json:"result,omitempty"`
	Signature           *signature         `json:"signature,omitempty"`
	Cert                *cert              `json:"cert,omitempty"`
	InteractionFlowUsed rp.InteractionType `json:"interactionFlowUsed,omitempty"`
	IgnoredProperties   []string           `json:"ignoredProperties,omitempty"`
	DeviceIPAddress     string             `json:"deviceIpAddress,omitempty"`
}

type result struct {
	EndResult      string `json:"endResult"`
	DocumentNumber string `json:"documentNumber,omitempty"`
}

type signature struct {
	Value     string `json:"value"`
	Algorithm string `json:"algorithm"`
}

type cert struct {
	Value            string `json:"value"`
	CertificateLevel string `json:"certificateLevel"`
}

// Status is the answer to a question for a session of version 1 or 2. The error is for an
// outcome that is not one.
func Status(s rp.Status) ([]byte, error) {
	r := s.Request
	if r == nil || r.Version != rp.V1 && r.Version != rp.V2 {
		return nil, errors.New("rpv2: a session of another version")
	}
	out := status{State: "RUNNING", IgnoredProperties: r.Ignored, DeviceIPAddress: s.DeviceIP}
	o := s.Outcome
	if o == nil {
		return encode(out)
	}
	out.State = "COMPLETE"
	out.Result = &result{EndResult: endResult(r.Version, o)}
	if out.Result.EndResult == "" {
		return nil, fmt.Errorf("rpv2: end %d at %q", o.End, o.Interaction)
	}
	if o.End != rp.OK {
		return encode(out)
	}
	if o.Document.Check() != nil || len(o.Certificate) == 0 {
		return nil, errors.New("rpv2: a success without an account and its certificate")
	}
	out.Result.DocumentNumber = o.Document.String()
	out.Cert = &cert{base64.StdEncoding.EncodeToString(o.Certificate), o.Document.Level.String()}
	if r.Kind == rp.CertificateChoice {
		return encode(out)
	}
	if len(o.Signature) == 0 || r.Algorithm.PSS || r.Algorithm.Name() == "" {
		return nil, errors.New("rpv2: a success without a signature")
	}
	out.Signature = &signature{base64.StdEncoding.EncodeToString(o.Signature), r.Algorithm.Name()}
	if r.Version == rp.V2 {
		if _, member := o.Interaction.MaxText(); member == "" {
			return nil, errors.New("rpv2: a success without an interaction")
		}
		out.InteractionFlowUsed = o.Interaction
	}
	return encode(out)
}

// endResult names an end; "" if there is no name. What these versions do not know is the
// person's affair: DOCUMENT_UNUSABLE sends him to his app.
func endResult(v rp.Version, o *rp.Outcome) string {
	switch o.End {
	case rp.OK:
		return "OK"
	case rp.Timeout:
		return "TIMEOUT"
	case rp.WrongVC:
		return "WRONG_VC"
	case rp.UserRefused:
		return "USER_REFUSED"
	case rp.UserRefusedCertChoice:
		if v == rp.V1 {
			return "USER_REFUSED"
		}
		return "USER_REFUSED_CERT_CHOICE"
	case rp.UserRefusedInteraction:
		refused := map[rp.InteractionType]string{
			rp.DisplayTextAndPIN:                            "USER_REFUSED_DISPLAYTEXTANDPIN",
			rp.VerificationCodeChoice:                       "USER_REFUSED_VC_CHOICE",
			rp.ConfirmationMessage:                          "USER_REFUSED_CONFIRMATIONMESSAGE",
			rp.ConfirmationMessageAndVerificationCodeChoice: "USER_REFUSED_CONFIRMATIONMESSAGE_WITH_VC_CHOICE",
		}[o.Interaction]
		if v == rp.V1 && refused != "" {
			return "USER_REFUSED"
		}
		return refused
	case rp.InteractionNotSupported:
		if v == rp.V2 {
			return "REQUIRED_INTERACTION_NOT_SUPPORTED_BY_APP"
		}
		return "DOCUMENT_UNUSABLE"
	case rp.DocumentUnusable, rp.ProtocolFailure, rp.ExpectedLinkedSession:
		return "DOCUMENT_UNUSABLE"
	}
	return ""
}

// Problem is the answer in place of a session: the status code, and the body. What is not
// an [*rp.Problem] is an internal error, of which the relying party learns nothing.
func Problem(v rp.Version, err error) (code int, body []byte) {
	var p *rp.Problem
	if !errors.As(err, &p) || p == nil {
		p = &rp.Problem{Kind: rp.Internal}
	}
	code = p.Status(v)
	message := rp.Title(code)
	var out any = struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{code, message}
	if code == 400 {
		detail := p.Detail
		if p.Pointer != "" {
			detail = p.Pointer + " " + detail
		}
		out = struct {
			Type       string  `json:"type"`
			Title      string  `json:"title"`
			Status     int     `json:"status"`
			Detail     string  `json:"detail"`
			Instance   *string `json:"instance"`
			Properties *string `json:"properties"`
			Code       int     `json:"code"`
			Message    string  `json:"message"`
		}{"about:blank", message, code, detail, nil, nil, code, detail}
	}
	body, err = encode(out)
	if err != nil {
		panic(err) // strings and numbers are always encoded
	}
	return code, body
}
