package rp

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/service/identity"
)

// Version is a version of the API.
type Version uint8

const (
	V1 Version = 1
	V2 Version = 2
	V3 Version = 3
)

// Kind is what a request asks for.
type Kind uint8

const (
	Authentication    Kind = 1 // a login, with the authentication key
	Signature         Kind = 2 // a signature, with the signing key
	CertificateChoice Kind = 3 // the person chooses an account; gives its signing certificate
	Certificate       Kind = 4 // the signing certificate of a document number, at once
)

// Flow is how a request reaches the person's device.
type Flow uint8

const (
	Notification Flow = 1 // the device asks for it, after a notification
	DeviceLink   Flow = 2 // the device opens or scans a link
	Linked       Flow = 3 // the device waits for it since a choice of certificate
)

// FlowType is the flow as it was in the end, in the words of version 3.
type FlowType string

const (
	FlowNotification FlowType = "Notification"
	FlowQR           FlowType = "QR"
	FlowWeb2App      FlowType = "Web2App"
	FlowApp2App      FlowType = "App2App"
)

// Target is whom a request is for: a person, on whichever device; one account; or, with
// neither, whoever opens the device link.
type Target struct {
	Person   *identity.ID
	Document *identity.Document
}

// Level is the level of certificates that a request asks for.
type Level uint8

const (
	LevelAdvanced  Level = 1 // qualified certificates will do as well
	LevelQualified Level = 2
	LevelQSCD      Level = 3 // qualified, and the key is in a qualified device
)

// Accepts reports whether certificates of a level will do. Whether keys are in a
// qualified device is a property of the whole service: it must refuse LevelQSCD if they
// are not.
func (l Level) Accepts(have identity.Level) bool {
	switch l {
	case LevelAdvanced:
		return have == identity.Advanced || have == identity.Qualified
	case LevelQualified, LevelQSCD:
		return have == identity.Qualified
	}
	return false
}

// Request is a request whose form is right. Who sent it, and whether it may, is not
// checked yet.
type Request struct {
	Version Version
	Kind    Kind
	Flow    Flow // 0 for Certificate
	Target  Target

	RelyingPartyUUID string // in lower case
	RelyingPartyName string // as it was sent: it is signed so in version 3
	Level            Level

	// Digest and Algorithm are what is signed; for a login of version 3 the digest
	// follows from Challenge and what happens (package acsp).
	Digest    []byte
	Algorithm Algorithm
	// Challenge is the rpChallenge of version 3, in base64, as it was sent.
	Challenge string

	// Interactions are what the relying party would have shown, the best first.
	Interactions []Interaction
	// InteractionsText is the base64 text that version 3 sent, which is signed; else
	// empty.
	InteractionsText string

	CallbackURL   string // initialCallbackUrl; empty if there is none
	LinkedSession string // of a Linked flow
	Nonce         string
	ShareIP       bool // requestProperties.shareMdClientIpAddress
	Capabilities  []string
	// Ignored are the names of requestProperties that mean nothing here; the status of
	// the session lists them.
	Ignored []string

	// Idempotent says that the same request within [IdempotencePeriod] is the same
	// session. Key is then the same for the same request, by SHA-256.
	Idempotent bool
	Key        [sha256.Size]byte
}

// IdempotencePeriod is how long a repeated request gets the session of the first.
const IdempotencePeriod = 15 * time.Second

// UUID reads 8-4-4-4-12 hexadecimal digits, in either case, and returns them in lower
// case. It does not ask which version of UUID it is.
func UUID(s string) (string, bool) {
	if len(s) != 36 {
		return "", false
	}
	out := []byte(s)
	for i, c := range out {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return "", false
			}
		case c >= 'A' && c <= 'F':
			out[i] += 'a' - 'A'
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
		default:
			return "", false
		}
	}
	return string(out), true
}

// NewSessionID draws a UUID (version 4), which nobody else can guess: whoever knows it
// may read the session.
func NewSessionID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
