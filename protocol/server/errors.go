package server

import "errors"

// Errors that only a Server returns.
var (
	// ErrRefused is the one error of [Server.Handle]: a request that the server does not
	// answer. It is the same for malformed bytes, an unknown key, a challenge that is not
	// the server's, a message that was not authenticated, and a store that cannot be
	// reached. The cause is in the log: at level info where only the sender can be at
	// fault, or the caller went away; at warn where the MAC is right and the hardware's
	// signature is not; at error where the server is at fault. Of many that only the
	// sender can be at fault for, and of many others, it has the first ten of a minute.
	ErrRefused = errors.New("server: request refused")

	// ErrUnknownKey is returned to the service for a key id without a record. A device
	// that names one gets ErrRefused.
	ErrUnknownKey = errors.New("server: unknown key")

	// ErrRecord is returned for a record of the store that cannot be read.
	ErrRecord = errors.New("server: damaged record")

	// ErrSealed is returned by a [Sealer] for bytes that it did not seal, or did with
	// other additional data, or under a key that it no longer has.
	ErrSealed = errors.New("server: sealed data is damaged or under another key")
)
