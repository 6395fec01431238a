// Package modexp is the modular arithmetic of splitkey: exponentiation with a
// secret exponent, and the few operations around it.
//
// Numbers cross this boundary as unsigned big-endian byte slices of fixed
// width: an element modulo n is exactly [Modulus.Size] bytes, leading zeros
// kept, and less than n. Every function refuses anything else with [ErrRange].
// Nothing here knows of keys, shares or messages.
//
// # Timing
//
// No function without VarTime in its name branches on, or addresses memory by,
// the value of a number: neither of the modulus (a prime of the software server
// key is secret) nor of an operand or exponent. Lengths are public, and so are
// the bit length of the modulus and the fact that an operand was refused, which
// only happens for values that came from outside.
//
// This is the only package that imports filippo.io/bigmod.
package modexp

import (
	"errors"

	"filippo.io/bigmod"
)

// ErrModulus is returned for a modulus that is even or less than three.
var ErrModulus = errors.New("modexp: modulus is even or too small")

// ErrRange is returned for an operand that is not exactly Size bytes, or not
// less than the modulus.
var ErrRange = errors.New("modexp: operand has the wrong length or is not reduced")

// Modulus is an odd modulus n > 1 with everything that can be computed from it
// once: keep it, since setting one up costs as much as several multiplications.
// It is safe for concurrent use.
type Modulus struct {
	m    *bigmod.Modulus
	size int

	// Reduce splits its argument into digits of chunk bytes. A digit has at most
	// BitLen-1 bits, so it is less than n without being reduced.
	chunk int
	base  *bigmod.Nat // 2^(8*chunk), which is less than n for the same reason
}

// NewModulus prepares the odd modulus n, in big-endian order. Leading zero bytes
// are skipped. Only the bit length of n leaks.
func NewModulus(n []byte) (*Modulus, error) {
	if len(n) == 0 || n[len(n)-1]&1 == 0 {
		return nil, ErrModulus
	}
	m, err := bigmod.NewModulus(n)
	if err != nil {
		return nil, ErrModulus
	}
	if m.BitLen() < 16 {
		return nil, ErrModulus
	}
	mod := &Modulus{m: m, size: m.Size(), chunk: (m.BitLen() - 1) / 8}
	b := make([]byte, mod.size)
	b[mod.size-1-mod.chunk] = 1
	if mod.base, err = bigmod.NewNat().SetBytes(b, m); err != nil {
		return nil, ErrModulus
	}
	return mod, nil
}

// Size returns the length of n in bytes: of every element, in and out.
func (m *Modulus) Size() int { return m.size }

// BitLen returns the length of n in bits.
func (m *Modulus) BitLen() int { return m.m.BitLen() }

// Exp returns base^exponent mod n. The exponent may have any length; its length
// leaks, its value does not, so callers pass secret exponents at full width.
func (m *Modulus) Exp(base, exponent []byte) ([]byte, error) {
	b, err := m.nat(base)
	if err != nil {
		return nil, err
	}
	z := bigmod.NewNat().Exp(b, exponent, m.m)
	defer wipe(b, z)
	return z.Bytes(m.m), nil
}

// ExpShortVarTime returns base^e mod n for a short public exponent. Its time
// depends on e, and on nothing else.
func (m *Modulus) ExpShortVarTime(base []byte, e uint) ([]byte, error) {
	b, err := m.nat(base)
	if err != nil {
		return nil, err
	}
	z := bigmod.NewNat().ExpShortVarTime(b, e, m.m)
	defer wipe(b, z)
	return z.Bytes(m.m), nil
}

// Mul returns a*b mod n.
func (m *Modulus) Mul(a, b []byte) ([]byte, error) {
	return m.binary(a, b, (*bigmod.Nat).Mul)
}

// Add returns a+b mod n.
func (m *Modulus) Add(a, b []byte) ([]byte, error) {
	return m.binary(a, b, (*bigmod.Nat).Add)
}

// Sub returns a-b mod n.
func (m *Modulus) Sub(a, b []byte) ([]byte, error) {
	return m.binary(a, b, (*bigmod.Nat).Sub)
}

// Reduce returns x mod n for an x of any length, which leaks.
func (m *Modulus) Reduce(x []byte) []byte {
	// Horner's rule over digits of chunk bytes. bigmod's own Mod shifts in one
	// bit at a time, which costs a third of an exponentiation where n is half as
	// long as x; this is two multiplications per digit.
	z := bigmod.NewNat().ExpandFor(m.m)
	digit := make([]byte, m.size)
	defer clear(digit)
	for len(x) > 0 {
		n := len(x) % m.chunk
		if n == 0 {
			n = m.chunk
		}
		clear(digit)
		copy(digit[m.size-n:], x[:n])
		d, err := bigmod.NewNat().SetBytes(digit, m.m)
		if err != nil {
			panic("modexp: internal error: digit not less than the modulus")
		}
		z.Mul(m.base, m.m).Add(d, m.m)
		wipe(d)
		x = x[n:]
	}
	defer wipe(z)
	return z.Bytes(m.m)
}

func (m *Modulus) binary(a, b []byte, op func(x, y *bigmod.Nat, m *bigmod.Modulus) *bigmod.Nat) ([]byte, error) {
	x, err := m.nat(a)
	if err != nil {
		return nil, err
	}
	y, err := m.nat(b)
	if err != nil {
		return nil, err
	}
	defer wipe(x, y)
	return op(x, y, m.m).Bytes(m.m), nil
}

func (m *Modulus) nat(b []byte) (*bigmod.Nat, error) {
	if len(b) != m.size {
		return nil, ErrRange
	}
	x, err := bigmod.NewNat().SetBytes(b, m.m)
	if err != nil {
		return nil, ErrRange
	}
	return x, nil
}

// wipe clears what bigmod lets us reach. Its own temporaries stay until the
// stack or the heap is used again.
func wipe(xs ...*bigmod.Nat) {
	for _, x := range xs {
		clear(x.Bits())
	}
}
