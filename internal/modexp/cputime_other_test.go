//go:build !linux

package modexp

import "time"

var start = time.Now()

// threadTime is the time that passed: the standard library knows no better one here.
func threadTime() time.Duration { return time.Since(start) }
