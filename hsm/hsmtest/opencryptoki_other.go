//go:build !unix

package hsmtest

import (
	"testing"

	"github.com/tandem-rsa/tandem/internal/needtest"
)

// OpenCryptoki skips the test: there is no opencryptoki here.
func OpenCryptoki(t testing.TB) Token {
	t.Helper()
	needtest.Need(t, "opencryptoki runs on Unix systems only")
	return Token{}
}
