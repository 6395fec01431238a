package protocol

import (
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock"
)

// What a server answers, as the device reports it. Beside these there are the verdicts of package
// pinlock: a [*pinlock.WrongPINError] and a [*pinlock.LockedError].
var (
	// ErrExpired says that the challenge is too old: the request was not
	// looked at, or, if the challenge expired more than a day ago, its result is not given any more (the service
	// has had the signature then). The device asks the service for a new challenge.
	ErrExpired = errors.New("protocol: the challenge has expired")

	// ErrGivenUp says that the device had given up this request in favour of a later
	// one. Only a copy of the request can get this answer.
	ErrGivenUp = errors.New("protocol: the request was given up")

	// ErrUnconfirmed is returned for a signature with a key whose enrolment was not
	// confirmed yet. See [Device.Confirm].
	ErrUnconfirmed = errors.New("protocol: the enrolment is not confirmed")

	// ErrRejected says that the server understood the request and will not carry it
	// out: a digest or padding that the key cannot sign, or a defect of the device.
	// No attempt was counted.
	ErrRejected = errors.New("protocol: the server rejects the request")

	// ErrKeyRefused is returned for an enrolment with a key that the server does not
	// accept: see the text for the reason.
	ErrKeyRefused = errors.New("protocol: the server refuses the key")
)

// Of the device alone.
var (
	// ErrUnanswered is returned where no answer was heard, or only that the server cannot answer now.
	// The request is saved and may have been settled: [Device.Resume] sends
	// it again, without a PIN, and counts nothing twice. It wraps the cause.
	ErrUnanswered = errors.New("protocol: the request is not answered yet")

	// ErrPending is returned for a new request while another is not answered and may still be.
	// Call [Device.Resume], or [Device.GiveUp].
	ErrPending = errors.New("protocol: an earlier request is not answered yet")

	// ErrNothingPending is returned by [Device.Resume] where there is nothing to resume.
	ErrNothingPending = errors.New("protocol: no request is pending")

	// ErrNotEnrolled is returned by a device without a key.
	ErrNotEnrolled = errors.New("protocol: the device has no key")

	// ErrEnrolled is returned by [Device.Enroll] for a device with a key in use.
	ErrEnrolled = errors.New("protocol: the device has a key already")

	// ErrBusy is returned while another process or goroutine uses the device's state.
	ErrBusy = errors.New("protocol: the device's state is in use")

	// ErrState is returned for a device state that is damaged, of another version,
	// or sealed under another device key.
	ErrState = errors.New("protocol: the device's state is damaged")

	// ErrSamePIN is returned by [Device.ChangePIN] for a new PIN that is the old one. Nothing was sent.
	ErrSamePIN = errors.New("protocol: the new PIN is the old one")

	// ErrAnswer is returned for an answer that is not what the server must say: forged, or damaged
	// on the way. It is always wrapped in ErrUnanswered.
	ErrAnswer = errors.New("protocol: unacceptable answer")
)

// Of the server alone.
var (
	// ErrRefused is the one error of [Server.Handle]: a request that the server does
	// not answer. It is the same for malformed bytes, an unknown key, a challenge that is not the server's, a
	// message that was not authenticated, and a store that cannot be reached. The cause is in the log, at
	// level debug, or error where the server is at fault (of many within a minute, the first ten).
	ErrRefused = errors.New("protocol: request refused")

	// ErrUnknownKey is returned to the service for a key id without a record.
	ErrUnknownKey = errors.New("protocol: unknown key")

	// ErrConfig is returned by [NewServer], [NewDevice] and other constructors for
	// options that cannot work.
	ErrConfig = errors.New("protocol: unusable configuration")

	// ErrRecord is returned for a record of the store that cannot be read.
	ErrRecord = errors.New("protocol: damaged record")

	// ErrSealed is returned by a [Sealer] for bytes that it did not seal, or did with other
	// additional data, or under a key that it no longer has.
	ErrSealed = errors.New("protocol: sealed data is damaged or under another key")
)

// ErrMalformed is returned for bytes that are not the encoding of what they should be.
var ErrMalformed = errors.New("protocol: malformed encoding")

// Reason says why a key is dead.
type Reason uint8

const (
	ReasonPIN     Reason = 1 // too many wrong PINs
	ReasonClone   Reason = 2 // a second copy of the device's state was used
	ReasonRevoked Reason = 3 // the service revoked it
	ReasonExpired Reason = 4 // the enrolment was not confirmed in time
)

// String returns one or a few words.
func (r Reason) String() string {
	switch r {
	case ReasonPIN:
		return "too many wrong PINs"
	case ReasonClone:
		return "the device's state was copied"
	case ReasonRevoked:
		return "revoked"
	case ReasonExpired:
		return "enrolment not confirmed in time"
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

func (r Reason) valid() bool { return r >= ReasonPIN && r <= ReasonExpired }

// DestroyedError is the answer to every request for a key that is dead for ever. The
// server's share of it is erased. errors.Is(err, [pinlock.ErrDestroyed]) holds for it.
type DestroyedError struct {
	Reason Reason `json:"reason,omitzero"`
}

func (e *DestroyedError) Error() string {
	if e == nil {
		return "protocol: nil DestroyedError"
	}
	return "protocol: the key is destroyed: " + e.Reason.String()
}

// Is reports a DestroyedError as pinlock.ErrDestroyed too.
func (e *DestroyedError) Is(target error) bool {
	return e != nil && target == pinlock.ErrDestroyed
}
