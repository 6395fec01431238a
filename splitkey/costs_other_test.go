//go:build !linux

package splitkey_test

import "time"

// processTime is not to be had from the standard library on every system.
func processTime() (time.Duration, bool) { return 0, false }
