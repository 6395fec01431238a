package phonetest

import (
	"encoding/base64"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/mobile"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// Scenario is one course of events.
type Scenario struct {
	Name string
	Run  func(p *Player)
}

// Scenarios are all of them. Each begins with phones that are fresh.
var Scenarios = []Scenario{
	{"a life", life},
	{"answers get lost", lostAnswers},
	{"a new phone", newPhone},
}

// Player plays a scenario.
type Player struct {
	T testing.TB
	*World
	Fresh func() Phone // makes one
}

// user is the person with a phone.
type user struct {
	*Player
	Phone
}

// does calls an operation, whose outcome must be the one.
func (u user) does(outcome, op string, args Args) map[string]any {
	u.T.Helper()
	r, err := u.Call(op, args)
	require.NoError(u.T, err, op)
	require.Equal(u.T, outcome, r.Outcome, "%s: %v", op, r.Result)
	return r.Result
}

// in looks up a member of members; nil if it is not there.
func in(r map[string]any, names ...string) any {
	var v any = r
	for _, name := range names {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func text(r map[string]any, names ...string) string {
	s, _ := in(r, names...).(string)
	return s
}

// number is an int, or what JSON makes of it.
func number(r map[string]any, names ...string) int {
	switch n := in(r, names...).(type) {
	case int:
		return n
	case float64:
		return int(n)
	}
	return 0
}

func pin(digits string) []byte { return []byte(digits) }

const pin1, pin2 = "4917", "83015"

func pins() Args { return Args{"pin1": pin(pin1), "pin2": pin(pin2)} }

func (u user) enrol(code string) map[string]any {
	args := pins()
	args["code"], args["label"] = code, "Mari's phone"
	return u.does(mobile.CodeOK, "enrol", args)
}

// opens looks for the session that waits, and opens it.
func (u user) opens(s rp.Session) map[string]any {
	u.T.Helper()
	found := u.does(mobile.CodeOK, "poll", Args{"wait": 10})
	require.Equal(u.T, s.ID, text(found, "found", "session"))
	require.Equal(u.T, "DEMO", text(found, "found", "relyingParty"))
	r := u.does(mobile.CodeOK, "open", Args{"session": s.ID})
	require.Equal(u.T, s.ID, text(r, "shown", "session"))
	require.Positive(u.T, number(r, "shown", "seconds"))
	return r
}

func (u user) signs(outcome string, s rp.Session, digits string) map[string]any {
	u.T.Helper()
	return u.does(outcome, "sign", Args{"session": s.ID, "pin": pin(digits)})
}

// life is an account from its beginning to its end.
func life(p *Player) {
	u := user{p, p.Fresh()}
	require.Equal(p.T, mobile.PhaseFresh, text(u.does(mobile.CodeOK, "status", nil), "now", "phase"))
	u.does(mobile.CodeFresh, "home", nil)
	u.does(mobile.CodeFresh, "poll", nil)
	u.does(mobile.CodeFresh, "sign", Args{"session": "x", "pin": pin(pin1)})

	// PINs that are refused cost nothing, not even the code.
	code := p.Register()
	r := u.does(mobile.CodeWeakPIN, "enrol", Args{"code": code, "label": "x", "pin1": pin("1234"), "pin2": pin(pin2)})
	require.Equal(p.T, mobile.KeyAuthentication, text(r, "key"))
	require.Equal(p.T, "run", text(r, "detail"))
	r = u.does(mobile.CodeSamePIN, "enrol", Args{"code": code, "label": "x", "pin1": pin(pin1), "pin2": pin(pin1)})
	require.Equal(p.T, mobile.KeySignature, text(r, "key"))
	u.does(mobile.CodePINFormat, "checkPIN", Args{"pin": pin("12")})
	u.does(mobile.CodeNoSuchCode, "enrol", Args{"code": "AAAA-AAAA-AAAA-AAAA", "label": "x", "pin1": pin(pin1), "pin2": pin(pin2)})
	r = u.enrol(code)
	require.Equal(p.T, "MARI", text(r, "holder", "given"))
	require.NotEmpty(p.T, text(r, "revocationCode"))
	u.Restart()
	require.Equal(p.T, mobile.PhaseEnrolled, text(u.does(mobile.CodeOK, "status", nil), "now", "phase"))
	args := pins()
	args["code"], args["label"] = code, "x"
	u.does(mobile.CodeEnrolled, "enrol", args)
	r = u.does(mobile.CodeOK, "home", nil)
	require.Equal(p.T, 3, number(r, "holder", "authentication", "remaining"))
	require.NotEmpty(p.T, text(r, "holder", "signature", "certificate"))
	u.does(mobile.CodeNone, "poll", nil)
	u.does(mobile.CodeNone, "resume", nil)

	u.logsIn()
	u.picks()
	u.comesBack()
	u.refuses()
	u.signsDocument()
	u.isLockedOut()

	r = u.does(mobile.CodeOK, "readHistory", nil)
	lines := in(r, "lines").([]any)
	require.NotEmpty(p.T, lines)
	require.Equal(p.T, "DEMO", text(lines[0].(map[string]any), "relyingParty"))
	u.does(mobile.CodeOK, "delete", nil)
	require.Equal(p.T, "deleted", text(u.does(mobile.CodeOK, "home", nil), "holder", "state"))
	u.does(mobile.CodeEnded, "poll", nil)
	u.does(mobile.CodeOK, "forget", nil)
	require.Equal(p.T, mobile.PhaseFresh, text(u.does(mobile.CodeOK, "status", nil), "now", "phase"))
	u.enrol(p.Register())
}

// logsIn compares a code, mistypes, and types right; the app ends in between.
func (u user) logsIn() {
	q := Login(rp.Notification, rp.DisplayTextAndPIN)
	s := u.Begin(q)
	r := u.opens(s)
	require.Equal(u.T, "Log in", text(r, "shown", "text"))
	challenge, err := base64.StdEncoding.DecodeString(q.Challenge)
	require.NoError(u.T, err)
	require.Equal(u.T, protocol.VerificationCode(challenge), text(r, "shown", "code"))
	require.Equal(u.T, mobile.KeyAuthentication, text(r, "shown", "key"))
	u.does(mobile.CodeOther, "sign", Args{"session": "another", "pin": pin(pin1)})
	r = u.signs(mobile.CodeWrongPIN, s, "2749")
	require.Equal(u.T, 2, number(r, "remaining"))
	require.Equal(u.T, mobile.KeyAuthentication, text(r, "key"))
	u.Restart()
	require.Equal(u.T, s.ID, text(u.does(mobile.CodeOK, "status", nil), "now", "shown", "session"))
	require.Nil(u.T, u.Outcome(s))
	u.signs(mobile.CodeOK, s, pin1)
	u.Verify(q, s, rp.FlowNotification)
	require.Nil(u.T, in(u.does(mobile.CodeOK, "status", nil), "now", "shown"))
	u.does(mobile.CodeOther, "sign", Args{"session": s.ID, "pin": pin(pin1)})
}

// picks the right one of three codes, and then a wrong one.
func (u user) picks() {
	q := Login(rp.Notification, rp.ConfirmationMessageAndVerificationCodeChoice)
	challenge, err := base64.StdEncoding.DecodeString(q.Challenge)
	require.NoError(u.T, err)
	code := protocol.VerificationCode(challenge)
	s := u.Begin(q)
	r := u.opens(s)
	three := []string{text(r, "shown", "first"), text(r, "shown", "second"), text(r, "shown", "third")}
	require.Contains(u.T, three, code)
	require.Empty(u.T, text(r, "shown", "code"))
	r = u.does(mobile.CodeOK, "choose", Args{"session": s.ID, "code": code})
	require.Equal(u.T, code, text(r, "shown", "code"))
	u.Restart()
	r = u.does(mobile.CodeOK, "status", nil)
	require.Equal(u.T, code, text(r, "now", "shown", "code"))
	u.signs(mobile.CodeOK, s, pin1)
	u.Verify(q, s, rp.FlowNotification)

	q = Login(rp.Notification, rp.VerificationCodeChoice)
	challenge, err = base64.StdEncoding.DecodeString(q.Challenge)
	require.NoError(u.T, err)
	s = u.Begin(q)
	r = u.opens(s)
	for _, name := range []string{"first", "second", "third"} {
		if other := text(r, "shown", name); other != protocol.VerificationCode(challenge) {
			u.does(mobile.CodeWrongCode, "choose", Args{"session": s.ID, "code": other})
			break
		}
	}
	require.Equal(u.T, rp.WrongVC, u.Outcome(s).End)
}

// comesBack is opened by a link of the same device. The PIN is mistyped, and the app
// ends; what it goes back with is of the phone that began all the same.
func (u user) comesBack() {
	u.does(mobile.CodeWrongLink, "openLink", Args{"link": "https://id.example/other"})
	q := Login(rp.DeviceLink, rp.ConfirmationMessage)
	s := u.Begin(q)
	u.does(mobile.CodeOK, "openLink", Args{"link": u.Link(q, s, rp.FlowWeb2App)})
	u.signs(mobile.CodeWrongPIN, s, "2749")
	u.Restart()
	back, err := url.Parse(text(u.signs(mobile.CodeOK, s, pin1), "callbackURL"))
	require.NoError(u.T, err)
	require.Equal(u.T, "bank.example", back.Host)
	o := u.Verify(q, s, rp.FlowWeb2App)
	_, secretText, _ := s.Link()
	secret, err := devicelink.ParseSecret(secretText)
	require.NoError(u.T, err)
	require.True(u.T, acsp.VerifyCallback(back.Query().Get("sessionSecretDigest"), secret.Digest(), back.Query().Get("userChallengeVerifier"), o.UserChallenge))
}

// refuses, and finds that another transaction has ended meanwhile.
func (u user) refuses() {
	s := u.Begin(Login(rp.Notification, rp.ConfirmationMessage))
	u.opens(s)
	u.does(mobile.CodeOK, "refuse", Args{"session": s.ID, "screen": mobile.ScreenConfirmation})
	require.Equal(u.T, rp.UserRefusedInteraction, u.Outcome(s).End)

	s = u.Begin(Login(rp.Notification, rp.DisplayTextAndPIN))
	u.opens(s)
	u.RefuseElsewhere(s)
	u.signs(mobile.CodeGone, s, "2749")
	require.Equal(u.T, 3, number(u.does(mobile.CodeOK, "home", nil), "holder", "authentication", "remaining"), "no PIN was tried")
}

// signsDocument chooses a certificate, signs with PIN2, and changes that.
func (u user) signsDocument() {
	c := Choice()
	s := u.Begin(c)
	r := u.does(mobile.CodeOK, "openLink", Args{"link": u.Link(c, s, rp.FlowQR)})
	require.Equal(u.T, "certificateChoice", text(r, "shown", "kind"))
	require.Empty(u.T, text(r, "shown", "key"))
	u.does(mobile.CodeOK, "useAccount", Args{"session": s.ID})
	require.Equal(u.T, rp.OK, u.Outcome(s).End)
	u.Restart()
	require.Equal(u.T, true, in(u.does(mobile.CodeOK, "status", nil), "now", "shown", "awaits"))
	u.does(mobile.CodeOK, "refuse", Args{"session": s.ID, "screen": mobile.ScreenNone})

	const changed = "51834"
	r = u.does(mobile.CodeWeakPIN, "changePIN", Args{"key": mobile.KeySignature, "oldPIN": pin(pin2), "newPIN": pin("55555")})
	require.Equal(u.T, mobile.KeySignature, text(r, "key"))
	u.does(mobile.CodePINUnchanged, "changePIN", Args{"key": mobile.KeySignature, "oldPIN": pin(pin2), "newPIN": pin(pin2)})
	u.does(mobile.CodeOK, "changePIN", Args{"key": mobile.KeySignature, "oldPIN": pin(pin2), "newPIN": pin(changed)})
	q := Signature(rp.ConfirmationMessage)
	s = u.Begin(q)
	u.opens(s)
	u.signs(mobile.CodeWrongPIN, s, pin2)
	u.signs(mobile.CodeOK, s, changed)
	u.Verify(q, s, rp.FlowNotification)
	u.does(mobile.CodeOK, "changePIN", Args{"key": mobile.KeySignature, "oldPIN": pin(changed), "newPIN": pin(pin2)})
}

// isLockedOut of one key, not of the other.
func (u user) isLockedOut() {
	s := u.Begin(Login(rp.Notification, rp.DisplayTextAndPIN))
	u.opens(s)
	u.signs(mobile.CodeWrongPIN, s, "2749")
	u.signs(mobile.CodeWrongPIN, s, "2749")
	r := u.signs(mobile.CodeWrongPIN, s, "2749")
	require.Zero(u.T, number(r, "remaining"))
	require.Positive(u.T, number(r, "lockedSeconds"))
	require.Equal(u.T, rp.DocumentUnusable, u.Outcome(s).End)
	r = u.does(mobile.CodeOK, "home", nil)
	require.Positive(u.T, number(r, "holder", "authentication", "lockedSeconds"))
	require.Zero(u.T, number(r, "holder", "signature", "lockedSeconds"))
	s = u.Begin(Login(rp.Notification, rp.DisplayTextAndPIN))
	u.does(mobile.CodeOK, "poll", Args{"wait": 10})
	r = u.does(mobile.CodeUnusable, "open", Args{"session": s.ID})
	require.Equal(u.T, rp.DocumentUnusable.String(), text(r, "detail"))
	q := Signature(rp.DisplayTextAndPIN)
	s = u.Begin(q)
	u.opens(s)
	u.signs(mobile.CodeOK, s, pin2)
	u.Verify(q, s, rp.FlowNotification)
}

// lostAnswers: whatever is not heard, the phone goes on where it was, also after it was
// started anew; one attempt is one attempt.
func lostAnswers(p *Player) {
	u := user{p, p.Fresh()}
	code := p.Register()
	args := func() Args {
		a := pins()
		a["code"], a["label"] = code, "Mari's phone"
		return a
	}
	p.Loses("/enrolment/begin")
	u.does(mobile.CodeOffline, "enrol", args())
	p.Loses("/message")
	u.does(mobile.CodeUnanswered, "enrol", args())
	u.Restart()
	r := u.does(mobile.CodeOK, "status", nil)
	require.Equal(p.T, mobile.PhaseEnrolling, text(r, "now", "phase"))
	require.Equal(p.T, true, in(r, "now", "pending"))
	p.Loses("/enrolment/finish")
	u.does(mobile.CodeOffline, "resumeEnrolment", pins())
	require.NotEmpty(p.T, text(u.does(mobile.CodeOK, "resumeEnrolment", pins()), "revocationCode"))

	// The relying party has the signature; the phone learns it afterwards, and goes back.
	q := Login(rp.DeviceLink, rp.DisplayTextAndPIN)
	s := p.Begin(q)
	u.does(mobile.CodeOK, "openLink", Args{"link": p.Link(q, s, rp.FlowWeb2App)})
	p.Loses("/sign")
	u.signs(mobile.CodeUnanswered, s, pin1)
	u.Restart()
	require.Equal(p.T, true, in(u.does(mobile.CodeOK, "status", nil), "now", "pending"))
	require.Contains(p.T, text(u.does(mobile.CodeOK, "resume", nil), "callbackURL"), "userChallengeVerifier=")
	p.Verify(q, s, rp.FlowWeb2App)
	u.does(mobile.CodeNone, "resume", nil)

	// A wrong PIN whose answer was lost is one wrong PIN.
	s = p.Begin(Login(rp.Notification, rp.DisplayTextAndPIN))
	u.opens(s)
	p.Loses("/sign")
	u.signs(mobile.CodeUnanswered, s, "2749")
	u.Restart()
	r = u.does(mobile.CodeWrongPIN, "resume", nil)
	require.Equal(p.T, 2, number(r, "remaining"))
	require.Equal(p.T, s.ID, text(r, "shown", "session"))
	u.signs(mobile.CodeOK, s, pin1)

	// A new PIN whose answer was lost is not the PIN.
	p.Loses("/message")
	u.does(mobile.CodeUnanswered, "changePIN", Args{"key": mobile.KeyAuthentication, "oldPIN": pin(pin1), "newPIN": pin("90417")})
	r = u.does(mobile.CodePINUnchanged, "resume", nil)
	require.Equal(p.T, mobile.KeyAuthentication, text(r, "key"))
	s = p.Begin(Login(rp.Notification, rp.DisplayTextAndPIN))
	u.opens(s)
	p.Loses("/sign")
	u.signs(mobile.CodeUnanswered, s, pin1)
	u.does(mobile.CodeOK, "giveUp", Args{"key": mobile.KeyAuthentication})
	u.does(mobile.CodeNone, "resume", nil)
}

// newPhone takes the place of an old one.
func newPhone(p *Player) {
	old, fresh := user{p, p.Fresh()}, user{p, p.Fresh()}
	old.enrol(p.Register())
	request := text(fresh.does(mobile.CodeOK, "ask", Args{"label": "New phone"}), "request")
	require.NotEmpty(p.T, request)
	fresh.does(mobile.CodeNotApproved, "resumeEnrolment", pins())
	require.Equal(p.T, "New phone", text(old.does(mobile.CodeOK, "scan", Args{"request": request}), "newDevice"))
	approve := func(outcome, device, digits string) {
		p.T.Helper()
		old.does(outcome, "approve", Args{"request": request, "device": device, "pin": pin(digits)})
	}
	approve(mobile.CodeMismatch, "Another phone", pin2)
	approve(mobile.CodeWrongPIN, "New phone", "60217")
	old.Restart()
	approve(mobile.CodeOK, "New phone", pin2)
	fresh.Restart()
	require.NotEmpty(p.T, text(fresh.does(mobile.CodeOK, "resumeEnrolment", pins()), "revocationCode"))
	require.Equal(p.T, "deleted", text(old.does(mobile.CodeOK, "home", nil), "holder", "state"))
	q := Login(rp.Notification, rp.DisplayTextAndPIN)
	s := p.Begin(q)
	fresh.opens(s)
	fresh.signs(mobile.CodeOK, s, pin1)
	p.Verify(q, s, rp.FlowNotification)
}
