package deviceclient

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/strictjson"
)

// ErrMismatch is returned if what the service wants signed is not what the phone would
// show; the text says what differs. Nothing was signed.
var ErrMismatch = errors.New("deviceclient: what would be signed is not what is shown")

// maxRelyingParty is how long a relying party's name is, in bytes.
const maxRelyingParty = 32

// checkShown refuses what the app cannot show as it is.
func (t *Transaction) checkShown() error {
	mismatch := func(what string) error { return fmt.Errorf("%w: %s", ErrMismatch, what) }
	if t.Kind == 0 || t.version < rp.V1 || t.version > rp.V3 || t.Session == "" {
		return mismatch("the kind of session")
	}
	if n := len(t.RelyingParty); n == 0 || n > maxRelyingParty || rp.DisplayProblem(t.RelyingParty, maxRelyingParty) != "" {
		return mismatch("the name of the relying party")
	}
	for _, code := range append([]string{t.Code}, t.Codes...) {
		if code != "" && (len(code) != 4 || bytes.ContainsFunc([]byte(code), func(r rune) bool { return r < '0' || r > '9' })) {
			return mismatch("a verification code")
		}
	}
	if t.Kind == rp.CertificateChoice {
		if t.Interaction != (rp.Interaction{}) || len(t.Codes) != 0 {
			return mismatch("an interaction in a choice")
		}
		return nil
	}
	most, member := t.Interaction.Type.MaxText()
	switch {
	case member == "" || rp.DisplayProblem(t.Interaction.Text, most) != "" || t.Interaction.Text == "" && t.version != rp.V1:
		return mismatch("the text")
	case t.Interaction.Type.Choice() && (len(t.Codes) != 3 || t.Code != ""), !t.Interaction.Type.Choice() && len(t.Codes) != 0:
		return mismatch("the codes")
	}
	return nil
}

// accept takes what to sign if it is what is shown.
func (t *Transaction) accept(w *devicewire.ToSign) error {
	options, err := protocol.ParseOptions(w.Options)
	if err != nil {
		return err
	}
	code := ""
	digest := w.Digest
	switch {
	case t.Kind == rp.CertificateChoice:
		return fmt.Errorf("%w: a choice signs nothing", ErrMismatch)
	case t.Kind == rp.Authentication && t.version == rp.V3:
		if digest, err = t.login(w.Login, options.HashFunc()); err != nil {
			return err
		}
		code = codeOf(w.Login.Challenge)
	case w.Login != nil:
		return fmt.Errorf("%w: not a login", ErrMismatch)
	case t.version != rp.V3:
		// Else the service could say that a login of version 3 is an older one, of which
		// the phone sees the digest only.
		if _, pss := options.(*rsa.PSSOptions); pss {
			return fmt.Errorf("%w: the padding of a later version", ErrMismatch)
		}
		code = protocol.VerificationCode(digest)
	default:
		code = t.Code // drawn by the service: it follows from nothing
	}
	if !bytes.Equal(digest, w.Digest) || len(digest) != options.HashFunc().Size() {
		return fmt.Errorf("%w: the digest", ErrMismatch)
	}
	if t.Code != "" && t.Code != code {
		return fmt.Errorf("%w: the verification code", ErrMismatch)
	}
	t.toSign, t.digest = w, digest
	return nil
}

// login computes what a login of version 3 signs from what is shown.
func (t *Transaction) login(w *devicewire.Login, h crypto.Hash) ([]byte, error) {
	if w == nil {
		return nil, fmt.Errorf("%w: a login without its parts", ErrMismatch)
	}
	p := acsp.Payload{
		Scheme: w.Scheme, ServerRandom: w.ServerRandom, Challenge: w.Challenge, UserChallenge: w.UserChallenge, RelyingPartyName: w.RelyingPartyName,
		BrokeredRPName: w.BrokeredRPName, Interactions: w.Interactions, Interaction: rp.InteractionType(w.Interaction), CallbackURL: w.CallbackURL, Flow: rp.FlowType(w.Flow),
	}
	same := t.flow == rp.FlowWeb2App || t.flow == rp.FlowApp2App
	for _, part := range []struct {
		what string
		ok   bool
	}{
		{"the scheme", p.Scheme == t.phone.scheme},
		{"the name of the relying party", p.RelyingPartyName == t.RelyingParty && p.BrokeredRPName == ""},
		// It binds the browser that the phone goes back to. A session that was opened
		// before the app was started anew has another one, which is good where nobody is
		// gone back to.
		{"the userChallenge", !same || p.UserChallenge == acsp.UserChallenge(string(t.verifier.Get()))},
		{"the interaction", p.Interaction == t.Interaction.Type},
		{"the text", offers(p.Interactions, t.Interaction)},
		{"the flow", p.Flow == t.flow},
		{"the way back", !same || p.CallbackURL == t.callback},
	} {
		if !part.ok {
			return nil, fmt.Errorf("%w: %s", ErrMismatch, part.what)
		}
	}
	digest, err := p.Digest(h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return digest, nil
}

// offers reports whether a relying party's interactions, in base64, have one.
func offers(interactions string, i rp.Interaction) bool {
	text, err := base64.StdEncoding.DecodeString(interactions)
	if err != nil {
		return false
	}
	list, err := strictjson.ParseArray(text)
	if err != nil {
		return false
	}
	_, member := i.Type.MaxText()
	found := false
	for _, o := range list {
		if o.String("type", true) == string(i.Type) {
			found = true
			if o.String(member, true) != i.Text {
				return false
			}
		}
	}
	return found && list[0].Err() == nil
}
