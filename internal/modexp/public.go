package modexp

import "filippo.io/bigmod"

// The operations below are on public numbers.

// InverseVarTime returns x^-1 for a public x, and false if there is none.
func (x *Elem) InverseVarTime() (*Elem, bool) {
	m := bigmodModulus(x.mod.n)
	z, ok := bigmod.NewNat().InverseVarTime(natOf(x.words, m), m)
	if !ok {
		return nil, false
	}
	inverse := x.mod.zero()
	setNat(inverse.words, z)
	return inverse, true
}

// GCDIsOneVarTime reports whether gcd(a, b) = 1, for public nonzero a and b of which one
// is odd.
func GCDIsOneVarTime(a, b []byte) bool {
	g, err := bigmod.NewNat().GCDVarTime(natOfBytes(a), natOfBytes(b))
	return err == nil && g.IsOne() == 1
}

// natOfBytes returns b as a number of its own announced length. It takes a modulus to say
// how long: 2^(64*words), one limb longer at most.
func natOfBytes(b []byte) *bigmod.Nat {
	words := make([]uint64, wordsFor(len(b)))
	setBytes(words, b)
	power := make([]uint64, len(words)+1)
	power[len(words)] = 1
	return natOf(words, bigmodModulus(power))
}
