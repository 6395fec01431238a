//go:build valgrind && taintleak && linux && amd64

package taint

// seeded is where the leak is.
var seeded Reason

// Leaks says that this build has seeded leaks.
const Leaks = true

// SeedLeak makes the one place that gives this reason leak: Declassify decides by the
// value before it is public. With [Result], [LeakResult] leaks.
func SeedLeak(at Reason) { seeded = at }

// leak decides by v.
func leak(at Reason, v int) {
	if at == seeded && v&1 == 1 {
		decided()
	}
}

// decided is a call, so that the decision is a jump and not a conditional move.
//
//go:noinline
func decided() {}

// LeakResult decides by every byte of an operation's result.
func LeakResult(b []byte) {
	for _, v := range b {
		leak(Result, int(v))
	}
}
