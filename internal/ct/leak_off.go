//go:build !(valgrind && taintleak && linux && amd64)

package ct

// Leaks says that this build has no seeded leaks.
const Leaks = false

// Arm does nothing without the tag taintleak.
func Arm(string) {}

// Leak does nothing without the tag taintleak.
func Leak([]byte) {}
