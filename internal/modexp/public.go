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
