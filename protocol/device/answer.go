package device

import (
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// outcome is the answer as the device's caller sees it: nil for wire.CodeEnrolled and wire.CodeRight.
func outcome(a *wire.Answer) error {
	switch a.Code {
	case wire.CodeEnrolled, wire.CodeRight:
		return nil
	case wire.CodeKeyRefused:
		return fmt.Errorf("%w: %v", ErrKeyRefused, a.Refusal)
	case wire.CodeWrong:
		return a.Verdict.WrongPIN()
	case wire.CodeLocked:
		return a.Verdict.Locked()
	case wire.CodeDestroyed:
		return &protocol.DestroyedError{Reason: a.Reason}
	case wire.CodeExpired:
		return ErrExpired
	case wire.CodeCancelled:
		return ErrCancelled
	case wire.CodeUnconfirmed:
		return ErrUnconfirmed
	case wire.CodeRejected:
		return ErrRejected
	case wire.CodeLater:
		return fmt.Errorf("%w: the server asks to try again", ErrUnanswered)
	}
	return ErrSuperseded
}
