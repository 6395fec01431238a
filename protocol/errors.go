package protocol

import (
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// What a server answers, as the device reports it. Beside these there are the verdicts of package
// pinlock/limiter: a [*limiter.WrongPINError] and a [*limiter.LockedError].
var (
	// ErrExpired says that the challenge is too old: the request was not looked at and never will
	// be. The device asks the service for a new challenge.
	ErrExpired = errors.New("protocol: the challenge has expired")

	// ErrCancelled says that the request was cancelled, by [Device.Cancel]: it was not carried out
	// and never will be.
	ErrCancelled = errors.New("protocol: the request was cancelled")

	// ErrSuperseded says that the server has settled a request of this number that is not this
	// device's: the device's state was copied, or put back from a backup. The device uses the
	// key no more, and reports this until the server has destroyed the key: [Device.Report].
	ErrSuperseded = errors.New("protocol: the device's state was copied or went back")

	// ErrUnconfirmed is returned for a signature with a key whose enrolment was not
	// confirmed yet. See [Device.Confirm].
	ErrUnconfirmed = errors.New("protocol: the enrolment is not confirmed")

	// ErrRejected is returned for what the challenge is not for (other digests, another hash
	// function or padding), for what the key cannot sign, and for a defect of the device. Nothing
	// was counted, and nothing is pending.
	ErrRejected = errors.New("protocol: the server rejects the request")

	// ErrKeyRefused is returned for an enrolment with a key that the server does not
	// accept: see the text for the reason.
	ErrKeyRefused = errors.New("protocol: the server refuses the key")
)

// Errors that only a Device returns.
var (
	// ErrUnanswered is returned where no answer was heard, or only that the server cannot answer now.
	// The request is saved and may have been settled: [Device.Resume] sends
	// it again, without a PIN, and counts nothing twice. It wraps the cause.
	ErrUnanswered = errors.New("protocol: the request is not answered yet")

	// ErrPending is returned for a new request while another is not answered and may still be.
	// Call [Device.Resume], or [Device.Cancel].
	ErrPending = errors.New("protocol: an earlier request is not answered yet")

	// ErrNothingPending is returned by [Device.Resume] where there is nothing to resume.
	ErrNothingPending = errors.New("protocol: no request is pending")

	// ErrCarriedOut is returned for a request that was to be cancelled, or whose answer is too old
	// to be given again: it was carried out. The service has the signatures.
	ErrCarriedOut = errors.New("protocol: the request was carried out before it could be cancelled")

	// ErrPINUnchanged is returned for a [Device.ChangePIN] that was resumed or cancelled: the
	// old PIN was proved perhaps, and it holds.
	ErrPINUnchanged = errors.New("protocol: the PIN was not changed: the old one holds")

	// ErrSamePIN is returned by [Device.ChangePIN] for the same PIN twice. Nothing was sent.
	ErrSamePIN = errors.New("protocol: the new PIN is the old one")

	// ErrHardware is returned where the key needs the phone's hardware key and there is none.
	ErrHardware = errors.New("protocol: no hardware key")

	// ErrNotEnrolled is returned by a device without a key.
	ErrNotEnrolled = errors.New("protocol: the device has no key")

	// ErrEnrolled is returned by [Device.Enroll] for a device with a key in use.
	ErrEnrolled = errors.New("protocol: the device has a key already")

	// ErrBusy is returned while another process or goroutine uses the device's state.
	ErrBusy = errors.New("protocol: the device's state is in use")

	// ErrState is returned for a device state that is damaged, of another version,
	// or sealed under another storage key.
	ErrState = errors.New("protocol: the device's state is damaged")
	// ErrAnswer is returned for an answer that is not what the server must say: forged, or damaged
	// on the way. It is always wrapped in ErrUnanswered.
	ErrAnswer = errors.New("protocol: unacceptable answer")
)

// Errors that only a Server returns.
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

	// ErrUndelivered is returned where nothing can be written to a record, since it holds as many
	// events as it can that [Config].Audit did not take.
	ErrUndelivered = errors.New("protocol: too many events are not delivered")

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
	ReasonClone   Reason = 2 // a copy of the device's state was used, or one that went back
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
