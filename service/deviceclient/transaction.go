package deviceclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// Transaction is a session that was opened. What its fields say is what the person signs.
// It is for one goroutine.
type Transaction struct {
	Session      string
	Kind         rp.Kind
	RelyingParty string // the name
	// Several says that the person has several accounts that were asked. The app asks
	// first whether to use this one.
	Several bool
	// Interaction is what the app shows, and how; it has no type in a choice of a
	// certificate, where the app asks whether to use this account.
	Interaction rp.Interaction
	// Code is what the person compares with what the relying party shows; Codes are three
	// to choose from. Both may be empty.
	Code     string
	Codes    []string
	Deadline time.Time // by this phone's clock

	phone        *Phone
	version      rp.Version
	flow         rp.FlowType
	callback     string
	secretDigest string
	verifier     secret.Bytes
	toSign       *devicewire.ToSign // nil before the right code, and in a choice
	digest       []byte             // that was recomputed
	done         bool
}

// Format hides the verifier.
func (t Transaction) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "deviceclient.Transaction(%s)", t.Session)
}

var kinds = map[string]rp.Kind{
	devicewire.Authentication: rp.Authentication, devicewire.Signature: rp.Signature, devicewire.CertificateChoice: rp.CertificateChoice,
}

// Open opens a session that Poll told of. Errors: an [*Error], the connection's, and
// ErrMismatch.
func (p *Phone) Open(ctx context.Context, s *Pending) (*Transaction, error) {
	if s == nil || s.Session == "" {
		return nil, fmt.Errorf("%w: no session", ErrConfig)
	}
	return p.claim(ctx, devicewire.ClaimBody{Session: s.Session}, rp.FlowNotification)
}

// OpenLink opens the session of a device link: what a QR code says, or what opened the
// app.
func (p *Phone) OpenLink(ctx context.Context, link string) (*Transaction, error) {
	l, err := devicelink.Parse(link)
	if err != nil {
		return nil, err
	}
	return p.claim(ctx, devicewire.ClaimBody{DeviceLink: link}, l.Type)
}

func (p *Phone) claim(ctx context.Context, in devicewire.ClaimBody, flow rp.FlowType) (*Transaction, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	verifier := acsp.NewVerifier()
	in.UserChallenge = acsp.UserChallenge(verifier)
	for _, i := range p.interactions {
		in.Interactions = append(in.Interactions, string(i))
	}
	var c devicewire.Claimed
	if err := p.client.post(ctx, devicewire.Claim, in, &c); err != nil {
		return nil, err
	}
	return p.transaction(c, flow, verifier)
}

// transaction is what the service says of a session, if that is what would be signed.
// flow is how the session was opened.
func (p *Phone) transaction(c devicewire.Claimed, flow rp.FlowType, verifier string) (*Transaction, error) {
	t := &Transaction{
		Session: c.Session, Kind: kinds[c.Kind], RelyingParty: c.RelyingParty, Several: c.Several,
		Interaction: rp.Interaction{Type: rp.InteractionType(c.Interaction), Text: c.Text}, Code: c.Code, Codes: c.Codes,
		Deadline: time.Now().Add(time.Duration(min(max(c.Seconds, 0), 3600)) * time.Second),
		phone:    p, version: rp.Version(c.Version), flow: rp.FlowType(c.Flow), callback: c.Callback, secretDigest: c.SecretDigest,
		verifier: secret.Copy([]byte(verifier)),
	}
	// A session that was opened by a link stays one of that link, whatever it is opened
	// by again.
	if flow != rp.FlowNotification && t.flow != flow {
		return nil, fmt.Errorf("%w: the flow", ErrMismatch)
	}
	if err := t.checkShown(); err != nil {
		return nil, err
	}
	if c.ToSign != nil {
		if err := t.accept(c.ToSign); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Choose tells the service which of the three codes the person picked. Another one than
// the relying party's ends the session, with CodeWrongCode.
func (t *Transaction) Choose(ctx context.Context, code string) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	if !slices.Contains(t.Codes, code) {
		return fmt.Errorf("%w: not one of the codes", ErrConfig)
	}
	var out devicewire.Chosen
	if err := t.phone.client.post(ctx, devicewire.Choice, devicewire.ChoiceBody{Session: t.Session, Code: code}, &out); err != nil {
		return err
	}
	if out.ToSign == nil {
		return ErrResponse
	}
	t.Code = code // which the person has seen at the relying party's
	return t.accept(out.ToSign)
}

// Use answers a choice of a certificate: with this account.
func (t *Transaction) Use(ctx context.Context) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	if t.Kind != rp.CertificateChoice {
		return fmt.Errorf("%w: not a choice of a certificate", ErrConfig)
	}
	err := t.phone.client.post(ctx, devicewire.Choice, devicewire.ChoiceBody{Session: t.Session}, &devicewire.Chosen{})
	t.done = err == nil
	return err
}

func (t *Transaction) ready(ctx context.Context) error {
	if t == nil || t.phone == nil {
		return fmt.Errorf("%w: no transaction", ErrConfig)
	}
	return t.phone.ready(ctx)
}

// Screens are where a person refuses.
const (
	NoScreen           = devicewire.NoScreen           // without a look
	AccountScreen      = devicewire.AccountScreen      // asks whether to use this account
	CodesScreen        = devicewire.CodesScreen        // shows three codes
	ConfirmationScreen = devicewire.ConfirmationScreen // shows a text
	PINScreen          = devicewire.PINScreen
)

// Refuse ends the session; after Use, the wait for the signature that would follow.
func (t *Transaction) Refuse(ctx context.Context, screen string) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	return t.phone.client.post(ctx, devicewire.Refuse, map[string]string{"session": t.Session, "screen": screen}, &nothing{})
}

// CallbackURL returns what the app opens when the person has answered or refused, if it
// was opened from the same device; "" else.
func (t *Transaction) CallbackURL() string {
	if t == nil || t.callback == "" {
		return ""
	}
	verifier := ""
	if t.done && t.Kind == rp.Authentication {
		verifier = string(t.verifier.Get())
	}
	return acsp.CallbackURL(t.callback, t.secretDigest, verifier)
}

type sessionKey struct{}

// transport carries the requests of a device: those of a signature by way of their
// session.
func (p *Phone) transport(ctx context.Context, request []byte) ([]byte, error) {
	t, ok := ctx.Value(sessionKey{}).(*Transaction)
	if !ok {
		return p.client.message(ctx, request)
	}
	var out devicewire.Signing
	if err := p.client.post(ctx, devicewire.Sign, devicewire.SignBody{Session: t.Session, Request: request}, &out); err != nil {
		return nil, err
	}
	t.done = out.Done
	return out.Response, nil
}

// ErrNotTaken is returned by [Transaction.Sign] if the signature was made and the session
// had ended meanwhile: the relying party did not get it.
var ErrNotTaken = errors.New("deviceclient: the session had ended before the signature")

// Sign signs, with the PIN of the session's key, and returns nil when the relying party
// has the signature.
//
// After a wrong PIN ([*limiter.WrongPINError]) it may be called again, as long as the
// session lasts. After [device.ErrUnanswered] it is called again with the same PIN, which
// is not looked at: the request that was sent is sent again. An [*Error] with CodeGone
// says that the session has ended without the PIN. All other errors are those of
// [device.Device.Sign].
func (t *Transaction) Sign(ctx context.Context, pin []byte) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	if t.done {
		return nil
	}
	if t.toSign == nil {
		return fmt.Errorf("%w: there is nothing to sign yet", ErrConfig)
	}
	d := t.device()
	options, err := protocol.ParseOptions(t.toSign.Options)
	if err != nil {
		return err
	}
	by := context.WithValue(ctx, sessionKey{}, t)
	_, err = d.Sign(by, t.toSign.Challenge, t.digest, options, pin)
	if errors.Is(err, device.ErrPending) {
		// An answer for another session was lost: that request is settled first.
		if err := t.phone.settle(ctx, d); err != nil {
			return err
		}
		_, err = d.Sign(by, t.toSign.Challenge, t.digest, options, pin)
	}
	return t.signed(ctx, err)
}

// settle finds out what became of a request that was not answered, or takes it back.
func (p *Phone) settle(ctx context.Context, d *device.Device) error {
	_, err := d.Resume(ctx)
	if errors.Is(err, device.ErrUnanswered) || errors.Is(err, device.ErrBusy) {
		return p.cancel(ctx, d)
	}
	return nil // whatever was answered, it waits no more
}

// cancel ends the request that a device waits for.
func (p *Phone) cancel(ctx context.Context, d *device.Device) error {
	challenge, err := p.Challenge(ctx, d)
	if err != nil {
		return err
	}
	err = d.Cancel(ctx, challenge)
	if errors.Is(err, device.ErrNothingPending) || errors.Is(err, device.ErrCarriedOut) {
		return nil
	}
	return err
}

// code is a verification code that follows from a challenge in base64.
func codeOf(challenge string) string {
	b, err := base64.StdEncoding.DecodeString(challenge)
	if err != nil {
		return ""
	}
	return protocol.VerificationCode(b)
}
