package device

import (
	"fmt"

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

// String returns "no key", "enrolling", "unconfirmed", "ready", "dead" or "superseded".
func (p Phase) String() string {
	names := [...]string{"no key", "enrolling", "unconfirmed", "ready", "dead", "superseded"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// MarshalText returns what String does, for JSON and logs.
func (p Phase) MarshalText() ([]byte, error) {
	return enum.Marshal(p, NoKey, Superseded, protocol.ErrMalformed)
}

// UnmarshalText reads what MarshalText writes, and nothing else.
func (p *Phase) UnmarshalText(text []byte) error {
	return enum.Unmarshal(p, text, NoKey, Superseded, protocol.ErrMalformed)
}
