//go:build amd64 && !purego

package modexp

import "slices"

// adxSizes are the lengths of modulus of the MULX/ADX kernel. 6144 and 8192 bits are for
// composite keys, which need only products and short exponents, and for existing keys of
// this size that were split.
var adxSizes = []int{1024, 1536, 2048, 3072, 4096, 6144, maxBits}

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
