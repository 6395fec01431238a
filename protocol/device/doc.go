// Package device is the phone's half of the protocol. Three things matter first:
//
//   - [New] makes a [Device] of a [Config]: where it stores, how its requests travel, and
//     the HPKE key of the server.
//   - [Device.Enroll] and [Device.Confirm] make a key; [Device.SignAll] signs with it,
//     for a PIN.
//   - [Storage] is where the device keeps its one value. It must be durable and must not
//     go back in time: [FileStorage] is one in a folder.
//
// [Device.NewSigner] makes a [Signer] of a device whose key is confirmed: a crypto.Signer
// for TLS, ssh, X.509 and the like, which queues, and asks for challenges and PINs.
//
// A request that was not answered is saved: [Device.Resume] sends it again, without a
// PIN, and [Device.Cancel] ends it.
//
// # Errors
//
// What an app does on each, of all methods:
//
//	*limiter.WrongPINError    shows the tries that are left, and asks for the PIN again
//	*limiter.LockedError      shows until when, and does not ask for the PIN before
//	*protocol.DestroyedError  says why; the person enrols a new key
//	ErrUnanswered             calls Resume, now or later; the PIN is not asked for
//	ErrPending                calls Resume or Cancel first
//	ErrNothingPending         has nothing to do
//	ErrCarriedOut             fetches the signatures from the service
//	ErrNotCarriedOut          asks the service for a new challenge, and begins again
//	ErrPINUnchanged           says that the old PIN holds
//	ErrSuperseded             says that a copy was found; calls Report until answered
//	ErrPhase                  looks at Status: Enroll, or Confirm, is next
//	ErrBusy                   waits for the other call, or process
//	pinlock.ErrPINFormat,
//	*pinlock.WeakPINError     asks for another PIN
//	ErrRejected               of Enroll: gets a new challenge, and enrols another key
//	protocol.ErrMalformed     of UseKeyDocument: goes on with the key that it has
//	ErrRejected,
//	protocol.ErrMalformed,
//	splitkey.ErrMessage       else has a defect, or the service has: the challenge is
//	                          for something else
//	protocol.ErrConfig        is set up wrongly, or lacks the hardware of the key
//	ErrStorage                has another storage key, or a damaged storage: then the
//	                          person enrols a new key
//
// Any other error is the storage's or the context's.
//
// # Security
//
// The share that a PIN opened, K_dev, tokens and response keys are wiped when the
// call ends, as far as Go lets us: crypto/hmac keeps copies of its own. The PIN is the
// caller's. A thief of what is stored cannot sign without the PIN, and has as many
// guesses as the server allows. A signature is verified before it is returned. See
// package protocol for what the two parties achieve together.
//
// # Timing
//
// Before the server's answer is there, the time that a call has taken tells nothing of a
// PIN that is well formed, and for a new one not weak.
package device
