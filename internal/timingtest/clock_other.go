//go:build !linux

package timingtest

import "time"

var epoch = time.Now()

// now is the time on the clock: there is no portable way to read a thread's own.
func now() time.Duration { return time.Since(epoch) }
