package deviceclient_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/internal/servicetest"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
)

// lie is one thing that a service says otherwise.
type lie struct {
	name   string
	change func(*devicewire.Claimed)
}

// signed has the digest of a lie be the one that belongs to it: a service that lies would
// see to that.
func signed(change func(*devicewire.Login)) func(*devicewire.Claimed) {
	return func(c *devicewire.Claimed) {
		w := c.ToSign.Login
		change(w)
		digest, err := acsp.Payload{
			Scheme: w.Scheme, ServerRandom: w.ServerRandom, Challenge: w.Challenge, UserChallenge: w.UserChallenge, RelyingPartyName: w.RelyingPartyName,
			BrokeredRPName: w.BrokeredRPName, Interactions: w.Interactions, Interaction: rp.InteractionType(w.Interaction), CallbackURL: w.CallbackURL, Flow: rp.FlowType(w.Flow),
		}.Digest(crypto.SHA3_512)
		if err != nil {
			panic(err)
		}
		c.ToSign.Digest = digest
	}
}

var (
	otherText  = base64.StdEncoding.EncodeToString([]byte(`[{"type":"displayTextAndPIN","displayText60":"Pay 1000"}]`))
	twoTexts   = base64.StdEncoding.EncodeToString([]byte(`[{"type":"displayTextAndPIN","displayText60":"Log in"},{"type":"displayTextAndPIN","displayText60":"Pay 1000"}]`))
	otherBytes = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 64))
)

// shown are lies about any session.
var shown = []lie{
	{"relying party", func(c *devicewire.Claimed) { c.RelyingParty = "Bank\u202e" }},
	{"no relying party", func(c *devicewire.Claimed) { c.RelyingParty = "" }},
	{"long relying party", func(c *devicewire.Claimed) { c.RelyingParty = "123456789012345678901234567890123" }},
	{"text", func(c *devicewire.Claimed) { c.Text = "Log in\nPay" }},
	{"no text", func(c *devicewire.Claimed) { c.Text = "" }},
	{"no interaction", func(c *devicewire.Claimed) { c.Interaction = "" }},
	{"kind", func(c *devicewire.Claimed) { c.Kind = devicewire.CertificateChoice }},
	{"no kind", func(c *devicewire.Claimed) { c.Kind = "" }},
	{"version", func(c *devicewire.Claimed) { c.Version = 4 }},
	{"another code", func(c *devicewire.Claimed) { c.Code = other(c.Code) }},
	{"a long code", func(c *devicewire.Claimed) { c.Code += "0" }},
	{"codes", func(c *devicewire.Claimed) { c.Codes = []string{"1234", "2345", "3456"} }},
	{"digest", func(c *devicewire.Claimed) { c.ToSign.Digest[0]++ }},
	{"a short digest", func(c *devicewire.Claimed) { c.ToSign.Digest = c.ToSign.Digest[:20] }},
	{"another hash", func(c *devicewire.Claimed) { c.ToSign.Options = "pkcs1v15/SHA-384" }},
}

// login are lies about what a login of version 3 signs.
var login = []lie{
	{"another name", func(c *devicewire.Claimed) { c.RelyingParty = "Bank" }},
	{"another text", func(c *devicewire.Claimed) { c.Text = "Pay 1000" }},
	{"another interaction", func(c *devicewire.Claimed) { c.Interaction = string(rp.ConfirmationMessage) }},
	{"a version that signs nothing of it", func(c *devicewire.Claimed) { c.Version, c.ToSign.Login, c.Code = 2, nil, "" }},
	{"no parts", func(c *devicewire.Claimed) { c.ToSign.Login = nil }},
	{"serverRandom", func(c *devicewire.Claimed) { c.ToSign.Login.ServerRandom = otherBytes }},
	{"a challenge of another code", signed(func(w *devicewire.Login) { w.Challenge = challengeOfAnotherCode(w.Challenge) })},
	{"scheme", signed(func(w *devicewire.Login) { w.Scheme = "smart-id" })},
	{"relyingPartyName", signed(func(w *devicewire.Login) { w.RelyingPartyName = "Bank" })},
	{"brokeredRpName", signed(func(w *devicewire.Login) { w.BrokeredRPName = "Bank" })},
	{"interactions", signed(func(w *devicewire.Login) { w.Interactions = otherText })},
	{"two texts", signed(func(w *devicewire.Login) { w.Interactions = twoTexts })},
	{"interactionTypeUsed", signed(func(w *devicewire.Login) { w.Interaction = string(rp.ConfirmationMessage) })},
	{"flowType", signed(func(w *devicewire.Login) { w.Flow = string(rp.FlowQR) })},
	{"flow", func(c *devicewire.Claimed) { c.Flow = string(rp.FlowQR) }},
}

// back are lies about a login that goes back to where it came from.
var back = []lie{
	{"initialCallbackUrl", signed(func(w *devicewire.Login) { w.CallbackURL = "https://thief.example/" })},
	{"userChallenge", signed(func(w *devicewire.Login) { w.UserChallenge = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) })},
	{"callback", func(c *devicewire.Claimed) { c.Callback = "https://thief.example/" }},
	{"a browser that is elsewhere", func(c *devicewire.Claimed) {
		c.Flow = string(rp.FlowApp2App)
		signed(func(w *devicewire.Login) { w.Flow = string(rp.FlowApp2App) })(c)
	}},
}

// challengeOfAnotherCode returns a challenge whose verification code is not that of the
// one given: two that are drawn have the same code once in 10,000.
func challengeOfAnotherCode(challenge string) string {
	for b := byte(9); ; b++ {
		another := bytes.Repeat([]byte{b}, 64)
		was, err := base64.StdEncoding.DecodeString(challenge)
		if err != nil {
			panic(err)
		}
		if protocol.VerificationCode(another) != protocol.VerificationCode(was) {
			return base64.StdEncoding.EncodeToString(another)
		}
	}
}

func other(code string) string {
	if code == "0000" {
		return "0001"
	}
	return "0000"
}

// lying has the service tell a lie about the next sessions.
func (s *service) lying(l lie) {
	s.answers(func(path string, status int, body []byte) (int, []byte) {
		var c devicewire.Claimed
		if path != devicewire.Claim || json.Unmarshal(body, &c) != nil {
			return status, body
		}
		l.change(&c)
		text, err := json.Marshal(c)
		if err != nil {
			panic(err)
		}
		return status, text
	})
}

// TestMismatch: whatever the service says otherwise than what would be signed, the phone
// signs nothing.
func TestMismatch(t *testing.T) {
	s := newService(t, databasetest.Open(t, databasetest.SQLite(t)))
	p := s.Enrol(t, s.url, servicetest.Mari, identity.Qualified)
	refused := func(name string, err error) {
		t.Helper()
		require.Error(t, err, name)
		require.NotErrorIs(t, err, deviceclient.ErrConfig, name)
		var answer *deviceclient.Error
		require.NotErrorAs(t, err, &answer, name)
	}
	for _, v := range []struct {
		r    func() rp.Request
		lies []lie
	}{
		{func() rp.Request { return login2(rp.DisplayTextAndPIN) }, shown},
		{func() rp.Request { return login3(rp.Notification, rp.DisplayTextAndPIN) }, append(append([]lie{}, shown...), login...)},
	} {
		x := s.begin(v.r())
		s.answers(nil)
		pending, err := p.Poll(t.Context(), nil, time.Minute)
		require.NoError(t, err)
		_, err = p.Open(t.Context(), pending)
		require.NoError(t, err, "without a lie")
		for _, l := range v.lies {
			s.lying(l)
			_, err := p.Open(t.Context(), pending)
			refused(l.name, err)
		}
		s.answers(nil)
		require.Nil(t, s.outcome(x.ID))
		tx, err := p.Open(t.Context(), pending)
		require.NoError(t, err)
		require.NoError(t, tx.Refuse(t.Context(), deviceclient.NoScreen))
	}

	// Three codes: what they are of is told after the pick.
	r := login2(rp.VerificationCodeChoice)
	x := s.begin(r)
	s.lying(lie{"a code that says which", func(c *devicewire.Claimed) { c.Code = c.Codes[0] }})
	pending, err := p.Poll(t.Context(), nil, time.Minute)
	require.NoError(t, err)
	_, err = p.Open(t.Context(), pending)
	refused("a code that says which", err)
	s.lying(lie{"two codes", func(c *devicewire.Claimed) { c.Codes = c.Codes[:2] }})
	_, err = p.Open(t.Context(), pending)
	refused("two codes", err)
	wrong := sha256.Sum256([]byte("another document"))
	if protocol.VerificationCode(wrong[:]) == codeOf2(r) { // once in 10,000
		wrong = sha256.Sum256([]byte("a third document"))
	}
	s.answers(func(path string, status int, body []byte) (int, []byte) {
		var c devicewire.Chosen
		if path != devicewire.Choice || json.Unmarshal(body, &c) != nil {
			return status, body
		}
		c.ToSign.Digest = wrong[:]
		text, _ := json.Marshal(c)
		return status, text
	})
	tx, err := p.Open(t.Context(), pending)
	require.NoError(t, err)
	require.ErrorIs(t, tx.Choose(t.Context(), codeOf2(r)), deviceclient.ErrMismatch)
	require.Error(t, tx.Sign(t.Context(), pin1))
	require.Nil(t, s.outcome(x.ID))

	// A link of the same device.
	r = login3(rp.DeviceLink, rp.DisplayTextAndPIN)
	r.CallbackURL = "https://bank.example/cb"
	for _, l := range back {
		s.answers(nil)
		x = s.begin(r)
		s.lying(l)
		_, err = p.OpenLink(t.Context(), s.link(r, x, rp.FlowWeb2App))
		require.ErrorIs(t, err, deviceclient.ErrMismatch, l.name)
	}
}

func codeOf2(r rp.Request) string { return protocol.VerificationCode(r.Digest) }
