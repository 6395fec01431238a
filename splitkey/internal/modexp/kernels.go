//go:build amd64 && !purego

package modexp

import "slices"

// kernel is Montgomery multiplication modulo an n of exactly 64*len(n) bits, in
// assembly. Its numbers are slices of words() uint64, aligned to 64 bytes, in a
// format of its own, in which 1 is {1, 0, 0, ...}. They need not be reduced.
type kernel interface {
	words() int
	radixBits() int // R = 2^radixBits
	excess() int    // results are less than (excess+1)*n
	pack(z, x []uint64)
	unpack(x, z []uint64) // x is one word longer than n

	// tmp is working space of 2*len(n) words.
	mul(z, x, y, tmp []uint64)           // z = x*y/R; z may be an operand
	sqr(z []uint64, n int, tmp []uint64) // z = z*z/R, n times; n is at most windowBits
	gather(z, table []uint64, index int) // z = table[index] of 2^windowBits numbers, reading all

	wipeModulus() // clears what was computed from n
}

// adxSizes are the lengths of modulus of the MULX/ADX kernel. 6144 and 8192 bits are
// composite keys, modulo which nothing but products and short exponents is computed, and existing keys
// of this size that were split.
var adxSizes = []int{1024, 1536, 2048, 3072, 4096, 6144, maxBits}

// maxBits is the greatest length of modulus that has a kernel.
const maxBits = 8192

// available lists what can compute modulo an n of that many bits on this processor,
// fastest first.
func available(bits int) []implementation {
	var list []implementation
	if haveIFMA && ifmaShapes[bits] != nil {
		list = append(list, implementation{"ifma", newIFMA})
	}
	if haveADX && slices.Contains(adxSizes, bits) {
		list = append(list, implementation{"adx", newADX})
	}
	return append(list, portable)
}
