package modexp

import "filippo.io/bigmod"

// The operations below are on public numbers.

// InverseVarTime returns a^-1 mod m, in the length of m, for public m > 1 and a < m of which
// one is odd, and false if there is none. It panics for an a that is not less than m.
func InverseVarTime(a, m []byte) ([]byte, bool) {
	mod := bigmodModulus(m)
	x, err := bigmod.NewNat().SetBytes(a, mod)
	if err != nil {
		panic("modexp: internal error: operand is not reduced")
	}
	inverse, ok := bigmod.NewNat().InverseVarTime(x, mod)
	if !ok {
		return nil, false
	}
	return inverse.Bytes(mod), true
}

// GCDIsOneVarTime reports whether gcd(a, b) = 1, for public nonzero a and b of which one
// is odd.
func GCDIsOneVarTime(a, b []byte) bool {
	g, err := bigmod.NewNat().GCDVarTime(natOf(a), natOf(b))
	return err == nil && g.IsOne() == 1
}

// natOf returns b as a number of its own announced length. It takes a modulus to say
// how long: 2^(8*len(b)), one limb longer at most.
func natOf(b []byte) *bigmod.Nat {
	pow := make([]byte, len(b)+1)
	pow[0] = 1
	return natFor(b, bigmodModulus(pow))
}
