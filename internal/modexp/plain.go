package modexp

import (
	"crypto/subtle"
	"math/bits"
)

// plain is a kernel in Go, modulo an odd n of any length. It takes the place of bigmod
// where n is secret and must be wiped: bigmod keeps copies that nobody can reach. Its
// numbers are reduced, in words.
type plain struct {
	n  []uint64
	k0 uint64 // -1/n mod 2^64
}

var wipeable = implementation{"go", newPlain}

func newPlain(n []uint64) arithmetic {
	return newMontgomery(&plain{n, -Inverse64(n[0])}, n)
}

func (k *plain) words() int           { return len(k.n) }
func (k *plain) radixBits() int       { return 64 * len(k.n) }
func (k *plain) excess() int          { return 0 }
func (k *plain) pack(z, x []uint64)   { copy(z, x) }
func (k *plain) unpack(x, z []uint64) { x[copy(x, z)] = 0 }
func (k *plain) sqr(z []uint64, n int, tmp []uint64) {
	for range n {
		k.mul(z, z, z, tmp)
	}
}

// wipeModulus: k0 is one word of what was computed from n.
func (k *plain) wipeModulus() { k.k0 = 0 }

// mul is Montgomery's product: x*y, then the multiple of n that makes its lower half
// zero. The upper half is less than 2n, since x*y < n*R.
func (k *plain) mul(z, x, y, tmp []uint64) {
	size := len(k.n)
	t := tmp[:2*size]
	clear(t[:size])
	for i, w := range y[:size] {
		t[i+size] = addProduct(t[i:i+size], x, w)
	}
	var carry uint64
	for i := range size {
		c := addProduct(t[i:i+size], k.n, t[i]*k.k0)
		t[i+size], carry = bits.Add64(t[i+size], c, carry)
	}
	upper := t[size:]
	var borrow uint64
	for i := range upper {
		_, borrow = bits.Sub64(upper[i], k.n[i], borrow)
	}
	// Subtract n where the sum carries or is not below n.
	_, below := bits.Sub64(carry, 0, borrow)
	subMasked(upper, k.n, below-1)
	copy(z, upper)
}

// gather reads all of the table.
func (k *plain) gather(z, table []uint64, index int) {
	size := len(k.n)
	clear(z)
	for i := range 1 << windowBits {
		mask := -uint64(subtle.ConstantTimeEq(int32(i), int32(index)))
		for j, w := range table[i*size:][:size] {
			z[j] |= w & mask
		}
	}
}
