package modexp

import (
	"math/bits"

	"filippo.io/bigmod"

	"github.com/tandem-rsa/tandem/internal/taint"
)

// bigmodArithmetic is the implementation for every size and every processor.
type bigmodArithmetic struct {
	m *bigmod.Modulus

	// reduce splits its argument into digits of chunk bytes. A digit has at most
	// BitLen-1 bits, so it is less than n without being reduced.
	chunk int
	base  *bigmod.Nat // 2^(8*chunk), which is less than n for the same reason
}

// newBigmod prepares n, which is odd and has at least 16 bits.
func newBigmod(n []uint64) arithmetic {
	a := &bigmodArithmetic{m: bigmodModulus(n)}
	a.chunk = (a.m.BitLen() - 1) / 8
	base := make([]uint64, len(n))
	base[a.chunk/8] = 1 << (a.chunk % 8 * 8)
	a.base = natOf(base, a.m)
	return a
}

// wipe cannot reach the modulus inside bigmod, which hands out copies.
func (a *bigmodArithmetic) wipe() {}

func (a *bigmodArithmetic) exp(x []uint64, exponent []byte) {
	base := natOf(x, a.m)
	z := bigmod.NewNat().Exp(base, exponent, a.m)
	defer wipe(base, z)
	setNat(x, z)
}

func (a *bigmodArithmetic) expShortVarTime(x []uint64, e uint) {
	base := natOf(x, a.m)
	z := bigmod.NewNat().ExpShortVarTime(base, e, a.m)
	defer wipe(base, z)
	setNat(x, z)
}

func (a *bigmodArithmetic) mul(x, y []uint64) {
	u, v := natOf(x, a.m), natOf(y, a.m)
	defer wipe(u, v)
	setNat(x, u.Mul(v, a.m))
}

func (a *bigmodArithmetic) reduce(x []uint64, b []byte) {
	// Horner's rule over digits of chunk bytes. bigmod's own Mod shifts in one
	// bit at a time, which costs a third of an exponentiation where n is half as
	// long as b; this is two multiplications per digit.
	y := bigmod.NewNat().ExpandFor(a.m)
	defer wipe(y)
	digit := make([]uint64, len(x))
	defer clear(digit)
	for len(b) > 0 {
		length := len(b) % a.chunk
		if length == 0 {
			length = a.chunk
		}
		SetBytes(digit, b[:length])
		d := natOf(digit, a.m)
		y.Mul(a.base, a.m).Add(d, a.m)
		wipe(d)
		b = b[length:]
	}
	setNat(x, y)
}

// bigmodModulus converts n, which is greater than one.
func bigmodModulus(n []uint64) *bigmod.Modulus {
	b := make([]byte, 8*len(n))
	defer clear(b)
	fillBytes(b, n)
	m, err := bigmod.NewModulus(taint.DeclassifyCopy(b, taint.BigmodModulus))
	if err != nil {
		panic("modexp: internal error: modulus must be greater than one")
	}
	return m
}

// natOf converts x, which must not be longer than m, to a number of the size of m.
// bigmod's SetBytes would compare x with m again.
func natOf(x []uint64, m *bigmod.Modulus) *bigmod.Nat {
	z := bigmod.NewNat().ExpandFor(m)
	limbs := z.Bits()
	for i := range limbs {
		if at := i * bits.UintSize; at/64 < len(x) {
			limbs[i] = uint(x[at/64] >> (at % 64))
		}
	}
	return z
}

// setNat sets x = z, which must fit.
func setNat(x []uint64, z *bigmod.Nat) {
	clear(x)
	for i, limb := range z.Bits() {
		at := i * bits.UintSize
		x[at/64] |= uint64(limb) << (at % 64)
	}
}

// wipe clears what bigmod lets us reach. Its own temporaries stay until the
// stack or the heap is used again.
func wipe(xs ...*bigmod.Nat) {
	for _, x := range xs {
		clear(x.Bits())
	}
}
