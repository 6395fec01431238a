// Package devicewire has what travels between a phone and the service in JSON: package
// deviceapi is the service's end, deviceclient the phone's. Bytes are in base64, times as
// RFC 3339 has them.
package devicewire

import "time"

// The paths below the base URL. All are POSTs, but for Account and Events.
const (
	EnrolBegin    = "/enrolment/begin"
	EnrolAsk      = "/enrolment/ask"
	EnrolContinue = "/enrolment/continue"
	EnrolFinish   = "/enrolment/finish"
	Account       = "/account" // GET, DELETE
	History       = "/history"
	NewPhone      = "/newphone"
	Approve       = "/newphone/approve"
	Poll          = "/poll" // ?timeoutMs=
	Claim         = "/claim"
	Choice        = "/choice"
	Sign          = "/sign"
	Refuse        = "/refuse"
	Challenge     = "/challenge"
	Events        = "/events" // GET: a stream of server-sent events
	Push          = "/push"
	Message       = "/message" // of package httphandler: not JSON
)

// Use is which of an account's keys is meant.
const (
	Authentication    = "authentication"
	Signature         = "signature"
	CertificateChoice = "certificateChoice" // a kind of session; its key is the one for signatures
)

// The screens on which a person refuses.
const (
	NoScreen           = ""
	AccountScreen      = "account"
	CodesScreen        = "codes"
	ConfirmationScreen = "confirmation"
	PINScreen          = "pin"
)

// EnrolmentBody is what an enrolment has of its keys.
type EnrolmentBody struct {
	Document string    `json:"document"`
	Given    string    `json:"given"`
	Surname  string    `json:"surname"`
	Keys     [2]Offer  `json:"keys"` // for authentication, and for signatures
	Expires  time.Time `json:"expires"`
}

// Offer is a key that the phone may enrol, or has.
type Offer struct {
	ID        string `json:"id"`
	Challenge []byte `json:"challenge,omitempty"` // to enrol it; without one it is enrolled
	Confirm   []byte `json:"confirm,omitempty"`   // to confirm one that is enrolled
	Confirmed bool   `json:"confirmed"`
}

// Opened is the answer to EnrolFinish.
type Opened struct {
	Account        AccountBody `json:"account"`
	RevocationCode string      `json:"revocationCode"`
}

// AccountBody is an account as its phone shows it.
type AccountBody struct {
	Document string    `json:"document"`
	Level    string    `json:"level"`
	State    string    `json:"state"`
	Device   string    `json:"device"`
	Given    string    `json:"given"`
	Surname  string    `json:"surname"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	Keys     [2]Key    `json:"keys"`
}

// Key is a key of an account.
type Key struct {
	ID             string    `json:"id"`
	Certificate    []byte    `json:"certificate"`
	Destroyed      bool      `json:"destroyed"`
	LockedUntil    time.Time `json:"lockedUntil,omitzero"`
	LockedSeconds  int64     `json:"lockedSeconds,omitempty"` // from now: phones have clocks of their own
	Remaining      int       `json:"remaining"`               // wrong PINs until the next lock
	RemainingTotal int       `json:"remainingTotal"`          // and until it is destroyed
}

// Asked is the answer to EnrolAsk.
type Asked struct {
	Request string    `json:"request"`
	Expires time.Time `json:"expires"`
}

// NewPhoneBody is the answer to NewPhone.
type NewPhoneBody struct {
	Device    string    `json:"device"`
	Digest    []byte    `json:"digest"`
	Challenge []byte    `json:"challenge"`
	Expires   time.Time `json:"expires"`
}

// Entries is the answer to History.
type Entries struct {
	Entries []Entry `json:"entries"`
}

// Entry is a line of a history.
type Entry struct {
	ID           string    `json:"id"`
	At           time.Time `json:"at"`
	Kind         string    `json:"kind"`
	Document     string    `json:"document"`
	RelyingParty string    `json:"relyingParty,omitempty"`
	Text         string    `json:"text,omitempty"`
	Result       string    `json:"result,omitempty"`
	Device       string    `json:"device,omitempty"`
	Flow         string    `json:"flow,omitempty"`
	Address      string    `json:"address,omitempty"`
}

// PollBody is the answer to Poll.
type PollBody struct {
	Pending *Pending `json:"pending"` // null if there is none
}

// Pending is a session that waits for the phone.
type Pending struct {
	Session      string    `json:"session"`
	Kind         string    `json:"kind"`
	RelyingParty string    `json:"relyingParty"`
	Deadline     time.Time `json:"deadline"`
}

// ClaimBody asks for a session.
type ClaimBody struct {
	Session       string   `json:"session,omitempty"` // or
	DeviceLink    string   `json:"deviceLink,omitempty"`
	UserChallenge string   `json:"userChallenge,omitempty"`
	Interactions  []string `json:"interactions"`
}

// Claimed is what the phone shows.
type Claimed struct {
	Session      string    `json:"session"`
	Version      int       `json:"version"` // of the relying party's API
	Kind         string    `json:"kind"`
	RelyingParty string    `json:"relyingParty"`
	Several      bool      `json:"several"`
	Interaction  string    `json:"interaction,omitempty"`
	Text         string    `json:"text,omitempty"`
	Flow         string    `json:"flow"`
	Code         string    `json:"code,omitempty"`
	Codes        []string  `json:"codes,omitempty"`
	Deadline     time.Time `json:"deadline"`
	Seconds      int64     `json:"seconds"` // until then
	Callback     string    `json:"callback,omitempty"`
	SecretDigest string    `json:"secretDigest,omitempty"`
	ToSign       *ToSign   `json:"toSign,omitempty"`
}

// ToSign is what is signed.
type ToSign struct {
	Challenge []byte `json:"challenge"`
	Digest    []byte `json:"digest"`
	Options   string `json:"options"` // of protocol.FormatOptions
	Login     *Login `json:"login,omitempty"`
}

// Login has the parts of an acsp.Payload.
type Login struct {
	Scheme           string `json:"scheme"`
	ServerRandom     string `json:"serverRandom"`
	Challenge        string `json:"rpChallenge"`
	UserChallenge    string `json:"userChallenge"`
	RelyingPartyName string `json:"relyingPartyName"`
	BrokeredRPName   string `json:"brokeredRpName,omitempty"`
	Interactions     string `json:"interactions"`
	Interaction      string `json:"interactionTypeUsed"`
	CallbackURL      string `json:"initialCallbackUrl,omitempty"`
	Flow             string `json:"flowType"`
}

// ChoiceBody is what the person chose; without a code it is this account.
type ChoiceBody struct {
	Session string `json:"session"`
	Code    string `json:"code,omitempty"`
}

// Chosen is the answer to Choice.
type Chosen struct {
	ToSign *ToSign `json:"toSign,omitempty"`
}

// SignBody has a request of protocol/device.
type SignBody struct {
	Session string `json:"session"`
	Request []byte `json:"request"`
}

// Signing is the answer to Sign.
type Signing struct {
	Response  []byte `json:"response"`
	Done      bool   `json:"done"`
	EndResult string `json:"endResult,omitempty"` // of a session that ended otherwise
}

// Error is the answer in place of another.
type Error struct {
	Code      string `json:"error"`
	Detail    string `json:"detail,omitempty"`
	Pointer   string `json:"pointer,omitempty"` // JSON pointer into the request
	EndResult string `json:"endResult,omitempty"`
	// RetryAfter is in seconds.
	RetryAfter int64 `json:"retryAfter,omitempty"`
}

// The codes of errors.
const (
	Invalid        = "invalid"       // 400: the request is none
	Unauthorized   = "unauthorized"  // 401: nobody's token
	Ended          = "account_ended" // 403
	Refused        = "refused"       // 403: the server of the protocol does not answer
	WrongAccount   = "wrong_account" // 403: a device link for another account
	WrongLink      = "wrong_link"    // 403: not a device link of this service, or changed
	WrongSignature = "wrong_signature"
	NotFound       = "not_found"     // 404: no such session, no such path
	NoCode         = "no_such_code"  // 404: of an enrolment
	Method         = "method"        // 405
	NotApproved    = "not_approved"  // 409: the old phone has not yet approved the new one
	Unconfirmed    = "unconfirmed"   // 409: a key is not confirmed
	Order          = "not_now"       // 409: nothing that can come now
	Unusable       = "unusable"      // 409: the account cannot take part; endResult says why
	Gone           = "gone"          // 410: the session has ended
	Outdated       = "outdated_link" // 410: a QR code that is not the present one
	WrongCode      = "wrong_code"    // 410: another one of the three; the session has ended
	TooLarge       = "too_large"     // 413
	MediaType      = "media_type"    // 415: not application/json
	Later          = "later"         // 429
	Internal       = "internal"      // 500
	Busy           = "busy"          // 503: too many at once
)

// Look is all that an event, or a message by push, says: there may be something to see.
const Look = "look"

// WebPush is the kind of a subscription to Web Push; its address is the JSON of a
// browser's PushSubscription.
const WebPush = "web"

// PushBody subscribes the account's phone; without an address it is not woken any more.
type PushBody struct {
	Kind    string `json:"kind,omitempty"`
	Address string `json:"address,omitempty"`
}

// ChallengeBody is the answer to Challenge.
type ChallengeBody struct {
	Challenge []byte `json:"challenge"`
}

// AppConfig is phone.json: what an app is shipped with. Nothing of it is secret.
type AppConfig struct {
	URL     string `json:"url"` // of the device API
	Scheme  string `json:"scheme"`
	HPKEKey []byte `json:"hpke_key"`
	// PushKey is the public key that Web Push is subscribed for: 65 bytes of P-256. Empty
	// if the service has none.
	PushKey []byte `json:"push_key,omitempty"`
}
