package modexp

// kernel is Montgomery multiplication modulo one n: in assembly, where n has exactly
// 64*len(n) bits, or in Go. Its numbers are slices of words() uint64, aligned to 64 bytes
// for assembly, in a format of its own, in which 1 is {1, 0, 0, ...}. They need not be
// reduced.
type kernel interface {
	words() int
	radixBits() int // R = 2^radixBits
	excess() int    // results are less than (excess+1)*n
	pack(z, x []uint64)
	unpack(x, z []uint64) // x is one word longer than n

	// tmp is working space of 2*len(n) words.
	mul(z, x, y, tmp []uint64)           // z = x*y/R; z may be an operand
	sqr(z []uint64, n int, tmp []uint64) // z = z*z/R, n times; n is at most windowBits
	gather(z, table []uint64, index int) // z = table[index]; reads every entry

	wipeModulus() // clears what was computed from n
}
