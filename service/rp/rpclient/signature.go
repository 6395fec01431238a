package rpclient

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
)

// Certificate returns an account's certificate for signatures, which belongs into what is
// signed where a format wants it so. The person is not asked. It is checked as in
// [Client.LoginStatus]. The error is an [*EndError] if the account cannot be used.
func (c *Client) Certificate(ctx context.Context, document identity.Document) (*x509.Certificate, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	if err := document.Check(); err != nil {
		return nil, err
	}
	in := request{RelyingPartyUUID: c.config.UUID, RelyingPartyName: c.config.Name, CertificateLevel: document.Level.String()}
	var out struct {
		State string
		Cert  struct{ Value, CertificateLevel string }
	}
	if err := c.call(ctx, http.MethodPost, "signature/certificate/"+url.PathEscape(document.String()), in, &out); err != nil {
		return nil, err
	}
	end, known := ends[out.State]
	switch {
	case !known:
		return nil, invalid("the state")
	case end != rp.OK:
		return nil, &EndError{End: end}
	case out.Cert.CertificateLevel != document.Level.String():
		return nil, invalid("the level")
	}
	return c.certificate(ctx, out.Cert.Value, rp.Signature, document)
}

// Signing is a signature that is under way.
type Signing struct {
	Session      string
	Code         string // to show to the person
	Document     identity.Document
	Digest       []byte
	Algorithm    rp.Algorithm
	Interactions string // as they were sent
}

// Sign asks the phone of an account to sign a digest. The interactions are as in
// LoginByID. nonce tells apart two signatures of the same digest within seconds; it may
// be empty, or have up to 30 characters.
func (c *Client) Sign(ctx context.Context, document identity.Document, digest []byte, a rp.Algorithm, nonce string, interactions ...rp.Interaction) (Signing, error) {
	if err := c.ready(ctx); err != nil {
		return Signing{}, err
	}
	if err := document.Check(); err != nil {
		return Signing{}, err
	}
	s := Signing{Document: document, Digest: digest, Algorithm: a}
	in := request{
		RelyingPartyUUID: c.config.UUID, RelyingPartyName: c.config.Name, CertificateLevel: document.Level.String(), SignatureProtocol: "RAW_DIGEST_SIGNATURE",
		SignatureProtocolParameters: &parameters{Digest: base64.StdEncoding.EncodeToString(digest)}, Nonce: nonce,
	}
	err := in.SignatureProtocolParameters.algorithm(a)
	if err == nil && len(digest) != a.Hash.Size() {
		err = fmt.Errorf("%w: the length of the digest", ErrConfig)
	}
	if err == nil {
		in.Interactions, err = encode(interactions)
		s.Interactions = in.Interactions
	}
	if err != nil {
		return Signing{}, err
	}
	var out struct {
		SessionID string
		VC        struct{ Type, Value string }
	}
	if err := c.call(ctx, http.MethodPost, "signature/notification/document/"+url.PathEscape(document.String()), in, &out); err != nil {
		return Signing{}, err
	}
	if s.Session, s.Code = out.SessionID, out.VC.Value; s.Session == "" || out.VC.Type != "numeric4" || len(s.Code) != 4 {
		return Signing{}, invalid("a session without its parts")
	}
	return s, nil
}

// SignStatus waits for a signature as LoginStatus does for a login. It returns nil while
// it is under way, and then the signature and whose it is: it is over the digest, by the
// key of the account's certificate for signatures, which is checked as that of a login.
func (c *Client) SignStatus(ctx context.Context, s Signing, wait time.Duration) ([]byte, *Person, error) {
	if err := c.ready(ctx); err != nil {
		return nil, nil, err
	}
	a, err := c.status(ctx, s.Session, wait)
	if err != nil || a == nil {
		return nil, nil, err
	}
	person, key, err := c.person(ctx, a, rp.Signature, s.Document.Level)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case person.Document != s.Document:
		return nil, nil, invalid("another account")
	case a.SignatureProtocol != "RAW_DIGEST_SIGNATURE":
		return nil, nil, invalid("the signature protocol")
	case a.Signature.FlowType != rp.FlowNotification:
		return nil, nil, invalid("the flow")
	case !offered(s.Interactions, a.InteractionTypeUsed):
		return nil, nil, invalid("the interaction")
	}
	signature, err := a.verify(key, s.Algorithm, s.Digest)
	return signature, person, err
}
