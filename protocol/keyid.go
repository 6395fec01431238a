package protocol

import (
	"encoding/hex"
	"fmt"
)

// KeyIDSize is the length of a [KeyID] in bytes.
const KeyIDSize = 16

// KeyID names one enrolled key at the server. The server draws it at random, with the
// challenge for the enrolment. It is no secret.
type KeyID [KeyIDSize]byte

// String returns 32 lower-case hexadecimal digits.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns what String does, for JSON and logs.
func (id KeyID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is [ParseKeyID].
func (id *KeyID) UnmarshalText(text []byte) error {
	if id == nil {
		return fmt.Errorf("%w: no key id to read into", ErrMalformed)
	}
	parsed, err := ParseKeyID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// ParseKeyID reads what [KeyID.String] writes, and nothing else. The error wraps
// [ErrMalformed].
func ParseKeyID(s string) (KeyID, error) {
	var id KeyID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != KeyIDSize || hex.EncodeToString(b) != s {
		return KeyID{}, fmt.Errorf("%w: key id, want %d lower-case hexadecimal digits", ErrMalformed, 2*KeyIDSize)
	}
	copy(id[:], b)
	return id, nil
}
