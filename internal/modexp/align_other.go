//go:build !amd64 || purego

package modexp

// offsetInLine is 0: only assembly needs alignment.
func offsetInLine(*uint64) int { return 0 }
