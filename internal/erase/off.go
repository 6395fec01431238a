//go:build !goexperiment.runtimesecret

package erase

// Enabled says whether this build erases all that [Do] says.
const Enabled = false

// depth is how much of the stack is overwritten. What runs in [Do] keeps its numbers on
// the heap and has small frames: single words of a secret, which the compiler moved out of
// registers, are not so deep.
const depth = 16 << 10

// Do calls f. Before, it makes the stack large enough, so that it is not copied in f as it
// grows; afterwards it overwrites what f used of it. (If f panics, it overwrites what is
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
