package transactions

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
)

// table is the machine as docs/service.md has it: for each event, what becomes of a
// session in which the account is at one of these stages. A cell "A if C else B" depends
// on the session.
var (
	stages = []string{"not asked", "invited", "choosing", "deciding", "signing", "out", "ended"}
	table  = []struct {
		event string
		cells [7]string
	}{
		{"claims", [7]string{"taken if a link nobody claimed else not found", "taken", "same", "same", "same", "unusable", "gone"}},
		{"picks the right code", [7]string{"not found", "order", "signing", "order", "same if it chose else order", "unusable", "gone"}},
		{"picks another code", [7]string{"not found", "order", "WRONG_VC", "order", "order", "unusable", "gone"}},
		{"picks this account", [7]string{"not found", "order", "order", "OK", "order", "unusable", "same if its choice else gone"}},
		{"refuses without a look", [7]string{"not found", "USER_REFUSED", "USER_REFUSED", "USER_REFUSED", "USER_REFUSED", "unusable", "gone"}},
		{"refuses this account", [7]string{"not found", "order", "USER_REFUSED_CERT_CHOICE if several else order", "USER_REFUSED_CERT_CHOICE", "USER_REFUSED_CERT_CHOICE if several else order", "unusable", "gone"}},
		{"refuses at the codes", [7]string{"not found", "order", "USER_REFUSED_INTERACTION", "order", "order", "unusable", "gone"}},
		{"refuses at the text", [7]string{"not found", "order", "order", "order", "USER_REFUSED_INTERACTION if a text else order", "unusable", "gone"}},
		{"refuses at the PIN", [7]string{"not found", "order", "order", "order", "USER_REFUSED_INTERACTION", "unusable", "gone"}},
		{"signs", [7]string{"not found", "order", "order", "order", "OK", "unusable", "same if its signature else gone"}},
		{"cannot go on", [7]string{"same", "out if others else DOCUMENT_UNUSABLE", "out if others else DOCUMENT_UNUSABLE", "out if others else DOCUMENT_UNUSABLE", "out if others else DOCUMENT_UNUSABLE", "same", "same"}},
		{"its time is up", [7]string{"TIMEOUT", "TIMEOUT", "TIMEOUT", "TIMEOUT", "TIMEOUT", "TIMEOUT", "same"}},
	}
)

// TestTableIsDocumented: what TestTable holds the machine to is what the document says.
func TestTableIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/service.md")
	require.NoError(t, err)
	for _, row := range table {
		require.Contains(t, string(text), "| "+row.event+" | "+strings.Join(row.cells[:], " | ")+" |\n")
	}
	require.Contains(t, string(text), "| the account | "+strings.Join(stages, " | ")+" |\n")
}

var (
	machineNow   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	machineOwn   = identity.Document{ID: identity.ID{Type: "PNO", Country: "EE", Number: "40504040001"}, Label: "AAAA", Level: identity.Qualified}
	machineOther = identity.Document{ID: machineOwn.ID, Label: "BBBB", Level: identity.Qualified}
)

// variant is one kind of session.
type variant struct {
	kind        rp.Kind
	flow        rp.Flow
	interaction rp.InteractionType
	others      stage // of another account; absent if there is none
	several     bool
	ended       rp.End // of the stage "ended": OK by this account, or what else
}

func (v variant) claim(challenge string) claim {
	return claim{Interaction: rp.Interaction{Type: v.interaction}, Challenge: []byte(challenge), Certificate: []byte{1}}
}

// at returns a session in which the account is at a stage; false if there is none.
func (v variant) at(name string) (session, bool) {
	s := session{ID: "s", Request: rp.Request{Kind: v.kind, Flow: v.flow, Level: rp.LevelQualified}, Code: "1234", Several: v.several, Deadline: machineNow.Add(time.Second)}
	own := account{Document: machineOwn, Claim: v.claim("own")}
	switch name {
	case "not asked":
		if v.ended != 0 || v.flow != rp.DeviceLink && v.others == absent {
			return s, false
		}
	case "invited":
		own.Stage, own.Claim = invited, claim{}
	case "choosing":
		own.Stage = choosing
	case "deciding":
		own.Stage = deciding
	case "signing":
		own.Stage = signing
	case "out":
		own.Stage, own.Why = out, rp.DocumentUnusable
		if v.others == absent {
			return s, false // the session ended with it
		}
	case "ended":
		if v.ended == 0 {
			return s, false
		}
		own.Stage = signing
		if v.kind == rp.CertificateChoice {
			own.Stage = deciding
		}
		s.Outcome, s.Completed = &rp.Outcome{End: v.ended}, machineNow
		if v.ended == rp.OK {
			o := own.success()
			if v.kind != rp.CertificateChoice {
				o.Signature = []byte("signature")
			}
			s.Outcome = &o
		}
	}
	if own.Stage == choosing && (v.kind == rp.CertificateChoice || !v.interaction.Choice()) ||
		own.Stage == deciding && v.kind != rp.CertificateChoice ||
		own.Stage == signing && v.kind == rp.CertificateChoice {
		return s, false
	}
	if own.Stage != absent {
		s.Accounts = append(s.Accounts, own)
	}
	if v.others != absent {
		s.Accounts = append(s.Accounts, account{Document: machineOther, Stage: v.others, Claim: v.claim("other")})
	}
	return s, true
}

var screens = map[string]Screen{
	"refuses without a look": NoScreen, "refuses this account": AccountScreen, "refuses at the codes": CodesScreen,
	"refuses at the text": ConfirmationScreen, "refuses at the PIN": PINScreen,
}

func (v variant) event(name string) (event, time.Time) {
	e := event{document: machineOwn, life: time.Minute}
	switch name {
	case "claims":
		e.kind, e.claim = claims, v.claim("own")
	case "picks the right code":
		e.kind, e.code = picks, "1234"
	case "picks another code":
		e.kind, e.code = picks, "4321"
	case "picks this account":
		e.kind = picks
	case "signs":
		e.kind, e.challenge, e.signature = signs, []byte("own"), []byte("signature")
	case "cannot go on":
		e.kind, e.why = drops, rp.DocumentUnusable
	case "its time is up":
		return event{kind: drops}, machineNow.Add(time.Second) // of nobody: the time is what counts
	default:
		e.kind, e.screen = denies, screens[name]
	}
	return e, machineNow.Add(time.Second - 1)
}

// holds evaluates a condition of a cell.
func (v variant) holds(condition string) bool {
	switch condition {
	case "several":
		return v.several
	case "others":
		return v.others != absent && v.others != out
	case "it chose":
		return v.interaction.Choice()
	case "a text":
		return v.interaction == rp.ConfirmationMessage
	case "a link nobody claimed":
		return v.flow == rp.DeviceLink && v.others == absent
	case "its choice":
		return v.kind == rp.CertificateChoice && v.ended == rp.OK
	case "its signature":
		return v.kind != rp.CertificateChoice && v.ended == rp.OK
	}
	panic("condition " + condition)
}

// became names what the machine made of a session.
func became(before, after session, err error) string {
	switch {
	case err == nil && before.Outcome == nil && after.Outcome != nil:
		return after.Outcome.End.String()
	case err == nil && reflect.DeepEqual(before, after):
		return "same"
	case err == nil:
		for _, a := range after.Accounts {
			if a.Document == machineOwn {
				return map[stage]string{choosing: "taken", deciding: "taken", signing: "taken", out: "out"}[a.Stage]
			}
		}
		return "lost"
	case !reflect.DeepEqual(before, after):
		return "changed, and " + err.Error()
	}
	return map[string]string{
		ErrNotFound.Error(): "not found", ErrGone.Error(): "gone", ErrOrder.Error(): "order", (&UnusableError{rp.DocumentUnusable}).Error(): "unusable",
	}[err.Error()]
}

// TestTable tries every event at every stage of every kind of session.
func TestTable(t *testing.T) {
	tried := make(map[string]int)
	for _, v := range variants() {
		for _, row := range table {
			for i, name := range stages {
				before, ok := v.at(name)
				if !ok {
					continue
				}
				want := row.cells[i]
				if yes, rest, conditional := strings.Cut(want, " if "); conditional {
					condition, no, _ := strings.Cut(rest, " else ")
					want = no
					if v.holds(condition) {
						want = yes
					}
				}
				e, at := v.event(row.event)
				after, err := next(before, e, at)
				got := became(before, after, err)
				if got == "taken" && row.event != "claims" {
					got = "signing"
					require.Equal(t, signing, after.Accounts[0].Stage)
				}
				require.Equal(t, want, got, "%s, when %s: %+v", row.event, name, v)
				again, _ := v.at(name)
				require.Equal(t, again, before, "the machine changed its argument")
				tried[row.event+", "+name]++
			}
		}
	}
	require.Len(t, tried, len(table)*len(stages), "a pair was never tried")
}

func variants() (all []variant) {
	for _, kind := range []rp.Kind{rp.Authentication, rp.Signature, rp.CertificateChoice} {
		for _, flow := range []rp.Flow{rp.Notification, rp.DeviceLink, rp.Linked} {
			for _, i := range []rp.InteractionType{rp.DisplayTextAndPIN, rp.VerificationCodeChoice, rp.ConfirmationMessage, rp.ConfirmationMessageAndVerificationCodeChoice} {
				for _, others := range []stage{absent, invited, choosing, deciding, signing, out} {
					for _, end := range []rp.End{0, rp.OK, rp.Timeout, rp.UserRefused} {
						if flow != rp.DeviceLink || others == absent {
							all = append(all, variant{kind: kind, flow: flow, interaction: i, others: others, several: others != absent, ended: end})
						}
					}
				}
			}
		}
	}
	return all
}

// TestStageAfterClaim: what is asked says what a phone shows first.
func TestStageAfterClaim(t *testing.T) {
	for _, v := range variants() {
		before, ok := v.at("invited")
		if !ok || v.ended != 0 {
			continue
		}
		e, now := v.event("claims")
		after, err := next(before, e, now)
		require.NoError(t, err)
		want := signing
		switch {
		case v.kind == rp.CertificateChoice:
			want = deciding
		case v.interaction.Choice():
			want = choosing
		}
		require.Equal(t, want, after.Accounts[0].Stage)
	}
}

// TestOutcome: what a success and a refusal say.
func TestOutcome(t *testing.T) {
	v := variant{kind: rp.Authentication, flow: rp.DeviceLink, interaction: rp.ConfirmationMessage}
	s, _ := v.at("not asked")
	c := v.claim("own")
	c.Flow, c.ServerRandom, c.UserChallenge = rp.FlowQR, "random", "challenge"
	s, err := next(s, event{kind: claims, document: machineOwn, claim: c, life: time.Minute}, machineNow)
	require.NoError(t, err)
	require.Equal(t, machineNow.Add(time.Minute), s.Deadline, "a link that was opened has its time from then on")
	refused, err := next(s, event{kind: denies, document: machineOwn, screen: PINScreen}, machineNow)
	require.NoError(t, err)
	require.Equal(t, &rp.Outcome{End: rp.UserRefusedInteraction, Interaction: rp.DisplayTextAndPIN}, refused.Outcome)
	refused, err = next(s, event{kind: denies, document: machineOwn, screen: ConfirmationScreen}, machineNow)
	require.NoError(t, err)
	require.Equal(t, &rp.Outcome{End: rp.UserRefusedInteraction, Interaction: rp.ConfirmationMessage}, refused.Outcome)

	_, err = next(s, event{kind: signs, document: machineOwn, challenge: []byte("another"), signature: []byte("s")}, machineNow)
	require.ErrorIs(t, err, ErrOrder, "a signature for another challenge")
	later := machineNow.Add(59 * time.Second)
	s, err = next(s, event{kind: signs, document: machineOwn, challenge: []byte("own"), signature: []byte("s")}, later)
	require.NoError(t, err)
	require.Equal(t, later, s.Completed)
	require.Equal(t, &rp.Outcome{
		End: rp.OK, Interaction: rp.ConfirmationMessage, Document: machineOwn, Certificate: []byte{1}, Signature: []byte("s"),
		Flow: rp.FlowQR, ServerRandom: "random", UserChallenge: "challenge",
	}, s.Outcome)
	again, err := next(s, event{kind: signs, document: machineOwn, challenge: []byte("own"), signature: []byte("second")}, later)
	require.NoError(t, err)
	require.Equal(t, "s", string(again.Outcome.Signature), "a second signature for one session")
	late, err := next(s, event{kind: denies, document: machineOwn}, later.Add(time.Hour))
	require.ErrorIs(t, err, ErrGone)
	require.Equal(t, rp.OK, late.Outcome.End, "what has ended ends once")
}

// TestLinkIsForOne: a device link is for whom the relying party named, and for the first
// account that opens it.
func TestLinkIsForOne(t *testing.T) {
	v := variant{kind: rp.Signature, flow: rp.DeviceLink, interaction: rp.DisplayTextAndPIN}
	open := func(target rp.Target, d identity.Document) error {
		s, _ := v.at("not asked")
		s.Request.Target = target
		_, err := next(s, event{kind: claims, document: d, claim: v.claim("own"), life: time.Minute}, machineNow)
		return err
	}
	stranger := identity.Document{ID: identity.ID{Type: "PNO", Country: "LV", Number: "010101-10006"}, Label: "AAAA", Level: identity.Qualified}
	require.NoError(t, open(rp.Target{}, stranger))
	require.NoError(t, open(rp.Target{Person: &machineOwn.ID}, machineOther))
	require.NoError(t, open(rp.Target{Document: &machineOwn}, machineOwn))
	require.ErrorIs(t, open(rp.Target{Document: &machineOwn}, machineOther), ErrWrongAccount)
	advanced := stranger
	advanced.Level = identity.Advanced
	require.ErrorIs(t, open(rp.Target{}, advanced), ErrWrongAccount)
	require.ErrorIs(t, open(rp.Target{Person: &machineOwn.ID}, stranger), ErrWrongAccount)

	s, _ := v.at("signing")
	_, err := next(s, event{kind: claims, document: machineOther, claim: v.claim("other"), life: time.Minute}, machineNow)
	require.ErrorIs(t, err, ErrGone)
}

// TestAwait: after a choice by a device link the app waits for the linked signature,
// until it says that it does not.
func TestAwait(t *testing.T) {
	for _, flow := range []rp.Flow{rp.DeviceLink, rp.Notification} {
		s, _ := variant{kind: rp.CertificateChoice, flow: flow}.at("deciding")
		s, err := next(s, event{kind: picks, document: machineOwn, life: time.Minute}, machineNow)
		require.NoError(t, err)
		if flow == rp.Notification {
			require.Zero(t, s.Awaits)
			continue
		}
		require.Equal(t, machineNow.Add(time.Minute), s.Awaits)
		_, err = next(s, event{kind: denies, document: machineOther}, machineNow)
		require.ErrorIs(t, err, ErrGone)
		s, err = next(s, event{kind: denies, document: machineOwn}, machineNow)
		require.NoError(t, err)
		require.Zero(t, s.Awaits)
		require.Equal(t, rp.OK, s.Outcome.End)
	}
}

// TestLastReason: the session ends as its last account could not go on.
func TestLastReason(t *testing.T) {
	v := variant{kind: rp.Signature, flow: rp.Notification, interaction: rp.DisplayTextAndPIN, others: invited, several: true}
	s, _ := v.at("invited")
	s, err := next(s, event{kind: drops, document: machineOwn, why: rp.InteractionNotSupported}, machineNow)
	require.NoError(t, err)
	require.Nil(t, s.Outcome)
	_, err = next(s, event{kind: claims, document: machineOwn}, machineNow)
	var unusable *UnusableError
	require.ErrorAs(t, err, &unusable)
	require.Equal(t, rp.InteractionNotSupported, unusable.End)
	s, err = next(s, event{kind: drops, document: machineOther, why: rp.DocumentUnusable}, machineNow)
	require.NoError(t, err)
	require.Equal(t, rp.DocumentUnusable, s.Outcome.End)
}
