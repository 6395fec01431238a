package transactions

import (
	"errors"

	"github.com/tandem-rsa/tandem/service/rp"
)

// What a phone is told in place of an answer.
var (
	// ErrNotFound is returned for a session that is none, is forgotten, or was never for
	// this account.
	ErrNotFound = errors.New("transactions: no such session")
	// ErrGone is returned for a session that has ended: it was refused, somebody else
	// signed, or its time is up.
	ErrGone = errors.New("transactions: the session has ended")
	// ErrOrder is returned for what cannot come now: a code that nobody asked for, a
	// refusal on a screen that is not shown, a signature before the right code.
	ErrOrder = errors.New("transactions: not at this stage of the session")
	// ErrWrongCode is returned for one of the three codes that is not the relying
	// party's.
	ErrWrongCode = errors.New("transactions: another code of the three")
	// ErrRequest is returned for a request of a phone that is not one.
	ErrRequest = errors.New("transactions: unacceptable request")
	// ErrWrongAccount is returned for a device link that is for another account, or for
	// one of a higher level.
	ErrWrongAccount = errors.New("transactions: the device link is for another account")
)

// UnusableError is returned to an account that cannot take part in a session; others may
// go on with it.
type UnusableError struct {
	End rp.End // how the session ends if it is the only one
}

func (e *UnusableError) Error() string {
	if e == nil {
		return "transactions: nil UnusableError"
	}
	switch e.End {
	case rp.InteractionNotSupported:
		return "transactions: the app can do none of the interactions"
	case rp.ExpectedLinkedSession:
		return "transactions: the app waits for a linked session"
	}
	return "transactions: the account cannot be used now"
}
