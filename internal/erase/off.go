//go:build !goexperiment.runtimesecret

package erase

// Enabled says whether [Do] erases registers and heap as well as the stack.
const Enabled = false

// depth is how much of the stack is overwritten. What runs in [Do] keeps its numbers on
// the heap and has small frames, so the single words of a secret that the compiler spills
// are within it.
const depth = 16 << 10

// Do makes the stack large enough for f first, since a stack that grows is copied; then
// it calls f, and overwrites the stack that f used. (If f panics, it overwrites what is
// below the frames of the panic.)
func Do(f func()) {
	overwrite()
	defer overwrite()
	f()
}

// overwrite clears the stack below its caller's frame.
//
//go:noinline
func overwrite() {
	var frame [depth]byte
	use(&frame)
}

//go:noinline
func use(*[depth]byte) {}
