//go:build amd64 && !purego

package modexp

// offsetInLine returns the address of p modulo cacheLine. In assembly, since
// everything else here does without package unsafe.
//
//go:noescape
func offsetInLine(p *uint64) int
