package rp

import (
	"github.com/tandem-rsa/tandem/service/identity"
)

// End is how a session ended. The zero End is none. Two names of version 3 are not among
// them. SERVER_ERROR: a phone that the service fails asks again until the session's time
// is up, and then it is TIMEOUT. ACCOUNT_UNUSABLE: no document says when an account is
// that and not DOCUMENT_UNUSABLE, and the API's description does not list it.
type End uint8

const (
	OK                      End = 1
	UserRefused             End = 2  // without a screen
	UserRefusedInteraction  End = 3  // on the screen that Outcome.Interaction names
	UserRefusedCertChoice   End = 4  // when asked which account
	Timeout                 End = 5  // nobody answered in time
	DocumentUnusable        End = 6  // the key is locked, or the account ended meanwhile
	WrongVC                 End = 7  // another code of the three
	InteractionNotSupported End = 8  // the app can do none of them
	ProtocolFailure         End = 9  // the device did not keep to the protocol
	ExpectedLinkedSession   End = 10 // the device waits for another session
)

// String returns the name of an end in version 3, which has one for each; "" for none.
func (e End) String() string { return ends[e] }

var ends = map[End]string{
	OK: "OK", UserRefused: "USER_REFUSED", UserRefusedInteraction: "USER_REFUSED_INTERACTION", UserRefusedCertChoice: "USER_REFUSED_CERT_CHOICE",
	Timeout: "TIMEOUT", DocumentUnusable: "DOCUMENT_UNUSABLE", WrongVC: "WRONG_VC", InteractionNotSupported: "REQUIRED_INTERACTION_NOT_SUPPORTED_BY_APP",
	ProtocolFailure: "PROTOCOL_FAILURE", ExpectedLinkedSession: "EXPECTED_LINKED_SESSION",
}

// Outcome is the result of a session. With OK all fields count that the kind of request
// has; with another End only Interaction.
type Outcome struct {
	End End
	// Interaction is the one that took place; for UserRefusedInteraction the screen on
	// which the person refused.
	Interaction InteractionType

	Document    identity.Document // the account that answered
	Certificate []byte            // in DER
	Signature   []byte
	Flow        FlowType

	// A login of version 3 was signed over these.
	ServerRandom  string
	UserChallenge string
}

// Status is a session as it is now.
type Status struct {
	Request  *Request
	Outcome  *Outcome // nil while it is running
	DeviceIP string   // if the request asked for it and the relying party may
}
