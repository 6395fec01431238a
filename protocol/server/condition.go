package server

import (
	"fmt"

	"github.com/tandem-rsa/tandem/internal/enum"
	"github.com/tandem-rsa/tandem/protocol"
)

// Condition is what state a key is in.
type Condition uint8

const (
	Pending   Condition = 1 // enrolled, not confirmed
	Active    Condition = 2
	Destroyed Condition = 3 // for ever; the Reason says why
)

// String returns "pending", "active" or "destroyed".
func (c Condition) String() string {
	switch c {
	case Pending:
		return "pending"
	case Active:
		return "active"
	case Destroyed:
		return "destroyed"
	}
	return fmt.Sprintf("Condition(%d)", uint8(c))
}

// MarshalText returns what String does, for JSON and logs.
func (c Condition) MarshalText() ([]byte, error) {
	return enum.Marshal(c, Pending, Destroyed, protocol.ErrMalformed)
}

// UnmarshalText reads what MarshalText writes, and nothing else.
func (c *Condition) UnmarshalText(text []byte) error {
	return enum.Unmarshal(c, text, Pending, Destroyed, protocol.ErrMalformed)
}
