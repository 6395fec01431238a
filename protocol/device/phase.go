package device

import (
	"github.com/tandem-rsa/tandem/internal/enum"
	"github.com/tandem-rsa/tandem/protocol"
)

// Phase is how far a device's enrolment has come.
type Phase uint8

const (
	NoKey       Phase = 0 // no key, and no enrolment begun
	Enrolling   Phase = 1 // the server has not answered yet
	Unconfirmed Phase = 2 // the server knows the key: Confirm is next
	Ready       Phase = 3
	Dead        Phase = 4 // the server said that the key is destroyed
	Superseded  Phase = 5 // the key is not to be used any more; Report is next
)

var phaseNames = enum.Names[Phase]{
	NoKey: "no key", Enrolling: "enrolling", Unconfirmed: "unconfirmed", Ready: "ready",
	Dead: "dead", Superseded: "superseded",
}

// String returns "no key", "enrolling", "unconfirmed", "ready", "dead" or "superseded".
func (p Phase) String() string { return phaseNames.String(p) }

// MarshalText returns what String does, for JSON and logs.
func (p Phase) MarshalText() ([]byte, error) { return phaseNames.Marshal(p, protocol.ErrMalformed) }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (p *Phase) UnmarshalText(text []byte) error {
	return phaseNames.Unmarshal(p, text, protocol.ErrMalformed)
}
