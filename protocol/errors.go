package protocol

import (
	"errors"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

var (
	// ErrMalformed is returned for bytes that do not encode what they should.
	ErrMalformed = errors.New("protocol: malformed encoding")

	// ErrConfig is returned by server.New, device.New and other constructors for a
	// configuration that cannot work.
	ErrConfig = errors.New("protocol: unusable configuration")
)

// DestroyedError is the answer to every request for a key that is dead for ever. The
// server's share of it is erased. errors.Is(err, [limiter.ErrDestroyed]) holds for it.
type DestroyedError struct {
	Reason Reason `json:"reason,omitzero"`
}

func (e *DestroyedError) Error() string {
	if e == nil {
		return "protocol: nil DestroyedError"
	}
	return "protocol: the key is destroyed: " + e.Reason.String()
}

// Is reports a DestroyedError as limiter.ErrDestroyed too.
func (e *DestroyedError) Is(target error) bool {
	return e != nil && target == limiter.ErrDestroyed
}
