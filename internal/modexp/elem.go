package modexp

import (
	"errors"

	"github.com/tandem-rsa/tandem/internal/taint"
)

// Elem is a number below a modulus n. It is checked when it is made, so nothing computed
// with it can fail.
//
// Operations change the element that they are called on, and return it, as those of
// bigmod's Nat do: a formula is a line, and leaves nothing that cannot be wiped. An
// operand must be of the same [Modulus]; they panic otherwise.
type Elem struct {
	mod   *Modulus
	words []uint64 // as many as n has
}

// ErrRange is returned for bytes that are not an element: not exactly Size of them, or a
// number that is not less than the modulus.
var ErrRange = errors.New("modexp: number has the wrong length or is not reduced")

// ErrRoot is returned for a number that is not the root it should be.
var ErrRoot = errors.New("modexp: wrong root")

// Elem returns the element with the bytes b, exactly [Modulus.Size] of them, leading
// zeros kept. It returns [ErrRange] if b is not an element.
func (m *Modulus) Elem(b []byte) (*Elem, error) {
	if len(b) != m.size {
		return nil, ErrRange
	}
	x := m.zero()
	SetBytes(x.words, b)
	if taint.Declassify(int(lessThan(x.words, m.n)), taint.OperandInRange) == 0 {
		x.Wipe()
		return nil, ErrRange
	}
	return x, nil
}

// Reduce returns b mod n for bytes of any length, which leaks.
func (m *Modulus) Reduce(b []byte) *Elem {
	x := m.zero()
	m.arithmetic.reduce(x.words, b)
	return x
}

// One returns 1.
func (m *Modulus) One() *Elem {
	x := m.zero()
	x.words[0] = 1
	return x
}

// zero returns 0. With the moduli of RSA, up to 4096 bits, an element and its words are
// one allocation.
func (m *Modulus) zero() *Elem {
	n := len(m.n)
	switch {
	case n <= 16:
		x := new(struct {
			Elem
			room [16]uint64
		})
		x.mod, x.words = m, x.room[:n:n]
		return &x.Elem
	case n <= 32:
		x := new(struct {
			Elem
			room [32]uint64
		})
		x.mod, x.words = m, x.room[:n:n]
		return &x.Elem
	case n <= 64:
		x := new(struct {
			Elem
			room [64]uint64
		})
		x.mod, x.words = m, x.room[:n:n]
		return &x.Elem
	}
	return &Elem{m, make([]uint64, n)}
}

// Clone returns a copy.
func (x *Elem) Clone() *Elem {
	c := x.mod.zero()
	copy(c.words, x.words)
	return c
}

// Bytes returns x in Size bytes.
func (x *Elem) Bytes() []byte {
	b := make([]byte, x.mod.size)
	fillBytes(b, x.words)
	return b
}

// Wipe sets x to 0, in place.
func (x *Elem) Wipe() { clear(x.words) }

// Exp sets x to x^exponent. The exponent may have any length; its length leaks, its value
// does not, so callers pass secret exponents at full width. With an assembly
// implementation it allocates nothing.
func (x *Elem) Exp(exponent []byte) *Elem {
	x.mod.arithmetic.exp(x.words, exponent)
	return x
}

// ExpShortVarTime sets x to x^e for a short public exponent. Its time depends on e, and
// on nothing else.
func (x *Elem) ExpShortVarTime(e uint) *Elem {
	if e == 0 {
		clear(x.words)
		x.words[0] = 1
	} else {
		x.mod.arithmetic.expShortVarTime(x.words, e)
	}
	return x
}

// CheckedRootVarTime returns the element with the bytes y if y^e = x for a short public
// exponent: if y is what a private key had to make of x. Else it returns [ErrRange] or
// [ErrRoot]. Its time depends on e, and on nothing else.
func (m *Modulus) CheckedRootVarTime(y []byte, e uint, x *Elem) (*Elem, error) {
	root, err := m.Elem(y)
	if err != nil {
		return nil, err
	}
	power := root.Clone().ExpShortVarTime(e)
	defer power.Wipe()
	if taint.Declassify(power.Equal(x), taint.ServerKeyRight) == 0 {
		root.Wipe()
		return nil, ErrRoot
	}
	return root, nil
}

// Mul sets x to x*y.
func (x *Elem) Mul(y *Elem) *Elem {
	x.requireSameModulus(y)
	x.mod.arithmetic.mul(x.words, y.words)
	return x
}

// Sub sets x to x-y.
func (x *Elem) Sub(y *Elem) *Elem {
	x.requireSameModulus(y)
	subMod(x.words, y.words, x.mod.n)
	return x
}

// Equal returns 1 if x = y, and 0 otherwise.
func (x *Elem) Equal(y *Elem) int {
	x.requireSameModulus(y)
	return isEqual(x.words, y.words)
}

// IsZero returns 1 if x = 0, and 0 otherwise.
func (x *Elem) IsZero() int { return isWord(x.words, 0) }

// IsOne returns 1 if x = 1, and 0 otherwise.
func (x *Elem) IsOne() int { return isWord(x.words, 1) }

// IsMinusOne returns 1 if x = n-1, and 0 otherwise.
func (x *Elem) IsMinusOne() int {
	n := x.mod.n
	return isWord(x.words[:1], n[0]^1) & isEqual(x.words[1:], n[1:]) // n is odd
}

func (x *Elem) requireSameModulus(y *Elem) {
	if x.mod != y.mod {
		panic("modexp: internal error: elements of two moduli")
	}
}

// Garner returns the one number below n1*n2 that is x1 modulo n1 and x2 modulo n2, in
// size bytes, by the Chinese remainder theorem: x1 + n1 * ((x2-x1) * n1^-1 mod n2). The
// moduli are those of x1 and x2, and inverse is n1^-1 mod n2. Only lengths leak.
//
// Source: H. Garner, "The residue number system", 1959; step 2b of RFC 8017, section
// 5.1.2.
func Garner(x1, x2, inverse *Elem, size int) []byte {
	b := x1.Bytes()
	defer clear(b)
	x1mod2 := x2.mod.Reduce(b)
	defer x1mod2.Wipe()
	h := x2.Clone().Sub(x1mod2).Mul(inverse)
	defer h.Wipe()

	sum := make([]uint64, len(x1.words)+len(h.words))
	defer clear(sum)
	copy(sum, x1.words)
	mulAdd(sum, x1.mod.n, h.words)
	z := make([]byte, size)
	fillBytes(z, sum)
	return z
}
