package rpclient

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// Login is one that is under way.
type Login struct {
	Session      string
	Challenge    string // rpChallenge
	Interactions string // as they were sent
	Level        identity.Level
	Person       identity.ID // who was asked; the zero ID for whoever opens the link
	Began        time.Time   // when the answer with the session arrived

	// Of device links.
	Token, Secret, Base string
	Callback            string // the initialCallbackUrl, if there is a way back
}

// Format hides the secret.
func (l Login) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "rpclient.Login(%s)", l.Session) }

// loginAlgorithm is what logins are signed by.
var loginAlgorithm = rp.Algorithm{Hash: crypto.SHA512, PSS: true}

// challengeSize is the most that the API takes.
const challengeSize = 64

// LoginByID asks the phones of a person. The interactions are in the order in which they
// are preferred; the last should be rp.DisplayTextAndPIN, which every app can do. The
// error is an [*Error], of which [NoAccount] tells, or the connection's.
func (c *Client) LoginByID(ctx context.Context, person identity.ID, level identity.Level, interactions ...rp.Interaction) (Login, error) {
	if err := person.Check(); err != nil {
		return Login{}, err
	}
	l := Login{Person: person, Level: level}
	return l, c.begin(ctx, &l, "authentication/notification/etsi/"+url.PathEscape(person.String()), interactions)
}

// LoginByLink begins a login of whoever opens its link. With a callback, an https URL
// that has a value of this login's in its query, the link may be opened on the same
// device; without one it is for QR codes.
func (c *Client) LoginByLink(ctx context.Context, callback string, level identity.Level, interactions ...rp.Interaction) (Login, error) {
	l := Login{Callback: callback, Level: level}
	return l, c.begin(ctx, &l, "authentication/device-link/anonymous", interactions)
}

func (c *Client) begin(ctx context.Context, l *Login, path string, interactions []rp.Interaction) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	var err error
	if l.Interactions, err = encode(interactions); err != nil {
		return err
	}
	random := make([]byte, challengeSize)
	rand.Read(random)
	l.Challenge = base64.StdEncoding.EncodeToString(random)
	in := request{
		RelyingPartyUUID: c.config.UUID, RelyingPartyName: c.config.Name, CertificateLevel: l.Level.String(), SignatureProtocol: "ACSP_V2",
		SignatureProtocolParameters: &parameters{Challenge: l.Challenge}, Interactions: l.Interactions, InitialCallbackURL: l.Callback,
	}
	if err := in.SignatureProtocolParameters.algorithm(loginAlgorithm); err != nil {
		return err
	}
	link := l.Person == identity.ID{}
	if !link {
		in.VCType = "numeric4"
	}
	var out struct{ SessionID, SessionToken, SessionSecret, DeviceLinkBase string }
	if err := c.call(ctx, http.MethodPost, path, in, &out); err != nil {
		return err
	}
	l.Session, l.Token, l.Secret, l.Base, l.Began = out.SessionID, out.SessionToken, out.SessionSecret, out.DeviceLinkBase, c.config.Clock()
	if l.Session == "" || link != (l.Token != "") {
		return invalid("a session without its parts")
	}
	if link { // what no link can be made of is refused now
		_, err = c.Link(*l, rp.FlowQR, "eng")
	}
	return err
}

// encode is the base64 of interactions.
func encode(interactions []rp.Interaction) (string, error) {
	var list []map[string]string
	for _, i := range interactions {
		most, member := i.Type.MaxText()
		if problem := rp.DisplayProblem(i.Text, most); member == "" || i.Text == "" || problem != "" {
			return "", fmt.Errorf("%w: the text of an interaction %s", ErrConfig, problem)
		}
		list = append(list, map[string]string{"type": string(i.Type), member: i.Text})
	}
	if len(list) == 0 {
		return "", fmt.Errorf("%w: no interaction", ErrConfig)
	}
	text, err := json.Marshal(list)
	return base64.StdEncoding.EncodeToString(text), err
}

// Code is what the page shows, and the phone too, for a person to compare. It is empty
// for a device link.
func (l Login) Code() string {
	b, err := base64.StdEncoding.DecodeString(l.Challenge)
	if err != nil || l.Person == (identity.ID{}) {
		return ""
	}
	return protocol.VerificationCode(b)
}

// Link returns the link as it is now: rp.FlowQR for a QR code, which is outdated some
// seconds later, rp.FlowWeb2App or rp.FlowApp2App for the app on the same device. lang is
// ISO 639-2, such as "eng".
func (c *Client) Link(l Login, t rp.FlowType, lang string) (string, error) {
	if c == nil || c.config.Clock == nil {
		return "", fmt.Errorf("%w: not made by New", ErrConfig)
	}
	secret, err := devicelink.ParseSecret(l.Secret)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	s := devicelink.Session{
		Scheme: c.config.Scheme, Base: l.Base, Token: l.Token, Kind: rp.Authentication, Challenge: l.Challenge,
		RelyingPartyName: c.config.Name, Interactions: l.Interactions, CallbackURL: l.Callback,
	}
	link, err := s.Link(secret, t, max(c.config.Clock().Sub(l.Began), 0), lang)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return link, nil
}

// LoginStatus waits for the end of a login that the person answers on another device, for
// about as long as wait, 1 second to 2 minutes. It returns nil while the login is under
// way, and who has logged in when it has succeeded. The error is an [*EndError] if the
// person refused, or was too late.
//
// These are checked, and each failure is ErrInvalid: the certificate's chain to a root,
// its validity, policies and uses, and that it is not revoked; that its level is the one
// asked for, or above; that it names the person who was asked; and that its key has
// signed this login's challenge, name, interactions and flow, by the algorithm that was
// asked for.
func (c *Client) LoginStatus(ctx context.Context, l Login, wait time.Duration) (*Person, error) {
	if l.Callback != "" {
		return nil, fmt.Errorf("%w: who has a way back is known by LoginReturned", ErrConfig)
	}
	flow := rp.FlowNotification
	if l.Person == (identity.ID{}) {
		flow = rp.FlowQR
	}
	person, _, err := c.login(ctx, l, wait, flow)
	return person, err
}

// LoginReturned ends a login on the same device, in the browser that has come back to the
// callback URL: the caller has seen that the browser's cookie is that of the login, and
// that the URL has the login's value. secretDigest and verifier are sessionSecretDigest
// and userChallengeVerifier of its query. Beside what LoginStatus checks it shows that
// the app that signed is the one that opened the URL. It returns nil if the service does
// not know yet.
func (c *Client) LoginReturned(ctx context.Context, l Login, secretDigest, verifier string, wait time.Duration) (*Person, error) {
	secret, err := devicelink.ParseSecret(l.Secret)
	if err != nil || l.Callback == "" {
		return nil, fmt.Errorf("%w: a login without a way back", ErrConfig)
	}
	person, userChallenge, err := c.login(ctx, l, wait, rp.FlowWeb2App, rp.FlowApp2App)
	if person != nil && !acsp.VerifyCallback(secretDigest, secret.Digest(), verifier, userChallenge) {
		return nil, invalid("the callback")
	}
	return person, err
}

func (c *Client) login(ctx context.Context, l Login, wait time.Duration, flows ...rp.FlowType) (*Person, string, error) {
	if err := c.ready(ctx); err != nil {
		return nil, "", err
	}
	a, err := c.status(ctx, l.Session, wait)
	if err != nil || a == nil {
		return nil, "", err
	}
	person, key, err := c.person(ctx, a, rp.Authentication, l.Level)
	if err != nil {
		return nil, "", err
	}
	flow := false
	for _, f := range flows {
		flow = flow || f == a.Signature.FlowType
	}
	switch {
	case l.Person != identity.ID{} && person.ID != l.Person:
		return nil, "", invalid("another person's certificate")
	case a.SignatureProtocol != "ACSP_V2":
		return nil, "", invalid("the signature protocol")
	case !flow:
		return nil, "", invalid("the flow")
	case !offered(l.Interactions, a.InteractionTypeUsed):
		return nil, "", invalid("the interaction")
	}
	digest, err := acsp.Payload{
		Scheme: c.config.Scheme, ServerRandom: a.Signature.ServerRandom, Challenge: l.Challenge, UserChallenge: a.Signature.UserChallenge,
		RelyingPartyName: c.config.Name, Interactions: l.Interactions, Interaction: a.InteractionTypeUsed, CallbackURL: l.Callback, Flow: a.Signature.FlowType,
	}.Digest(loginAlgorithm.Hash)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := a.verify(key, loginAlgorithm, digest); err != nil {
		return nil, "", err
	}
	return person, a.Signature.UserChallenge, nil
}

// offered reports whether interactions, in base64, have a type.
func offered(interactions string, t rp.InteractionType) bool {
	text, err := base64.StdEncoding.DecodeString(interactions)
	var list []struct{ Type rp.InteractionType }
	if err != nil || json.Unmarshal(text, &list) != nil {
		return false
	}
	for _, i := range list {
		if t != "" && i.Type == t {
			return true
		}
	}
	return false
}
