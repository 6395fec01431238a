package modexp

// arithmetic computes modulo one n. What it is given has been checked: z and the
// operands have exactly the size of n, the operands are less than n, and e is not
// zero. z may be an operand.
type arithmetic interface {
	exp(z, base, exponent []byte)
	expShortVarTime(z, base []byte, e uint)
	mul(z, x, y []byte)
	reduce(z, x []byte) // x of any length
	wipe()              // clears n and what was computed from it, as far as it can be reached
}

// implementation is a way to compute modulo some n.
type implementation struct {
	name    string
	prepare func(n []byte) arithmetic // n without leading zeros
}

var portable = implementation{"bigmod", newBigmod}
