package ct

// This file lists every place at which a secret, or something computed from one, becomes
// public, and why it may. A test counts the calls: one for each function, and none of
// public, publicBytes and publicCopy elsewhere.

// RightOrWrong is Check's verdict on a partial signature. It is the answer itself: the only
// test of a PIN that there is, and the caller counts it before it tells anybody.
func RightOrWrong(v int) int { return public("RightOrWrong", v) }

// PartialInRange says whether 1 < y < n1-1. The client makes y and knows; the
// server refuses it as malformed. For a y of an honest client it is true with all but
// negligible probability, whatever its share.
func PartialInRange(v int) int { return public("PartialInRange", v) }

// ShareInRange says whether 0 < d_s < n1. No share that was dealt is refused; the
// answer says that the caller gave something else.
func ShareInRange(v int) int { return public("ShareInRange", v) }

// OperandInRange says whether an operand of modular arithmetic is less than the modulus. All that
// is computed here is; what came from outside is refused, in public.
func OperandInRange(v int) int { return public("OperandInRange", v) }

// ModulusLength is the length of a modulus in bits. That of a secret prime is half of
// that of the public modulus.
func ModulusLength(v int) int { return public("ModulusLength", v) }

// BigmodModulus is a modulus for bigmod, which asks in its constructor whether it is 0,
// 1 or even, and how long it is: all known of a prime. The answers cannot be marked
// inside another module, so the number is public there. This costs the check what bigmod's
// constructor computes from the prime. All operands stay secret, and the assembly does not come here.
func BigmodModulus(n []byte) []byte { return publicCopy("BigmodModulus", n) }

// ServerKeyRight says whether the server key's own result is right. It is wrong after a
// fault of the hardware only, and the fault is then reported.
func ServerKeyRight(v int) int { return public("ServerKeyRight", v) }

// Signature is the composed signature on its way to crypto/rsa, which takes it for public, and
// to the client and the world. By now the verdict was right, and both of its halves were
// verified in constant time: it is what anybody may see.
func Signature(sig []byte) []byte { return publicBytes("Signature", sig) }

// PINFormat says whether a PIN has nothing but digits. It is refused otherwise, before anything is
// computed from it.
func PINFormat(v int) int { return public("PINFormat", v) }

// WeakPIN says whether one rule refuses a PIN, after all rules before it did not. The
// name of the rule is the answer. For a PIN that is accepted it is always 0.
func WeakPIN(v int) int { return public("WeakPIN", v) }

// KDFInput is the PIN as Argon2id gets it, which addresses memory by its data from the third
// quarter of the first pass on (RFC 9106, section 3.4.1.3): the declared exception. The key that it
// returns is marked as secret again.
func KDFInput(pin []byte) []byte { return publicCopy("KDFInput", pin) }

// Ciphertext is an encoded lockbox, which the device stores: x under the PIN's key.
func Ciphertext(b []byte) []byte { return publicBytes("Ciphertext", b) }
