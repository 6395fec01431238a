//go:build valgrind && linux && amd64

package taint

import "bytes"

// Client requests of valgrind (valgrind.h) and its tool memcheck (memcheck.h). The
// numbers are part of their ABI.
const (
	runningOnValgrind = 0x1001
	countErrors       = 0x1201

	memcheck         = 'M'<<24 | 'C'<<16
	makeMemUndefined = memcheck + 1
	makeMemDefined   = memcheck + 2
	setVBits         = memcheck + 9
)

//go:noescape
func request(code uint64, p *byte, a2, a3, a4, a5 uint64) uint64

//go:noescape
func requestPair(code uint64, p, q *byte, a3, a4, a5 uint64) uint64

// defined returns v, marked as public.
func defined(v int) int

// Secret marks every bit of b as secret.
func Secret(b []byte) {
	if len(b) > 0 {
		request(makeMemUndefined, &b[0], uint64(len(b)), 0, 0, 0)
	}
}

// SecretPrime marks a prime that fills its bytes as secret, except for its lowest and its
// top bit: that it is odd and how long it is are public.
func SecretPrime(p []byte) {
	if len(p) == 0 {
		return
	}
	secret := make([]byte, len(p))
	for i := range secret {
		secret[i] = 0xff
	}
	secret[0] &= 0x7f
	secret[len(p)-1] &= 0xfe
	requestPair(setVBits, &p[0], &secret[0], uint64(len(p)), 0, 0)
}

// Declassify returns v, which is public from here on.
func Declassify(v int, why Reason) int {
	leak(why, v)
	return defined(v)
}

// DeclassifyCopy returns bytes that are public. The caller's stay secret.
func DeclassifyCopy(b []byte, why Reason) []byte { return DeclassifyBytes(bytes.Clone(b), why) }

// DeclassifyBytes returns b itself, which is public from here on.
func DeclassifyBytes(b []byte, why Reason) []byte {
	if len(b) > 0 {
		leak(why, int(b[len(b)/2]))
		request(makeMemDefined, &b[0], uint64(len(b)), 0, 0, 0)
	}
	return b
}

// Running reports whether the program runs under valgrind.
func Running() bool { return request(runningOnValgrind, nil, 0, 0, 0, 0) > 0 }

// Findings returns how often memcheck has found a decision that depends on a secret.
func Findings() int { return int(request(countErrors, nil, 0, 0, 0, 0)) }
