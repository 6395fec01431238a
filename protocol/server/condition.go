package server

import (
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

var conditionNames = enum.Names[Condition]{
	Pending: "pending", Active: "active", Destroyed: "destroyed",
}

// String returns "pending", "active" or "destroyed".
func (c Condition) String() string { return conditionNames.String(c) }

// MarshalText returns what String does, for JSON and logs.
func (c Condition) MarshalText() ([]byte, error) {
	return conditionNames.Marshal(c, protocol.ErrMalformed)
}

// UnmarshalText reads what MarshalText writes, and nothing else.
func (c *Condition) UnmarshalText(text []byte) error {
	return conditionNames.Unmarshal(c, text, protocol.ErrMalformed)
}
