package modexp

import (
	"crypto/rand"
	"errors"
	"math/bits"

	"filippo.io/bigmod"
)

// The operations below are the dealer's: they run when a key is split, modulo
// lambda, which is even and therefore not a [Modulus].

// ErrDivisor is returned by [LCMVarTime] where the greatest common divisor of
// p-1 and q-1 does not fit in 32 bits. For random primes the probability is
// about 2^-32; such a key is weak (the divisor also divides n-1).
var ErrDivisor = errors.New("modexp: p-1 and q-1 have a large common divisor")

// errNotReduced is what the dealer's functions panic with: their operands are
// computed by this module, never read from outside.
const errNotReduced = "modexp: internal error: operand is not reduced"

// ModEven returns x mod m for any m > 1, in the length of m. Lengths leak.
func ModEven(x, m []byte) []byte {
	mod := bigmodModulus(m)
	y := natOf(x)
	z := bigmod.NewNat().Mod(y, mod)
	defer wipe(y, z)
	return fixed(z.Bytes(mod), len(m))
}

// MulModEven returns a*b mod m for any m > 1, in the length of m; a and b must be less
// than m.
func MulModEven(a, b, m []byte) []byte {
	return evenBinary(a, b, m, (*bigmod.Nat).Mul)
}

// SubModEven returns a-b mod m for any m > 1, in the length of m; a and b must be less
// than m.
func SubModEven(a, b, m []byte) []byte {
	return evenBinary(a, b, m, (*bigmod.Nat).Sub)
}

func evenBinary(a, b, m []byte, op func(x, y *bigmod.Nat, m *bigmod.Modulus) *bigmod.Nat) []byte {
	mod := bigmodModulus(m)
	x, err := bigmod.NewNat().SetBytes(a, mod)
	if err != nil {
		panic(errNotReduced)
	}
	y, err := bigmod.NewNat().SetBytes(b, mod)
	if err != nil {
		panic(errNotReduced)
	}
	defer wipe(x, y)
	return fixed(op(x, y, mod).Bytes(mod), len(m))
}

// inverseTries bounds the search for a blinding factor that is invertible. With
// lambda of a random RSA key a draw succeeds with probability above 1/8 (its small
// odd factors are what spoils it), so that an invertible a is missed with
// probability below (7/8)^512 < 2^-98.
const inverseTries = 512

// InverseVarTime returns a^-1 mod m, in the length of m, for any m > 1 and a < m,
// and false if there is none.
//
// The binary extended Euclidean algorithm under it takes a time that depends on
// its operands. So it never sees a: it inverts a*r for a fresh random r, which
// is a uniformly distributed unit whatever a is, and the result is multiplied by
// r. What may still leak is m, as in crypto/rsa's key generation: once in the
// life of a key, on the machine that makes it.
func InverseVarTime(a, m []byte) ([]byte, bool) {
	mod := bigmodModulus(m)
	x, err := bigmod.NewNat().SetBytes(a, mod)
	if err != nil {
		panic(errNotReduced)
	}
	defer wipe(x)
	// a and m both even: bigmod's algorithm requires one of them to be odd.
	mEven := 1 ^ uint(m[len(m)-1]&1)
	if x.IsOdd() == 0 && mEven == 1 {
		return nil, false
	}
	// 8 bytes more than m make r mod m uniform up to 2^-64.
	wide := make([]byte, len(m)+8)
	defer clear(wide)
	for range inverseTries {
		rand.Read(wide)
		rNat := natOf(wide)
		r := bigmod.NewNat().Mod(rNat, mod)
		wipe(rNat)
		if mEven == 1 && r.IsOdd() == 0 {
			continue // not a unit; says nothing of the r that is used
		}
		u := bigmod.NewNat().Mod(r, mod).Mul(x, mod)
		inv, ok := bigmod.NewNat().InverseVarTime(u, mod)
		wipe(u)
		if !ok {
			wipe(r)
			continue
		}
		out := fixed(inv.Mul(r, mod).Bytes(mod), len(m))
		wipe(r, inv)
		return out, true
	}
	return nil, false
}

// LCMVarTime returns lcm(p-1, q-1) for odd p and q, in the sum of their lengths. Its
// time depends on both: it runs once in the life of a key.
func LCMVarTime(p, q []byte) ([]byte, error) {
	a, b := predecessor(p), predecessor(q)
	// bigmod's GCD needs one odd operand. The least common multiple keeps the
	// larger power of two, so the smaller one can be shifted out first.
	if az, bz := a.TrailingZeroBitsVarTime(), b.TrailingZeroBitsVarTime(); az < bz {
		a.ShiftRightVarTime(az)
	} else {
		b.ShiftRightVarTime(bz)
	}
	defer wipe(a, b)
	g, err := bigmod.NewNat().GCDVarTime(a, b)
	if err != nil {
		return nil, ErrDivisor
	}
	defer wipe(g)
	if g.BitLenVarTime() > 32 {
		return nil, ErrDivisor
	}
	if b.DivShortVarTime(g.Bits()[0]) != 0 {
		panic("modexp: internal error: a common divisor that does not divide")
	}
	ab, bb := natBytes(a, len(p)), natBytes(b, len(q))
	defer clear(ab)
	defer clear(bb)
	l, err := bigmod.NewModulusProduct(ab, bb)
	if err != nil {
		return nil, ErrDivisor
	}
	return fixed(l.Nat().Bytes(l), len(p)+len(q)), nil
}

// GCDIsOneVarTime reports whether gcd(a, b) = 1, for nonzero a and b of which one is odd.
func GCDIsOneVarTime(a, b []byte) bool {
	x, y := natOf(a), natOf(b)
	defer wipe(x, y)
	g, err := bigmod.NewNat().GCDVarTime(x, y)
	if err != nil {
		return false
	}
	defer wipe(g)
	return g.IsOne() == 1
}

// Product returns a*b in len(a)+len(b) bytes; a and b must be greater than one.
// The bit lengths leak.
func Product(a, b []byte) []byte {
	m, err := bigmod.NewModulusProduct(a, b)
	if err != nil {
		panic("modexp: internal error: empty product")
	}
	return fixed(m.Nat().Bytes(m), len(a)+len(b))
}

// predecessor returns p-1 for an odd p.
func predecessor(p []byte) *bigmod.Nat {
	b := append([]byte(nil), p...)
	defer clear(b)
	b[len(b)-1] &^= 1
	return natOf(b)
}

// natOf returns b as a number of its own announced length. It takes a modulus to say
// how long: 2^(8*len(b)), one limb longer at most.
func natOf(b []byte) *bigmod.Nat {
	pow := make([]byte, len(b)+1)
	pow[0] = 1
	return natFor(b, bigmodModulus(pow))
}

// limbBytes is the size of bigmod's limbs.
const limbBytes = bits.UintSize / 8

// natBytes is the inverse of natOf for a number of at most size bytes.
func natBytes(x *bigmod.Nat, size int) []byte {
	out := make([]byte, size)
	for i := range out {
		limb, shift := i/limbBytes, i%limbBytes*8
		if limb < len(x.Bits()) {
			out[size-1-i] = byte(x.Bits()[limb] >> shift)
		}
	}
	return out
}

// fixed pads b with leading zeros to size bytes.
func fixed(b []byte, size int) []byte {
	if len(b) > size {
		panic("modexp: internal error: number does not fit")
	}
	if len(b) == size {
		return b
	}
	out := make([]byte, size)
	copy(out[size-len(b):], b)
	clear(b)
	return out
}
