// Package hardware executes single instructions on the processor, for the test of the
// verifier's table of instructions. Its assembly is generated from the forms that occur
// in the kernels: go test -run TestForms -write, in the folder above.
package hardware

// State is what an instruction reads and writes: registers 0 to 3 of each kind (K0 is
// not used; the general ones are AX, BX, CX and DX), the flags, and the memory at SI.
type State struct {
	Z     [4][8]uint64
	K     [4]uint64
	R     [4]uint64
	Flags uint64
	_     [7]uint64
	Mem   [8]uint64
}

// Bits of Flags.
const (
	CF       = 1 << 0
	ZF       = 1 << 6
	OF       = 1 << 11
	Reserved = 1<<1 | 1<<9 // always set: bit 1, and interrupts
)
