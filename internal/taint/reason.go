package taint

// Reason says why a value may become public.
type Reason int

// These are all places at which a secret, or something computed from one, becomes public.
// A test counts: each reason is given at one place.
const (
	// Verdict is Check's verdict on a partial signature. It is the answer itself: the
	// only test of a PIN that there is, and the caller counts it before it tells anybody.
	Verdict Reason = iota + 1

	// PartialInRange says whether 1 < y < n1-1. The client makes y and knows; the server
	// refuses it as malformed. For a y of an honest client it is true with all but
	// negligible probability, whatever its share.
	PartialInRange

	// ShareInRange says whether 0 < d_s < n1. No share that was dealt is refused; the
	// answer says that the caller gave something else.
	ShareInRange

	// OperandInRange says whether an operand of modular arithmetic is less than the
	// modulus. All that is computed here is; what came from outside is refused, in
	// public.
	OperandInRange

	// ModulusLength is the length of a modulus in bits. That of a secret prime is half of
	// that of the public modulus.
	ModulusLength

	// BigmodModulus is a modulus for bigmod, which asks in its constructor whether it is
	// 0, 1 or even, and how long it is: all known of a prime. The answers cannot be
	// marked inside another module, so the number is public there. This costs the check
	// what bigmod's constructor computes from the prime. All operands stay secret, and
	// the assembly does not come here.
	BigmodModulus

	// ServerKeyRight says whether the server key's own result is right. It is wrong after
	// a fault of the hardware only, and the fault is then reported.
	ServerKeyRight

	// VerifiedSignature is the composed signature on its way to crypto/rsa, which takes
	// it for public, and to the client and the world. By now the verdict was right, and
	// both of its halves were verified in constant time: it is what anybody may see.
	VerifiedSignature

	// PINFormat says whether a PIN has nothing but digits. It is refused otherwise,
	// before anything is computed from it.
	PINFormat

	// WeakPIN says whether a rule refuses a PIN that all rules before it let pass. The
	// name of the rule is the answer. For a PIN that is accepted it is always 0.
	WeakPIN

	// Argon2Input is the PIN as Argon2id gets it, which addresses memory by its data from
	// the third quarter of the first pass on (RFC 9106, section 3.4.1.3): the declared
	// exception. The key that it returns is marked as secret again.
	Argon2Input

	// LockboxEncoding is an encoded lockbox, which the device stores: x under the PIN's
	// key.
	LockboxEncoding
)
