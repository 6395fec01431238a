package limiter

import (
	"errors"
	"fmt"
	"time"
)

// ErrDestroyed is the verdict on every request for a key that is dead for ever: all of
// its tries are used up, or its owner destroyed it.
var ErrDestroyed = errors.New("limiter: key is destroyed")

// WrongPINError is the verdict on a wrong PIN that was counted. Where RemainingTotal is 0
// it was the last one, and errors.Is(err, ErrDestroyed) holds.
type WrongPINError struct {
	// Remaining is the number of wrong PINs until the next lock; 0 if this one locked or
	// destroyed the key.
	Remaining int `json:"remaining"`
	// RemainingTotal is the number of wrong PINs until the key is destroyed; 0 if this
	// one destroyed it.
	RemainingTotal int `json:"remaining_total"`
	// LockedUntil is the end of the lock that this wrong PIN began, in UTC; else zero.
	LockedUntil time.Time `json:"locked_until,omitzero"`
}

func (e *WrongPINError) Error() string {
	switch {
	case e == nil:
		return "limiter: nil WrongPINError"
	case e.RemainingTotal == 0:
		return "limiter: wrong PIN, key is destroyed"
	case !e.LockedUntil.IsZero():
		return fmt.Sprintf("limiter: wrong PIN, key is locked until %s, then %s",
			e.LockedUntil.Format(time.RFC3339), triesRemain(e.RemainingTotal))
	}
	return fmt.Sprintf("limiter: wrong PIN, %s until the next lock, %d in all", triesRemain(e.Remaining), e.RemainingTotal)
}

func triesRemain(n int) string {
	if n == 1 {
		return "1 try remains"
	}
	return fmt.Sprintf("%d tries remain", n)
}

// Is reports the wrong PIN that destroyed the key as [ErrDestroyed] too.
func (e *WrongPINError) Is(target error) bool {
	return e != nil && target == ErrDestroyed && e.RemainingTotal == 0
}

// LockedError is the verdict on a request for a key that is locked. It counts nothing and
// says nothing about the PIN: the PIN was not tried, or its outcome was thrown away.
type LockedError struct {
	// Until is the first moment at which a PIN is tried again, in UTC.
	Until time.Time `json:"until,omitzero"`
}

func (e *LockedError) Error() string {
	if e == nil {
		return "limiter: nil LockedError"
	}
	return "limiter: key is locked until " + e.Until.Format(time.RFC3339)
}

// IsVerdict reports whether err, as returned by [Policy.Next], [Policy.Admit] or
// [Limiter.Attempt], is an answer for the device: nil, a [*WrongPINError], a
// [*LockedError] or [ErrDestroyed]. Any other error is a failure that says nothing about
// the PIN.
func IsVerdict(err error) bool {
	var wrong *WrongPINError
	var locked *LockedError
	return err == nil || errors.Is(err, ErrDestroyed) || errors.As(err, &wrong) || errors.As(err, &locked)
}
