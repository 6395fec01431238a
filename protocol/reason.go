package protocol

import "github.com/tandem-rsa/tandem/internal/enum"

// Reason says why a key is dead.
type Reason uint8

const (
	ReasonPIN     Reason = 1 // too many wrong PINs
	ReasonClone   Reason = 2 // a copy of the device's storage was used, or an old value
	ReasonRevoked Reason = 3 // the service revoked it
	ReasonExpired Reason = 4 // the enrolment was not confirmed in time
)

var reasonNames = enum.Names[Reason]{
	ReasonPIN: "too many wrong PINs", ReasonClone: "the device's storage was copied",
	ReasonRevoked: "revoked", ReasonExpired: "enrolment not confirmed in time",
}

// String returns one or a few words.
func (r Reason) String() string { return reasonNames.String(r) }

// MarshalText returns what String does, for JSON and logs.
func (r Reason) MarshalText() ([]byte, error) { return reasonNames.Marshal(r, ErrMalformed) }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (r *Reason) UnmarshalText(text []byte) error {
	return reasonNames.Unmarshal(r, text, ErrMalformed)
}
