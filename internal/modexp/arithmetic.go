package modexp

// arithmetic computes modulo one n. Numbers are words, as many as n has, and less than n,
// before and after; e is not zero. x and y may be the same.
type arithmetic interface {
	exp(x []uint64, exponent []byte)    // x = x^exponent
	expShortVarTime(x []uint64, e uint) // x = x^e
	mul(x, y []uint64)                  // x = x*y
	reduce(x []uint64, b []byte)        // x = b, of any length
	wipe()                              // clears what was computed from n, if reachable
}

// implementation is a way to compute modulo some n.
type implementation struct {
	name    string
	prepare func(n []uint64) arithmetic // which keeps n, and does not change it
}

var portable = implementation{"bigmod", newBigmod}
