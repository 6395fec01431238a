//go:build !(valgrind && linux && amd64)

package taint

// Secret marks every bit of b as secret.
func Secret(b []byte) {}

// SecretPrime marks a prime that fills its bytes as secret, except for its lowest and its
// top bit: that it is odd and how long it is are public.
func SecretPrime(p []byte) {}

// Declassify returns v, which is public from here on.
func Declassify(v int, why Reason) int { return v }

// DeclassifyBytes returns b itself, which is public from here on.
func DeclassifyBytes(b []byte, why Reason) []byte { return b }

// DeclassifyCopy returns bytes that are public. The caller's stay secret; in an ordinary
// build they are the same.
func DeclassifyCopy(b []byte, why Reason) []byte { return b }
