// Package legacy is the switch that lets tests run published vectors with keys
// below 2048 bits and with SHA-1 and SHA-224. Only splitkeytest turns it on, and only
// inside a test binary.
package legacy

import "sync/atomic"

// Allowed is false outside tests.
var Allowed atomic.Bool

// MinBits returns the least size of a modulus that is accepted, in bits.
func MinBits() int {
	if Allowed.Load() {
		return 1024
	}
	return 2048
}
