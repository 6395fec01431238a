//go:build !(valgrind && taintleak && linux && amd64)

package taint

// Leaks says that this build has no seeded leaks.
const Leaks = false

// SeedLeak does nothing without the tag taintleak.
func SeedLeak(at Reason) {}

// LeakResult does nothing without the tag taintleak.
func LeakResult(b []byte) {}
