//go:build valgrind && taintleak && linux && amd64

package ct

// armed is where the next leak is.
var armed string

// Leaks says that this build has seeded leaks.
const Leaks = true

// Arm makes the named place leak, and no other: a function of public.go that then
// looks at its value before it is public, or [Leak].
func Arm(place string) { armed = place }

// leak decides by v.
func leak(place string, v int) {
	if place == armed && v&1 == 1 {
		decided()
	}
}

// decided is a call, so that the decision is a jump and not a conditional move.
//
//go:noinline
func decided() {}

// Leak decides by every byte of b, if it is armed.
func Leak(b []byte) {
	for _, v := range b {
		leak("Leak", int(v))
	}
}
