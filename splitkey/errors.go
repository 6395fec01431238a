package splitkey

import "errors"

var (
	// ErrKey is returned for an RSA key that cannot be used: wrong size, even
	// modulus, unusable exponent, factors that do not match.
	ErrKey = errors.New("splitkey: unacceptable RSA key")

	// ErrOrdinaryPrimes is returned by [Split] for a multiplicative split of a key
	// whose primes are not l-safe.
	ErrOrdinaryPrimes = errors.New("splitkey: p-1 or q-1 of this key has small prime factors, " +
		"which would let a thief of the client's share rule out PINs under multiplicative sharing: " +
		"split it with Additive, or make a new key with GenerateKey")

	// ErrShare is returned for a share of the wrong length, out of range, of an
	// unknown sharing, or a zero value.
	ErrShare = errors.New("splitkey: malformed share")

	// ErrMessage is returned for a digest, hash function, padding or salt that
	// cannot be encoded, and for a message that was encoded for another key.
	ErrMessage = errors.New("splitkey: unacceptable message")

	// ErrMalformedPartial is returned for a partial signature that is not exactly as long
	// as the client modulus, or not in 1 < y < n1-1. No honest client sends one, whatever
	// the PIN, so it says nothing about a PIN: do not count it as an attempt.
	ErrMalformedPartial = errors.New("splitkey: malformed partial signature")

	// ErrPartial is returned for a partial signature that does not belong to the
	// message and the key: the client's share is wrong, which is how a wrong PIN
	// shows. It is the only error of this package that depends on a secret.
	ErrPartial = errors.New("splitkey: wrong partial signature")

	// ErrServerKey is returned where the server key (or its HSM) gave a wrong result or
	// none. For none it wraps the key's error. It says nothing about the client.
	ErrServerKey = errors.New("splitkey: the server key failed")

	// ErrSignature is returned where the complete signature does not verify under the
	// final key. From a [Completer] it means a fault of the hardware.
	ErrSignature = errors.New("splitkey: signature does not verify")
)
