package device

import (
	"context"
	"crypto"
	"crypto/subtle"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Sign is [Device.SignAll] for one digest, with a challenge from
// server.Server.ChallengeSign.
func (d *Device) Sign(ctx context.Context, challenge, digest []byte, opts crypto.SignerOpts, pin []byte) ([]byte, error) {
	signatures, err := d.SignAll(ctx, challenge, [][]byte{digest}, opts, pin)
	if err != nil {
		return nil, err
	}
	return signatures[0], nil
}

// SignAll makes signatures of 1 to [protocol.MaxDocuments] digests, together with the
// server, for one PIN: all or none. challenge, digests and opts are what the service
// handed out, from server.Server.ChallengeSignAll. The user has been shown the
// [protocol.VerificationCode] of each digest before. The signatures are verified before
// they are returned.
//
// Answers of the server: a [*limiter.WrongPINError], a [*limiter.LockedError], a
// [*protocol.DestroyedError], [ErrNotCarriedOut], [ErrPhase] for a key that is not
// confirmed, [ErrRejected], [ErrSuperseded]. [ErrRejected] is also what the device says
// by itself of digests, a hash function or a padding that the challenge is not for.
//
// If there is no answer the error wraps [ErrUnanswered], and the request, which is saved,
// is sent again by [Device.Resume] or by SignAll with the same challenge, digests and
// options: neither looks at the PIN again. With anything else SignAll returns
// [ErrPending] then, until [Device.Cancel] was called, or the challenge of the request
// that is waiting had expired when the new one was issued: then the device cancels that
// request first.
//
// If ctx is done before anything was sent, nothing is pending.
//
// Errors of this call alone: [ErrPhase] without a key, [ErrBusy], [ErrStorage],
// [protocol.ErrConfig] without the hardware that the key is bound to,
// [pinlock.ErrPINFormat], [protocol.ErrMalformed] for the challenge, splitkey.ErrMessage
// for the digests, and those of the storage.
func (d *Device) SignAll(ctx context.Context, challenge []byte, digests [][]byte, opts crypto.SignerOpts, pin []byte) ([][]byte, error) {
	m, err := wire.NewMessages(digests, opts)
	if err != nil {
		return nil, err
	}
	r, err := d.operate(ctx, operation{op: protocol.OpSign, challenge: challenge, messages: m, pin: pin})
	if err != nil {
		return nil, err
	}
	return r.Signatures, nil
}

// Confirm proves that the key and the PIN work, by a signature that is good for nothing
// else. The PIN is asked for again, so that one which was mistyped twice the same way is
// the only mistake that goes unnoticed. Until then the server signs nothing, and after a
// while it forgets the key.
//
// challenge comes from server.Server.Challenge. nil means the one that came with the
// answer to the enrolment, which lives as long as others do. Errors are as for
// [Device.SignAll].
func (d *Device) Confirm(ctx context.Context, challenge, pin []byte) error {
	_, err := d.operate(ctx, operation{op: protocol.OpConfirm, challenge: challenge, pin: pin})
	return err
}

// Refresh changes the token that makes copies of the device detectable, without a PIN. An
// app calls it in the background now and then. challenge comes from
// server.Server.Challenge. Errors are as for [Device.SignAll].
func (d *Device) Refresh(ctx context.Context, challenge []byte) error {
	_, err := d.operate(ctx, operation{op: protocol.OpRefresh, challenge: challenge})
	return err
}

// ChangePIN proves the old PIN by a signature that is good for nothing else, and then
// locks the share under the new one. challenge comes from server.Server.Challenge. A
// wrong old PIN counts, and changes nothing.
//
// If there is no answer (ErrUnanswered) the old PIN stays, and the caller starts over
// after [Device.Resume] or [Device.Cancel]: no lockbox under the new PIN is stored before
// the old one is proved, since two lockboxes of one share give both PINs away.
//
// Where the process ends meanwhile, or the state cannot be saved at the end, Resume tells
// which of the two holds: with [ErrPINUnchanged] it is the old one, and with
// [ErrNothingPending] the new one, unless the server was never asked.
//
// Errors are as for [Device.SignAll], those of [pinlock.CheckPIN] for the new PIN, and
// [ErrPINUnchanged] where the new PIN is the old one, for which nothing is sent.
func (d *Device) ChangePIN(ctx context.Context, challenge, oldPIN, newPIN []byte) error {
	if err := pinlock.CheckPIN(newPIN); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(oldPIN, newPIN) == 1 {
		return fmt.Errorf("%w: the new one is the same", ErrPINUnchanged)
	}
	_, err := d.operate(ctx, operation{op: protocol.OpChangePIN, challenge: challenge, pin: oldPIN, newPIN: newPIN})
	return err
}
