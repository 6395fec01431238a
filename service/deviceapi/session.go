package deviceapi

import (
	"context"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/transactions"
)

var kinds = map[rp.Kind]string{
	rp.Authentication: devicewire.Authentication, rp.Signature: devicewire.Signature, rp.CertificateChoice: devicewire.CertificateChoice,
}

// poll answers with the oldest session that waits; without one, or with the one that the
// phone knows, it waits a while.
func (c *call) poll() (any, error) {
	known := c.body.String("known", false)
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	var wait time.Duration
	if text := c.http.URL.Query().Get("timeoutMs"); text != "" {
		var err error
		if wait, err = rp.PollTimeout(text); err != nil {
			return nil, &problem{400, devicewire.Error{Code: devicewire.Invalid, Detail: "timeoutMs is no number"}}
		}
		select {
		case c.waiters <- struct{}{}:
			defer func() { <-c.waiters }()
		default:
			wait = 0
		}
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(c.closed, cancel)()
	if c.closed.Err() != nil {
		ctx, wait = c.ctx, 0
	}
	p, err := c.config.Engine.Poll(ctx, c.account, known, wait)
	if err != nil || p == nil {
		return devicewire.PollBody{}, err
	}
	return devicewire.PollBody{Pending: &devicewire.Pending{
		Session: p.Session, Kind: kinds[p.Kind], RelyingParty: p.RelyingParty, Deadline: p.Deadline,
	}}, nil
}

const maxInteractions = 8

func (c *call) claim() (any, error) {
	r := transactions.ClaimRequest{
		Session: c.session(false), DeviceLink: c.body.String("deviceLink", false), UserChallenge: c.body.String("userChallenge", false), Address: c.source,
	}
	list := c.body.Strings("interactions")
	if len(list) > maxInteractions {
		c.body.Fail("interactions", "has too many elements")
	}
	for _, i := range list {
		r.Interactions = append(r.Interactions, rp.InteractionType(i)) // those that nobody knows match none
	}
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	claimed, err := c.config.Engine.Claim(c.ctx, c.account, r)
	if err != nil {
		return nil, err
	}
	toSign, err := wireToSign(claimed.ToSign)
	return devicewire.Claimed{
		Session: claimed.Session, Version: int(claimed.Version), Kind: kinds[claimed.Kind], RelyingParty: claimed.RelyingParty, Several: claimed.Several,
		Interaction: string(claimed.Interaction.Type), Text: claimed.Interaction.Text, Flow: string(claimed.Flow), Code: claimed.Code, Codes: claimed.Codes,
		Deadline: claimed.Deadline, Seconds: seconds(time.Until(claimed.Deadline)), Callback: claimed.Callback, SecretDigest: claimed.SecretDigest, ToSign: toSign,
	}, err
}

// session reads the member session, which is a UUID.
func (c *call) session(required bool) string {
	const name = "session"
	text := c.body.String(name, required)
	if !c.body.Has(name) {
		return ""
	}
	id, ok := rp.UUID(text)
	if !ok {
		c.body.Fail(name, "is not a UUID")
	}
	return id
}

func wireToSign(t *transactions.ToSign) (*devicewire.ToSign, error) {
	if t == nil {
		return nil, nil
	}
	options, err := protocol.FormatOptions(t.Options())
	out := &devicewire.ToSign{Challenge: t.Challenge, Digest: t.Digest, Options: options}
	if p := t.Payload; p != nil {
		out.Login = &devicewire.Login{
			Scheme: p.Scheme, ServerRandom: p.ServerRandom, Challenge: p.Challenge, UserChallenge: p.UserChallenge, RelyingPartyName: p.RelyingPartyName,
			BrokeredRPName: p.BrokeredRPName, Interactions: p.Interactions, Interaction: string(p.Interaction), CallbackURL: p.CallbackURL, Flow: string(p.Flow),
		}
	}
	return out, err
}

func (c *call) choose() (any, error) {
	id, code := c.session(true), c.body.String("code", false)
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	t, err := c.config.Engine.Choose(c.ctx, c.account, id, code)
	if err != nil {
		return nil, err
	}
	toSign, err := wireToSign(t)
	return devicewire.Chosen{ToSign: toSign}, err
}

func (c *call) sign() (any, error) {
	id, request := c.session(true), c.bytes("request")
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	s, err := c.config.Engine.Sign(c.ctx, c.account, id, request)
	if err != nil {
		return nil, err
	}
	return devicewire.Signing{Response: s.Response, Done: s.Done, EndResult: s.End.String()}, nil
}

var screens = map[string]transactions.Screen{
	devicewire.NoScreen: transactions.NoScreen, devicewire.AccountScreen: transactions.AccountScreen, devicewire.CodesScreen: transactions.CodesScreen,
	devicewire.ConfirmationScreen: transactions.ConfirmationScreen, devicewire.PINScreen: transactions.PINScreen,
}

func (c *call) refuse() (any, error) {
	id := c.session(true)
	screen, ok := screens[c.body.String("screen", false)]
	if !ok {
		c.body.Fail("screen", "is not a screen")
	}
	if err := c.body.Err(); err != nil {
		return nil, err
	}
	return struct{}{}, c.config.Engine.Refuse(c.ctx, c.account, id, screen)
}
