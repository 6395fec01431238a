package modexp

import (
	"encoding/binary"
	"math/bits"
)

// Numbers inside this package are little-endian slices of 64-bit words. Lengths
// are public; no loop, branch or index below depends on a value.

func wordsFor(bytes int) int { return (bytes + 7) / 8 }

// wordAt returns word i of the big-endian number b, which may be shorter.
func wordAt(b []byte, i int) uint64 {
	end := len(b) - 8*i
	switch {
	case end >= 8:
		return binary.BigEndian.Uint64(b[end-8 : end])
	case end <= 0:
		return 0
	}
	var w uint64
	for _, x := range b[:end] {
		w = w<<8 | uint64(x)
	}
	return w
}

// SetBytes sets x to the big-endian number b, which must not be longer than x.
func SetBytes(x []uint64, b []byte) {
	for i := range x {
		x[i] = wordAt(b, i)
	}
}

// fillBytes writes x, which must fit, to all of b in big-endian order.
func fillBytes(b []byte, x []uint64) {
	for i, w := range x {
		end := len(b) - 8*i
		if end >= 8 {
			binary.BigEndian.PutUint64(b[end-8:end], w)
			continue
		}
		for end > 0 {
			end--
			b[end] = byte(w)
			w >>= 8
		}
	}
}

// lessThan returns 1 if x is less than n, and 0 otherwise. Both have the same length.
func lessThan(x, n []uint64) uint64 {
	var borrow uint64
	for i := range n {
		_, borrow = bits.Sub64(x[i], n[i], borrow)
	}
	return borrow
}

// isEqual returns 1 if x = y, and 0 otherwise. Both have the same length.
func isEqual(x, y []uint64) int {
	var different uint64
	for i := range x {
		different |= x[i] ^ y[i]
	}
	return int(1 ^ (different|-different)>>63)
}

// isWord returns 1 if x is the number w, and 0 otherwise.
func isWord(x []uint64, w uint64) int {
	different := x[0] ^ w
	for _, v := range x[1:] {
		different |= v
	}
	return int(1 ^ (different|-different)>>63)
}

// subMasked subtracts n AND mask, for a mask of zeros or ones. x may be longer than n.
func subMasked(x, n []uint64, mask uint64) {
	var borrow uint64
	low, high := x[:len(n)], x[len(n):]
	for i, w := range n {
		low[i], borrow = bits.Sub64(low[i], w&mask, borrow)
	}
	for i, w := range high {
		high[i], borrow = bits.Sub64(w, 0, borrow)
	}
}

// addMod sets x = x+y mod n, for x and y less than n. All have the same length.
func addMod(x, y, n []uint64) {
	y, n = y[:len(x)], n[:len(x)] // spares bounds checks
	var carry, borrow uint64
	for i := range x {
		x[i], carry = bits.Add64(x[i], y[i], carry)
		_, borrow = bits.Sub64(x[i], n[i], borrow)
	}
	// Subtract n where the sum carries or is not below n.
	_, below := bits.Sub64(carry, 0, borrow)
	subMasked(x, n, below-1)
}

// subMod sets x = x-y mod n, for x and y less than n. All have the same length.
func subMod(x, y, n []uint64) {
	var carry, borrow uint64
	for i := range x {
		x[i], borrow = bits.Sub64(x[i], y[i], borrow)
	}
	mask := -borrow
	for i := range x {
		x[i], carry = bits.Add64(x[i], n[i]&mask, carry)
	}
}

// addProduct sets z = z + x*w, in the length of both, and returns the carry.
func addProduct(z, x []uint64, w uint64) uint64 {
	x = x[:len(z)] // spares bounds checks
	var carry uint64
	for j := range z {
		// (2^64-1)^2 + 2(2^64-1) = 2^128-1: two more addends fit.
		high, low := bits.Mul64(x[j], w)
		var c uint64
		low, c = bits.Add64(low, z[j], 0)
		high += c
		z[j], c = bits.Add64(low, carry, 0)
		carry = high + c
	}
	return carry
}

// mulAdd sets z = z + x*y for a z less than x at first, in as many words as x and y have.
func mulAdd(z, x, y []uint64) {
	for i, w := range y {
		// Nothing was there, since z was less than x.
		z[i+len(x)] = addProduct(z[i:][:len(x)], x, w)
	}
}

// Inverse64 returns 1/x mod 2^64 for an odd x, by Newton's iteration: x is its own
// inverse modulo 8, and each step doubles the number of right bits.
func Inverse64(x uint64) uint64 {
	y := x
	for range 5 {
		y *= 2 - x*y
	}
	return y
}
