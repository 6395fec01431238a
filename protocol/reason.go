package protocol

import (
	"fmt"

	"github.com/tandem-rsa/tandem/internal/enum"
)

// Reason says why a key is dead.
type Reason uint8

const (
	ReasonPIN     Reason = 1 // too many wrong PINs
	ReasonClone   Reason = 2 // a copy of the device's storage was used, or an old value
	ReasonRevoked Reason = 3 // the service revoked it
	ReasonExpired Reason = 4 // the enrolment was not confirmed in time
)

// String returns one or a few words.
func (r Reason) String() string {
	switch r {
	case ReasonPIN:
		return "too many wrong PINs"
	case ReasonClone:
		return "the device's storage was copied"
	case ReasonRevoked:
		return "revoked"
	case ReasonExpired:
		return "enrolment not confirmed in time"
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// MarshalText returns what String does, for JSON and logs.
func (r Reason) MarshalText() ([]byte, error) {
	return enum.Marshal(r, ReasonPIN, ReasonExpired, ErrMalformed)
}

// UnmarshalText reads what MarshalText writes, and nothing else.
func (r *Reason) UnmarshalText(text []byte) error {
	return enum.Unmarshal(r, text, ReasonPIN, ReasonExpired, ErrMalformed)
}
