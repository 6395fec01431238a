// Package limiter is the server's half of the PIN: it counts wrong PINs, so that a thief has as
// many guesses as a [Policy] allows. The device's half is package pinlock.
package limiter
