package modexp

import "sync"

// arenaWords is the working space of one operation at the largest size: the table of
// powers, and a dozen numbers for the operands, the kernel and the conversions
// (montgomery.go).
const arenaWords = (1<<windowBits + 12) * (maxBits / 64)

// maxBits is the greatest length of modulus that has a kernel.
const maxBits = 8192

// cacheLine is the alignment of numbers. AVX-512 loads across cache lines are correct,
// but cost the 4096-bit squaring half as much again.
const cacheLine = 64

// arena is working space that is handed out piece by piece, all of it zero, and
// wiped when the operation is over. Being on the heap, it never moves.
type arena struct {
	words []uint64
	used  int
}

var arenas = sync.Pool{New: func() any { return &arena{words: aligned(arenaWords)} }}

func newArena() *arena { return arenas.Get().(*arena) }

// take returns n words, aligned to a cache line.
func (a *arena) take(n int) []uint64 {
	from := a.used
	a.used = (from + n + 7) &^ 7
	return a.words[from : from+n : from+n]
}

// wipe clears what was handed out and gives the arena back.
func (a *arena) wipe() {
	clear(a.words[:a.used])
	a.used = 0
	arenas.Put(a)
}

// aligned returns n zero words that begin at a cache line where there is assembly.
func aligned(n int) []uint64 {
	b := make([]uint64, n+cacheLine/8-1)
	skip := (cacheLine - offsetInLine(&b[0])) % cacheLine / 8
	return b[skip : skip+n : skip+n]
}
