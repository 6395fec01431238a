//go:build !unix

package hsmtest

import "testing"

// OpenCryptoki skips the test: there is no opencryptoki here.
func OpenCryptoki(t testing.TB) Token {
	t.Helper()
	missing(t, "opencryptoki")
	return Token{}
}
