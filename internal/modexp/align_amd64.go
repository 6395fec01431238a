//go:build amd64 && !purego

package modexp

// offsetInLine returns the address of p modulo cacheLine. It is in assembly so that this
// package does not import unsafe.
//
//go:noescape
func offsetInLine(p *uint64) int
