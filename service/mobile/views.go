package mobile

import (
	"time"

	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/rp"
)

// Account is what the app's first screen shows. Times are seconds since 1970.
type Account struct {
	Document, Level, State, Device, Given, Surname string
	Created, Expires                               int64

	Authentication, Signature *Key
}

// Key is one of the two keys.
type Key struct {
	Certificate []byte // X.509
	Destroyed   bool
	// LockedSeconds is for how long it takes no PIN, from now.
	LockedSeconds int64
	// Remaining is how many wrong PINs are left until the next lock, RemainingTotal until
	// the key is destroyed.
	Remaining, RemainingTotal int
}

func newAccount(a deviceclient.Account) *Account {
	keys := [2]*Key{}
	for i, k := range a.Keys {
		keys[i] = &Key{Certificate: k.Certificate, Destroyed: k.Destroyed, LockedSeconds: k.LockedSeconds, Remaining: k.Remaining, RemainingTotal: k.RemainingTotal}
	}
	return &Account{
		Document: a.Document, Level: a.Level, State: a.State, Device: a.Device, Given: a.Given, Surname: a.Surname,
		Created: a.Created.Unix(), Expires: a.Expires.Unix(), Authentication: keys[0], Signature: keys[1],
	}
}

// Waiting is a transaction that waits for the person. Kind is "authentication",
// "signature" or "certificateChoice".
type Waiting struct{ Session, Kind, RelyingParty string }

// Transaction is one that was opened: what the person sees and answers.
type Transaction struct {
	Session      string
	Kind         string // as of Waiting
	RelyingParty string // the name
	// Several says that the person has several accounts that were asked: the app asks
	// first whether to use this one.
	Several bool
	// Interaction is how Text is shown, in the words of the relying-party API:
	// "displayTextAndPIN", "verificationCodeChoice", "confirmationMessage",
	// "confirmationMessageAndVerificationCodeChoice"; empty for a choice of a
	// certificate.
	Interaction, Text string
	// Code is what the person compares with the e-service's; empty where that has none,
	// and before one of three was picked.
	Code string
	// First, Second and Third are codes to choose from, in this order; else empty.
	First, Second, Third string
	// Key says which PIN is typed: KeyAuthentication or KeySignature; empty for a choice
	// of a certificate, which takes none.
	Key string
	// Seconds is how long there is, from now.
	Seconds int64
	// Awaits says that the certificate was chosen, and a signature may follow.
	Awaits bool
}

var kindNames = map[rp.Kind]string{rp.Authentication: "authentication", rp.Signature: "signature", rp.CertificateChoice: "certificateChoice"}

func newTransaction(t *deviceclient.Transaction) *Transaction {
	out := &Transaction{
		Session: t.Session, Kind: kindNames[t.Kind], RelyingParty: t.RelyingParty, Several: t.Several,
		Interaction: string(t.Interaction.Type), Text: t.Interaction.Text, Code: t.Code, Key: keyOf(t.Kind), Awaits: t.Awaits(),
		Seconds: int64(max(time.Until(t.Deadline), 0) / time.Second),
	}
	if len(t.Codes) == 3 {
		out.First, out.Second, out.Third = t.Codes[0], t.Codes[1], t.Codes[2]
	}
	return out
}

func keyOf(k rp.Kind) string {
	switch k {
	case rp.Authentication:
		return KeyAuthentication
	case rp.Signature:
		return KeySignature
	}
	return ""
}

// History is what was done with the person's accounts, the latest first.
type History struct{ entries []*Entry }

// Entry is a line of it. At is seconds since 1970.
type Entry struct {
	ID, Kind, Document, RelyingParty, Text, Result, Device, Flow, Address string

	At int64
}

func newHistory(lines []deviceclient.Entry) *History {
	h := new(History)
	for _, e := range lines {
		h.entries = append(h.entries, &Entry{
			ID: e.ID, Kind: e.Kind, Document: e.Document, RelyingParty: e.RelyingParty, Text: e.Text, Result: e.Result,
			Device: e.Device, Flow: e.Flow, Address: e.Address, At: e.At.Unix(),
		})
	}
	return h
}

// Len is how many lines there are.
func (h *History) Len() int {
	if h == nil {
		return 0
	}
	return len(h.entries)
}

// At returns line i, from 0; nil if there is none.
func (h *History) At(i int) *Entry {
	if h == nil || i < 0 || i >= len(h.entries) {
		return nil
	}
	return h.entries[i]
}

// The phases of a phone.
const (
	PhaseFresh     = "fresh"     // there is no account: Enrol or Ask
	PhaseEnrolling = "enrolling" // one has begun: ResumeEnrolment, or Enrol again
	PhaseEnrolled  = "enrolled"
	PhaseDead      = "dead" // a key is destroyed: Forget, and a new account
)

// State is what the phone knows by itself.
type State struct {
	Phase string
	// Pending says that the service has not answered: Resume is next.
	Pending bool

	transaction *Transaction
}

// Shown is the transaction that is open and has time left; else nil.
func (s *State) Shown() *Transaction {
	if s == nil {
		return nil
	}
	return s.transaction
}
