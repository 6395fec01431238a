//go:build !linux

package costtest

import "time"

// processTime reports false: the standard library cannot tell it on every system.
func processTime() (time.Duration, bool) { return 0, false }
