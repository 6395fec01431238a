//go:build !amd64 || purego

package modexp

// offsetInLine is of interest to assembly only.
func offsetInLine(*uint64) int { return 0 }
