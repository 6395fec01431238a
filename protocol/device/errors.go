package device

import "errors"

// What a server answers, as the device reports it. Beside these there are the verdicts of
// package pinlock/limiter: a [*limiter.WrongPINError] and a [*limiter.LockedError].
var (
	// ErrNotCarriedOut says that the request was not carried out and never will be: its
	// challenge was too old, and the device asks the service for a new one; or
	// [Device.Cancel] has ended it. The text says which.
	ErrNotCarriedOut = errors.New("device: the request was not carried out")

	// ErrSuperseded says that the server has settled a request of this number that is not
	// this device's: the device's storage was copied, or put back from a backup. The
	// device uses the key no more, and reports this until the server has destroyed the
	// key: [Device.Report].
	ErrSuperseded = errors.New("device: the device's storage was copied or went back")

	// ErrRejected is returned for what the challenge is not for (other digests, another
	// hash function or padding), for what the key cannot sign, for a defect of the
	// device, and for an enrolment with a key that the server does not accept: see the
	// text for the reason. Nothing was counted. Nothing is pending either, unless the
	// connection broke before the request was cancelled: then a new one is [ErrPending].
	ErrRejected = errors.New("device: the server rejects the request")
)

// Errors that only a Device returns.
var (
	// ErrUnanswered is returned where no answer was heard, or only that the server cannot
	// answer now. The request is saved and may have been settled: [Device.Resume] sends
	// it again, without a PIN, and counts nothing twice. It wraps the cause.
	ErrUnanswered = errors.New("device: the request is not answered yet")

	// ErrPending is returned for a new request while another is not answered and may
	// still be. Call [Device.Resume], or [Device.Cancel].
	ErrPending = errors.New("device: an earlier request is not answered yet")

	// ErrNothingPending is returned by [Device.Resume], [Device.Cancel] and
	// [Device.Report] where there is nothing to resume, cancel or report.
	ErrNothingPending = errors.New("device: no request is pending")

	// ErrCarriedOut is returned for a request that was to be cancelled, or whose answer
	// is too old to be given again: it was carried out. The service has the signatures.
	ErrCarriedOut = errors.New("device: the request was carried out")

	// ErrPINUnchanged is returned for a [Device.ChangePIN] that was resumed or cancelled:
	// the old PIN was proved perhaps, and it holds. Also for one to the same PIN: nothing
	// was sent.
	ErrPINUnchanged = errors.New("device: the PIN was not changed: the old one holds")

	// ErrPhase is returned for what the device's [Phase] does not allow: anything without
	// a key, [Device.Enroll] with one in use, a signature before [Device.Confirm].
	// [Device.Status] tells which.
	ErrPhase = errors.New("device: not in this phase of the key")

	// ErrBusy is returned while another process or goroutine uses the device's storage.
	ErrBusy = errors.New("device: the device's storage is in use")

	// ErrStorage is returned for a stored value that is damaged, of another version,
	// or sealed under another storage key.
	ErrStorage = errors.New("device: the device's storage is damaged")
)

// errAnswer is for an answer that is not what the server must say: forged, or damaged on
// the way. It is always wrapped in ErrUnanswered.
var errAnswer = errors.New("device: unacceptable answer")

// errExpired tells a signer that a new challenge is needed, and no new PIN. It is always
// wrapped in ErrNotCarriedOut.
var errExpired = errors.New("the challenge has expired")
