package mobile

import (
	"context"
	"errors"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// The codes of an [Outcome], and what the app does.
const (
	CodeOK   = "ok"
	CodeNone = "none" // says that no transaction was found, or nothing was left to resume

	// Of a PIN. Key says whose.
	CodeWrongPIN     = "wrong_pin"     // shows Remaining, or LockedSeconds, and asks again
	CodeLocked       = "locked"        // shows LockedSeconds, and does not ask before
	CodeDestroyed    = "destroyed"     // the key, for Detail; only a new account helps
	CodePINFormat    = "pin_format"    // asks for 4 to 12 digits
	CodeWeakPIN      = "weak_pin"      // asks for another one; Detail is the rule
	CodeSamePIN      = "same_pin"      // asks for one that the other key has not
	CodePINUnchanged = "pin_unchanged" // says that the old PIN holds

	// Of the connection, and of this phone.
	CodeOffline       = "offline"         // tries again: the service was not heard
	CodeUnanswered    = "unanswered"      // calls Resume, now or later, without a PIN
	CodePending       = "pending"         // calls Resume or GiveUp first
	CodeNotCarriedOut = "not_carried_out" // begins again
	CodeCancelled     = "cancelled"       // Cancel was called before anything was sent
	CodeBusy          = "busy"            // waits for the other call, or process
	CodeFresh         = "fresh"           // enrols: there is no account on this phone
	CodeEnrolled      = "enrolled"        // there is one; Delete and Forget first
	CodeCopied        = "copied"          // a copy of the storage was used; a new account
	CodeDamaged       = "damaged"         // the storage is; a new account

	// Of the service.
	CodeLater        = "later"          // tries again in RetrySeconds
	CodeEnded        = "account_ended"  // the account; Forget, and a new one
	CodeUnknown      = "unauthorized"   // no such account
	CodeNoSuchCode   = "no_such_code"   // of an enrolment: used, outdated or mistyped
	CodeNotApproved  = "not_approved"   // waits for the old phone
	CodeInvalid      = "invalid"        // what the person typed; Detail says what
	CodeNotFound     = "not_found"      // no such transaction
	CodeGone         = "gone"           // the transaction has ended
	CodeNotTaken     = "not_taken"      // it ended while the signature was made
	CodeWrongCode    = "wrong_code"     // another one than the e-service's; it has ended
	CodeWrongAccount = "wrong_account"  // the link is for somebody else
	CodeWrongLink    = "wrong_link"     // not a link of this service
	CodeOutdatedLink = "outdated_link"  // not the QR code of now
	CodeUnusable     = "unusable"       // this account cannot answer, for Detail
	CodeMismatch     = "mismatch"       // what would be signed is not what is shown
	CodeOther        = "other_question" // it is not the one that was shown; shows it anew
)

// Keys, in Outcome.Key, ChangePIN and GiveUp: PIN1 is for logins, PIN2 for signatures.
const (
	KeyAuthentication = "authentication"
	KeySignature      = "signature"
)

// Outcome is what became of a call.
type Outcome struct {
	Code   string
	Detail string // more, as Code says: not for persons
	Key    string // whose PIN it was, or is missing

	// Remaining is how many wrong PINs are left until the next lock, RemainingTotal until
	// the key is destroyed.
	Remaining, RemainingTotal int
	LockedSeconds             int64 // from now
	RetrySeconds              int64

	account     *Account
	waiting     *Waiting
	transaction *Transaction
	history     *History
	state       *State
	device      string
	request     string
	revocation  secret.Value[string] // gobind would skip a Format method
	callback    secret.Value[string]
}

// Holder is the account, after Enrol, ResumeEnrolment and Home; else nil.
func (o *Outcome) Holder() *Account {
	if o == nil {
		return nil
	}
	return o.account
}

// Found is what Poll found; else nil.
func (o *Outcome) Found() *Waiting {
	if o == nil {
		return nil
	}
	return o.waiting
}

// Shown is the transaction that was opened, or is worked on; else nil.
func (o *Outcome) Shown() *Transaction {
	if o == nil {
		return nil
	}
	return o.transaction
}

// Lines is what ReadHistory read; else nil.
func (o *Outcome) Lines() *History {
	if o == nil {
		return nil
	}
	return o.history
}

// Now is what Status found; else nil.
func (o *Outcome) Now() *State {
	if o == nil {
		return nil
	}
	return o.state
}

// NewDevice is the label of the phone that Scan looked at.
func (o *Outcome) NewDevice() string {
	if o == nil {
		return ""
	}
	return o.device
}

// Request is what Ask returns for the old phone's camera.
func (o *Outcome) Request() string {
	if o == nil {
		return ""
	}
	return o.request
}

// RevocationCode is shown once, after an enrolment: it ends the account from any browser.
func (o *Outcome) RevocationCode() string {
	if o == nil {
		return ""
	}
	return o.revocation.Get()
}

// CallbackURL is what the app opens now, where the person came from the same device.
func (o *Outcome) CallbackURL() string {
	if o == nil {
		return ""
	}
	return o.callback.Get()
}

// codes are those of errors without more to say. The first that fits holds.
var codes = []struct {
	err  error
	code string
}{
	{device.ErrSuperseded, CodeCopied},
	{deviceclient.ErrNotTaken, CodeNotTaken},
	{deviceclient.ErrMismatch, CodeMismatch},
	{devicelink.ErrMalformed, CodeWrongLink},
	{device.ErrUnanswered, CodeUnanswered},
	{device.ErrPINUnchanged, CodePINUnchanged},
	{device.ErrPending, CodePending},
	{device.ErrNothingPending, CodeNone},
	{device.ErrNotCarriedOut, CodeNotCarriedOut},
	{device.ErrBusy, CodeBusy},
	{device.ErrStorage, CodeDamaged},
	{errDamaged, CodeDamaged},
	{errOther, CodeOther},
	{errFresh, CodeFresh},
	{pinlock.ErrPINFormat, CodePINFormat},
	{errSamePIN, CodeSamePIN},
	{context.Canceled, CodeCancelled},
	{deviceclient.ErrConnection, CodeOffline},
	{deviceclient.ErrResponse, CodeOffline},
	{context.DeadlineExceeded, CodeOffline},
}

// answers are the service's that an app acts on; what is not listed is a defect.
var answers = map[string]string{
	deviceclient.CodeUnauthorized: CodeUnknown, deviceclient.CodeEnded: CodeEnded, deviceclient.CodeNotFound: CodeNotFound,
	deviceclient.CodeNoSuchCode: CodeNoSuchCode, deviceclient.CodeNotApproved: CodeNotApproved, deviceclient.CodeGone: CodeGone,
	deviceclient.CodeWrongCode: CodeWrongCode, deviceclient.CodeWrongAccount: CodeWrongAccount, deviceclient.CodeWrongLink: CodeWrongLink,
	deviceclient.CodeOutdated: CodeOutdatedLink, deviceclient.CodeUnusable: CodeUnusable, deviceclient.CodeLater: CodeLater,
	deviceclient.CodeInvalid: CodeInvalid, "internal": CodeLater, "busy": CodeLater,
}

// seconds is how long until a time, rounded up.
func seconds(until time.Time) int64 {
	return int64((max(time.Until(until), 0) + time.Second - 1) / time.Second)
}

// take says what an error means to the app. It returns what means nothing to it.
func (o *Outcome) take(err error) error {
	var (
		wrong     *limiter.WrongPINError
		locked    *limiter.LockedError
		destroyed *protocol.DestroyedError
		weak      *pinlock.WeakPINError
		answer    *deviceclient.Error
		callback  callbackError
	)
	switch {
	case err == nil:
		o.Code = CodeOK
		return nil
	case errors.As(err, &callback):
		return callback.error
	case errors.As(err, &wrong):
		o.Code, o.Remaining, o.RemainingTotal = CodeWrongPIN, wrong.Remaining, wrong.RemainingTotal
		if !wrong.LockedUntil.IsZero() {
			o.LockedSeconds = seconds(wrong.LockedUntil)
		}
		return nil
	case errors.As(err, &locked):
		o.Code, o.LockedSeconds = CodeLocked, seconds(locked.Until)
		return nil
	case errors.As(err, &destroyed):
		o.Code, o.Detail = CodeDestroyed, destroyed.Reason.String()
		return nil
	case errors.As(err, &weak):
		o.Code, o.Detail = CodeWeakPIN, weak.Rule
		return nil
	case errors.As(err, &answer) && answers[answer.Code] != "":
		o.Code, o.Detail, o.RetrySeconds = answers[answer.Code], answer.Detail, int64(answer.RetryAfter/time.Second)
		if answer.EndResult != "" {
			o.Detail = answer.EndResult
		}
		return nil
	case answer != nil:
		return err
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			o.Code = c.code
			return nil
		}
	}
	return err
}
