package transactions

import (
	"bytes"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// session is one request of a relying party, from Begin until it is forgotten. The
// machine changes it by events and by nothing else; docs/service.md has its table.
type session struct {
	ID      string
	Request rp.Request

	Began    time.Time // when the relying party got its first answer
	Answered time.Time // and the last one, if it asked again
	Deadline time.Time // from then on it has timed out

	Code     string            // the verification code; empty where there is none
	Token    string            // of a device link; empty where there is none
	secret   devicelink.Secret // likewise
	Callback string            // where the phone goes afterwards; that of the choice if linked
	Digest   string            // sessionSecretDigest, likewise

	Several  bool      // several accounts were asked, so each asks whether it is the one
	Accounts []account // those that take part

	Outcome   *rp.Outcome // nil while it is running
	Completed time.Time
	Awaits    time.Time // until when an app waits for a linked signature, after a choice
	Linked    bool      // a linked signature has followed this choice
}

// account is one account's part in a session.
type account struct {
	Document identity.Document
	Stage    stage
	Why      rp.End // of one that is out
	Claim    claim  // from choosing on
}

// stage is how far an account has come in a session.
type stage uint8

const (
	absent   stage = 0 // was not asked
	invited  stage = 1 // may claim
	choosing stage = 2 // is shown three codes
	deciding stage = 3 // is asked whether to use this account: of choices of certificates
	signing  stage = 4 // has the challenge
	out      stage = 5 // takes part no more
)

// claim is what an account was shown and given. It never changes: a phone that claims
// once more gets the same.
type claim struct {
	Interaction   rp.Interaction
	Flow          rp.FlowType
	Codes         [3]string // to choose from; empty where there is no choice
	ServerRandom  string
	UserChallenge string
	Certificate   []byte
	Device        string // label of the phone
	Address       string // and where it was
	Digest        []byte
	Challenge     []byte // of protocol/server; nothing is given out of these two before the right code
}

// Screen is where a person refuses.
type Screen uint8

const (
	NoScreen           Screen = 0 // without a look at it
	AccountScreen      Screen = 1 // asks whether to use this account
	CodesScreen        Screen = 2 // shows three codes
	ConfirmationScreen Screen = 3 // shows a text
	PINScreen          Screen = 4
)

// eventKind is what can happen to a session, beside that its time ends.
type eventKind uint8

const (
	claims eventKind = 1 // the phone has opened it
	picks  eventKind = 2 // one of three codes, or, with none, this account
	denies eventKind = 3 // refuses on a screen
	signs  eventKind = 4 // there is a signature
	drops  eventKind = 5 // the account cannot go on
)

type event struct {
	kind      eventKind
	document  identity.Document
	claim     claim // claims
	code      string
	screen    Screen
	challenge []byte // signs
	signature []byte
	why       rp.End        // drops
	life      time.Duration // claims, picks: how long the phone has for what comes next
}

// next is the machine: what a session is after an event at a time. Whatever the error,
// the session may have changed: its time may have ended. The arguments do not change.
func next(s session, e event, now time.Time) (session, error) {
	s.Accounts = slices.Clone(s.Accounts)
	s = expire(s, now)
	if s.Outcome != nil {
		return s.again(e)
	}
	i := slices.IndexFunc(s.Accounts, func(a account) bool { return a.Document == e.document })
	if i < 0 {
		return s.join(e, now)
	}
	a := &s.Accounts[i]
	if a.Stage == out {
		if e.kind == drops {
			return s, nil
		}
		return s, &UnusableError{a.Why}
	}
	switch e.kind {
	case claims:
		if a.Stage == invited {
			a.take(s.Request.Kind, e.claim)
			if s.Request.Flow == rp.DeviceLink {
				s.Deadline = now.Add(e.life)
			}
		}
		return s, nil
	case picks:
		return s.pick(a, e, now)
	case denies:
		return s.deny(a, e.screen, now)
	case signs:
		if a.Stage != signing || !bytes.Equal(a.Claim.Challenge, e.challenge) {
			return s, ErrOrder
		}
		o := a.success()
		o.Signature = e.signature
		return s.end(o, now), nil
	case drops:
		a.Stage, a.Why = out, e.why
		if slices.ContainsFunc(s.Accounts, func(a account) bool { return a.Stage != out }) {
			return s, nil
		}
		return s.end(rp.Outcome{End: e.why}, now), nil
	}
	return s, ErrOrder
}

// expire ends a session whose time is up.
func expire(s session, now time.Time) session {
	if s.Outcome == nil && !now.Before(s.Deadline) {
		return s.end(rp.Outcome{End: rp.Timeout}, s.Deadline)
	}
	return s
}

func (s session) end(o rp.Outcome, now time.Time) session {
	s.Outcome, s.Completed = &o, now
	return s
}

// again is what an event makes of a session that has ended.
func (s session) again(e event) (session, error) {
	own := s.Outcome.End == rp.OK && s.Outcome.Document == e.document
	choice := own && s.Request.Kind == rp.CertificateChoice
	switch {
	case e.kind == drops:
		return s, nil
	// What the phone says once more, since it did not hear the answer.
	case choice && e.kind == picks && e.code == "":
		return s, nil
	case own && e.kind == signs && len(s.Outcome.Signature) > 0 && bytes.Equal(s.signed().Challenge, e.challenge):
		return s, nil
	// The app waits no more.
	case choice && e.kind == denies && !s.Awaits.IsZero():
		s.Awaits = time.Time{}
		return s, nil
	}
	return s, ErrGone
}

// signed is the claim of the account that answered.
func (s session) signed() claim {
	for _, a := range s.Accounts {
		if s.Outcome != nil && a.Document == s.Outcome.Document {
			return a.Claim
		}
	}
	return claim{}
}

// join lets an account claim that was not asked: with a device link, the first one.
func (s session) join(e event, now time.Time) (session, error) {
	switch {
	case e.kind == drops:
		return s, nil
	case s.Request.Flow != rp.DeviceLink || e.kind != claims:
		return s, ErrNotFound
	case len(s.Accounts) > 0:
		return s, ErrGone
	case !s.fits(e.document):
		return s, ErrWrongAccount
	}
	a := account{Document: e.document}
	a.take(s.Request.Kind, e.claim)
	s.Accounts = append(s.Accounts, a)
	s.Deadline = now.Add(e.life)
	return s, nil
}

// fits reports whether a session is for an account.
func (s session) fits(d identity.Document) bool {
	if !s.Request.Level.Accepts(d.Level) {
		return false
	}
	switch t := s.Request.Target; {
	case t.Document != nil:
		return d == *t.Document
	case t.Person != nil:
		return d.ID == *t.Person
	}
	return true
}

func (a *account) take(kind rp.Kind, c claim) {
	a.Claim = c
	switch {
	case kind == rp.CertificateChoice:
		a.Stage = deciding
	case c.Interaction.Type.Choice():
		a.Stage = choosing
	default:
		a.Stage = signing
	}
}

// success is the outcome that an account brings about, without a signature.
func (a *account) success() rp.Outcome {
	return rp.Outcome{
		End: rp.OK, Interaction: a.Claim.Interaction.Type, Document: a.Document, Certificate: a.Claim.Certificate, Flow: a.Claim.Flow,
		ServerRandom: a.Claim.ServerRandom, UserChallenge: a.Claim.UserChallenge,
	}
}

func (s session) pick(a *account, e event, now time.Time) (session, error) {
	switch {
	case a.Stage == deciding && e.code == "":
		if s.Request.Flow == rp.DeviceLink {
			s.Awaits = now.Add(e.life)
		}
		return s.end(a.success(), now), nil
	case a.Stage == choosing && e.code == s.Code:
		a.Stage = signing
		return s, nil
	case a.Stage == choosing && e.code != "":
		return s.end(rp.Outcome{End: rp.WrongVC}, now), nil
	case a.Stage == signing && a.Claim.Interaction.Type.Choice() && e.code == s.Code:
		return s, nil // said again
	}
	return s, ErrOrder
}

func (s session) deny(a *account, screen Screen, now time.Time) (session, error) {
	o := rp.Outcome{End: rp.UserRefusedInteraction}
	shown := a.Claim.Interaction.Type
	switch {
	case screen == NoScreen:
		o.End = rp.UserRefused
	case screen == AccountScreen && a.Stage != invited && (s.Several || a.Stage == deciding):
		o.End = rp.UserRefusedCertChoice
	case screen == CodesScreen && a.Stage == choosing,
		screen == ConfirmationScreen && a.Stage == signing && shown == rp.ConfirmationMessage:
		o.Interaction = shown
	case screen == PINScreen && a.Stage == signing:
		o.Interaction = rp.DisplayTextAndPIN
	default:
		return s, ErrOrder
	}
	return s.end(o, now), nil
}
