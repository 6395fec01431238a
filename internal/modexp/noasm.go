//go:build !amd64 || purego

package modexp

// available lists what can compute modulo an n of that many bits, fastest first.
func available(int) []implementation { return []implementation{portable} }
