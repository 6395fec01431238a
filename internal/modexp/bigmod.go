package modexp

import (
	"math/bits"

	"filippo.io/bigmod"

	"github.com/tandem-rsa/tandem/internal/taint"
)

// limbBytes is the size of bigmod's limbs.
const limbBytes = bits.UintSize / 8

// bigmodArithmetic is the implementation for every size and every processor.
type bigmodArithmetic struct {
	m *bigmod.Modulus

	// reduce splits its argument into digits of chunk bytes. A digit has at most
	// BitLen-1 bits, so it is less than n without being reduced.
	chunk int
	base  *bigmod.Nat // 2^(8*chunk), which is less than n for the same reason
}

// newBigmod prepares n, which is odd and has at least 16 bits.
func newBigmod(n []byte) arithmetic {
	m := bigmodModulus(n)
	a := &bigmodArithmetic{m: m, chunk: (m.BitLen() - 1) / 8}
	b := make([]byte, m.Size())
	b[len(b)-1-a.chunk] = 1
	a.base = a.nat(b)
	return a
}

// wipe cannot reach the modulus inside bigmod, which hands out copies.
func (a *bigmodArithmetic) wipe() {}

func (a *bigmodArithmetic) exp(z, base, exponent []byte) {
	b := a.nat(base)
	x := bigmod.NewNat().Exp(b, exponent, a.m)
	defer wipe(b, x)
	a.put(z, x)
}

func (a *bigmodArithmetic) expShortVarTime(z, base []byte, e uint) {
	b := a.nat(base)
	x := bigmod.NewNat().ExpShortVarTime(b, e, a.m)
	defer wipe(b, x)
	a.put(z, x)
}

func (a *bigmodArithmetic) mul(z, x, y []byte) {
	u, v := a.nat(x), a.nat(y)
	defer wipe(u, v)
	a.put(z, u.Mul(v, a.m))
}

func (a *bigmodArithmetic) reduce(z, x []byte) {
	// Horner's rule over digits of chunk bytes. bigmod's own Mod shifts in one
	// bit at a time, which costs a third of an exponentiation where n is half as
	// long as x; this is two multiplications per digit.
	y := bigmod.NewNat().ExpandFor(a.m)
	digit := make([]byte, len(z))
	defer clear(digit)
	for len(x) > 0 {
		n := len(x) % a.chunk
		if n == 0 {
			n = a.chunk
		}
		clear(digit)
		copy(digit[len(digit)-n:], x[:n])
		d := a.nat(digit)
		y.Mul(a.base, a.m).Add(d, a.m)
		wipe(d)
		x = x[n:]
	}
	defer wipe(y)
	a.put(z, y)
}

// bigmodModulus converts n, which is greater than one.
func bigmodModulus(n []byte) *bigmod.Modulus {
	m, err := bigmod.NewModulus(taint.DeclassifyCopy(n, taint.BigmodModulus))
	if err != nil {
		panic("modexp: internal error: modulus must be greater than one")
	}
	return m
}

// nat converts b, which is less than n. The caller knows: bigmod's SetBytes would ask again.
func (a *bigmodArithmetic) nat(b []byte) *bigmod.Nat { return natFor(b, a.m) }

// natFor converts b, which must not be longer than m, to a number of the size of m.
func natFor(b []byte, m *bigmod.Modulus) *bigmod.Nat {
	x := bigmod.NewNat().ExpandFor(m)
	limbs := x.Bits()
	for i, v := range b {
		at := len(b) - 1 - i
		limbs[at/limbBytes] |= uint(v) << (8 * (at % limbBytes))
	}
	return x
}

func (a *bigmodArithmetic) put(z []byte, x *bigmod.Nat) {
	b := x.Bytes(a.m)
	copy(z, b)
	clear(b)
}

// wipe clears what bigmod lets us reach. Its own temporaries stay until the
// stack or the heap is used again.
func wipe(xs ...*bigmod.Nat) {
	for _, x := range xs {
		clear(x.Bits())
	}
}
