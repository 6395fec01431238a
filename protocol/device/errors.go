package device

import "errors"

// What a server answers, as the device reports it. Beside these there are the verdicts of package
// pinlock/limiter: a [*limiter.WrongPINError] and a [*limiter.LockedError].
var (
	// ErrExpired says that the challenge is too old: the request was not looked at and never will
	// be. The device asks the service for a new challenge.
	ErrExpired = errors.New("device: the challenge has expired")

	// ErrCancelled says that the request was cancelled, by [Device.Cancel]: it was not carried out
	// and never will be.
	ErrCancelled = errors.New("device: the request was cancelled")

	// ErrSuperseded says that the server has settled a request of this number that is not this
	// device's: the device's state was copied, or put back from a backup. The device uses the
	// key no more, and reports this until the server has destroyed the key: [Device.Report].
	ErrSuperseded = errors.New("device: the device's state was copied or went back")

	// ErrUnconfirmed is returned for a signature with a key whose enrolment was not
	// confirmed yet. See [Device.Confirm].
	ErrUnconfirmed = errors.New("device: the enrolment is not confirmed")

	// ErrRejected is returned for what the challenge is not for (other digests, another hash
	// function or padding), for what the key cannot sign, and for a defect of the device. Nothing
	// was counted, and nothing is pending.
	ErrRejected = errors.New("device: the server rejects the request")

	// ErrKeyRefused is returned for an enrolment with a key that the server does not
	// accept: see the text for the reason.
	ErrKeyRefused = errors.New("device: the server refuses the key")
)

// Errors that only a Device returns.
var (
	// ErrUnanswered is returned where no answer was heard, or only that the server cannot answer now.
	// The request is saved and may have been settled: [Device.Resume] sends
	// it again, without a PIN, and counts nothing twice. It wraps the cause.
	ErrUnanswered = errors.New("device: the request is not answered yet")

	// ErrPending is returned for a new request while another is not answered and may still be.
	// Call [Device.Resume], or [Device.Cancel].
	ErrPending = errors.New("device: an earlier request is not answered yet")

	// ErrNothingPending is returned by [Device.Resume] where there is nothing to resume.
	ErrNothingPending = errors.New("device: no request is pending")

	// ErrCarriedOut is returned for a request that was to be cancelled, or whose answer is too old
	// to be given again: it was carried out. The service has the signatures.
	ErrCarriedOut = errors.New("device: the request was carried out before it could be cancelled")

	// ErrPINUnchanged is returned for a [Device.ChangePIN] that was resumed or cancelled: the
	// old PIN was proved perhaps, and it holds.
	ErrPINUnchanged = errors.New("device: the PIN was not changed: the old one holds")

	// ErrSamePIN is returned by [Device.ChangePIN] for the same PIN twice. Nothing was sent.
	ErrSamePIN = errors.New("device: the new PIN is the old one")

	// ErrHardware is returned where the key needs the phone's hardware key and there is none.
	ErrHardware = errors.New("device: no hardware key")

	// ErrNotEnrolled is returned by a device without a key.
	ErrNotEnrolled = errors.New("device: the device has no key")

	// ErrEnrolled is returned by [Device.Enroll] for a device with a key in use.
	ErrEnrolled = errors.New("device: the device has a key already")

	// ErrBusy is returned while another process or goroutine uses the device's storage.
	ErrBusy = errors.New("device: the device's storage is in use")

	// ErrStorage is returned for a stored value that is damaged, of another version,
	// or sealed under another storage key.
	ErrStorage = errors.New("device: the device's storage is damaged")
	// ErrAnswer is returned for an answer that is not what the server must say: forged, or damaged
	// on the way. It is always wrapped in ErrUnanswered.
	ErrAnswer = errors.New("device: unacceptable answer")
)

// ErrKeyDocument is returned by [Device.UseKeyDocument] for a document that the authority did not
// sign, or that is older than one that the device has used.
var ErrKeyDocument = errors.New("device: key document is not the authority's, or out of date")
