package testidentities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/transactions"
)

// phone is one account's, and the person who holds it.
type phone struct {
	identities *Identities
	behavior   Behavior
	account    accounts.Account
	devices    [2]*device.Device // for authentication, and for signatures

	mu      sync.Mutex // a phone does one thing at a time
	session string     // that is signed for now; empty while keys are enrolled
}

// send carries a device's requests: those that sign go through the session.
func (p *phone) send(ctx context.Context, request []byte) ([]byte, error) {
	if p.session == "" {
		return p.identities.config.Protocol.Handle(ctx, request)
	}
	s, err := p.identities.config.Engine.Sign(ctx, p.account, p.session, request)
	if err != nil {
		return nil, err
	}
	return s.Response, nil
}

// finished is what a phone that was opened by a link of its own browser opens at the end.
type finished struct{ callback string }

var errShown = errors.New("testidentities: what would be signed is not what is shown")

// answer does what the person does with a session, which the phone was told of or whose
// link it has opened. code is the verification code that the person sees on the
// e-service's page; empty if there is none. A session that others have ended is no error.
func (p *phone) answer(ctx context.Context, session, link, code string) (f finished, err error) {
	if p.behavior == Sleeps {
		return f, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	engine := p.identities.config.Engine
	verifier := acsp.NewVerifier()
	c, err := engine.Claim(ctx, p.account, transactions.ClaimRequest{
		Session: session, DeviceLink: link, UserChallenge: acsp.UserChallenge(verifier), Interactions: p.behavior.interactions(),
	})
	if err != nil {
		return f, over(err)
	}
	if c.Callback != "" {
		f.callback = acsp.CallbackURL(c.Callback, c.SecretDigest, "")
	}
	refuse := func(s transactions.Screen) (finished, error) {
		return f, over(engine.Refuse(ctx, p.account, c.Session, s))
	}

	switch p.behavior {
	case Refuses:
		return refuse(transactions.NoScreen)
	case RefusesAccount:
		return refuse(transactions.AccountScreen)
	case RefusesText:
		return refuse(transactions.ConfirmationScreen)
	case RefusesCodes, RefusesTextAndCodes:
		return refuse(transactions.CodesScreen)
	}
	sign := c.ToSign
	if c.Kind == rp.CertificateChoice {
		_, err := engine.Choose(ctx, p.account, c.Session, "")
		return f, over(err)
	}
	if c.Codes != nil {
		if p.behavior == PicksWrongCode {
			code = c.Codes[slices.IndexFunc(c.Codes, func(other string) bool { return other != code })]
		}
		if sign, err = engine.Choose(ctx, p.account, c.Session, code); err != nil || sign == nil {
			return f, over(err)
		}
	}
	if p.behavior == RefusesPIN {
		return refuse(transactions.PINScreen)
	}
	if err := shown(c, sign, acsp.UserChallenge(verifier)); err != nil {
		return f, err
	}
	key := 0
	if c.Kind == rp.Signature {
		key = 1
	}
	if err := p.sign(ctx, key, c.Session, sign); err != nil {
		return f, over(err)
	}
	if c.Callback != "" && c.Kind == rp.Authentication {
		f.callback = acsp.CallbackURL(c.Callback, c.SecretDigest, verifier)
	}
	return f, nil
}

// shown reports whether what is signed is what the phone shows, where that can be seen.
func shown(c *transactions.Claimed, s *transactions.ToSign, userChallenge string) error {
	if s.Payload == nil {
		return nil
	}
	digest, err := s.Payload.Digest(s.Algorithm.Hash)
	if err != nil {
		return err
	}
	if !bytes.Equal(digest, s.Digest) || s.Payload.UserChallenge != userChallenge || s.Payload.RelyingPartyName != c.RelyingParty || s.Payload.Interaction != c.Interaction.Type {
		return errShown
	}
	return nil
}

// sign signs. What was not answered is sent again, also if a crash has left it.
func (p *phone) sign(ctx context.Context, key int, session string, s *transactions.ToSign) error {
	p.session = session
	defer func() { p.session = "" }()
	d := p.devices[key]
	sign := func() error {
		_, err := d.Sign(ctx, s.Challenge, s.Digest, s.Options(), pins[key])
		return err
	}
	err := sign()
	if errors.Is(err, device.ErrPending) {
		if _, err := d.Resume(ctx); err != nil && !errors.Is(err, device.ErrNotCarriedOut) {
			return err
		}
		err = sign()
	}
	for n := 0; n < tries && errors.Is(err, device.ErrUnanswered) && ctx.Err() == nil; n++ {
		_, err = d.Resume(ctx)
	}
	return err
}

const tries = 3

// over returns nil for the errors of sessions that go on, or end, without this phone.
func over(err error) error {
	var unusable *transactions.UnusableError
	if errors.Is(err, transactions.ErrGone) || errors.Is(err, transactions.ErrNotFound) || errors.Is(err, transactions.ErrWrongCode) || errors.As(err, &unusable) {
		return nil
	}
	return err
}

// wake has a phone answer a session.
func (t *Identities) wake(p *phone, session, code string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.at.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, patience)
		defer cancel()
		if _, err := p.answer(ctx, session, "", code); err != nil && t.ctx.Err() == nil {
			t.config.Log.Error("a test identity did not answer", "document", p.account.Document.String(), "error", fmt.Sprint(err))
		}
	})
}
