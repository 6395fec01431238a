//go:build goexperiment.runtimesecret

package erase

import "runtime/secret"

// Enabled says whether [Do] erases registers and heap as well as the stack.
const Enabled = true

// Do calls f, then erases the registers and the stack that f used, and the heap that it
// allocated as soon as the garbage collector finds it unused. Goroutines that f starts
// are not covered.
func Do(f func()) { secret.Do(f) }
