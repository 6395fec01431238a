package prove

// ifmaFaults are faults in products, in squarings and in the gather.
func ifmaFaults() []fault {
	const (
		mul, sqr, gather = "ifmaMul2048", "ifmaSqr2048", "ifmaGather2048"
		small, large     = "ifmaMul1024", "ifmaMul4096"
	)
	return []fault{
		// Products.
		{what: "a multiply-add is dropped in the loop", says: "in R * result - x*y:", fn: mul, nth: 2, old: "\tVPMADD52LUQ Z26, Z17, Z8\n"},
		{what: "a high half is dropped in the last digit", says: "in R * result - x*y:", fn: mul, nth: 1, old: "\tVPMADD52HUQ 704(CX), Z17, Z11\n"},
		{what: "a product is added twice", says: "in R * result - x*y:", fn: mul, nth: 2, old: "VPMADD52HUQ Z25, Z18, Z12", new: "VPMADD52HUQ Z25, Z18, Z12\n\tVPMADD52HUQ Z25, Z18, Z12"},
		{what: "low for high", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VPMADD52HUQ Z25, Z18, Z12", new: "VPMADD52LUQ Z25, Z18, Z12"},
		{what: "high for low", says: "in R * result - x*y:", fn: mul, nth: 2, old: "VPMADD52LUQ Z24, Z17, Z9", new: "VPMADD52HUQ Z24, Z17, Z9"},
		{what: "q of another digit", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VPMADD52LUQ Z24, Z17, Z9", new: "VPMADD52LUQ Z24, Z16, Z9"},
		{what: "y for the previous y", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VPMADD52HUQ Z28, Z20, Z3", new: "VPMADD52HUQ Z28, Z19, Z3"},
		{what: "a product goes to another accumulator", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VPMADD52HUQ Z28, Z20, Z3", new: "VPMADD52HUQ Z28, Z20, Z4"},
		{what: "another vector of x", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VPMADD52LUQ Z29, Z19, Z2", new: "VPMADD52LUQ Z30, Z19, Z2"},
		{what: "x is loaded from the next vector", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VMOVDQU64 64(SI), Z28", new: "VMOVDQU64 128(SI), Z28"},
		{what: "two registers are swapped", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VMOVDQA64 Z17, Z18\n\tVMOVDQA64 Z16, Z17", new: "VMOVDQA64 Z16, Z17\n\tVMOVDQA64 Z17, Z18"},
		{what: "M1 for M2 in one vector", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VMOVDQU64 64(CX), Z24", new: "VMOVDQU64 704(CX), Z24"},
		{what: "N for M1", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VPMADD52LUQ 704(CX), Z16, Z5", new: "VPMADD52LUQ 384(CX), Z16, Z5"},
		{what: "M1 for N in one high half", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VPMADD52HUQ 384(CX), Z16, Z6", new: "VPMADD52HUQ 704(CX), Z16, Z6"},
		{what: "both halves of a vector of N are left out", says: "multiplied by 32 digits of N", fn: mul, nth: 1, old: "\tVPMADD52LUQ 384(CX), Z16, Z5\n", also: "\tVPMADD52HUQ 384(CX), Z16, Z6\n"},
		{what: "the last q is not multiplied by k0", says: "in R * result - x*y:", fn: mul, nth: 1, old: "VPMADD52LUQ.BCST 960(CX), Z21, Z16", new: "VPMADD52LUQ.BCST 968(CX), Z21, Z16"},
		{what: "the carry of a digit is dropped", says: "in R * result - x*y:", fn: mul, nth: 4, old: "\tVPADDQ Z21, Z22, Z22\n"},
		{what: "the carry of a digit is added twice", says: "in R * result - x*y:", fn: mul, nth: 4, old: "\tVPADDQ Z21, Z22, Z22\n", new: "\tVPADDQ Z21, Z22, Z22\n\tVPADDQ Z21, Z22, Z22\n"},
		{what: "the carry of the last digit is dropped", says: "in R * result - x*y:", fn: mul, nth: 1, old: "\tVPADDQ Z21, Z0, Z0\n"},
		{what: "a carry shifted by 51", says: "an immediate other than", fn: mul, nth: 9, old: "VPSRLQ.Z $52, Z22", new: "VPSRLQ.Z $51, Z22"},
		{what: "a carry into lane 1", says: "in R * result - x*y:", fn: mul, nth: 1, old: "MOVQ $1, AX\n\tKMOVB AX, K1", new: "MOVQ $2, AX\n\tKMOVB AX, K1"},
		{what: "a lane moves by two", says: "in R * result - x*y:", fn: mul, nth: 2, old: "VALIGNQ.Z $1, Z22, Z22, K4, Z7", new: "VALIGNQ.Z $2, Z22, Z22, K4, Z7"},
		{what: "the lane that was used comes back at the top", says: "in R * result - x*y:", fn: mul, nth: 1, old: "MOVQ $127, AX", new: "MOVQ $255, AX"},
		{what: "the loop runs once too often", says: "is outside of y", fn: mul, nth: 1, old: "MOVQ $6, R14", new: "MOVQ $7, R14"},
		{what: "the loop runs once too rarely", says: "in R * result - x*y:", fn: mul, nth: 1, old: "MOVQ $6, R14", new: "MOVQ $5, R14"},
		{what: "y moves on by two digits", says: "is outside of y", fn: mul, nth: 1, old: "ADDQ $8, DX", new: "ADDQ $16, DX"},
		{what: "an accumulator is not cleared at the start", says: "it reads something undefined", fn: mul, nth: 1, old: "\tVPXORQ Z9, Z9, Z9\n"},
		{what: "an accumulator is not cleared after its digit", says: "in R * result - x*y:", fn: mul, nth: 2, old: "\tVPXORQ Z3, Z3, Z3\n"},
		{what: "1024 bits: a dropped high half of N", says: "in R * result - x*y:", fn: small, nth: 1, old: "\tVPMADD52HUQ 192(CX), Z10, Z5\n"},
		{what: "4096 bits: the carry into the last vector is dropped", says: "normalized - result", fn: large, nth: 1, old: "\tORQ R12, R8\n"},

		// Normalization.
		{what: "greater or equal for greater", says: "an immediate other than", fn: mul, nth: 1, old: "VPCMPUQ $6", new: "VPCMPUQ $5"},
		{what: "the first pass is left out in one vector", says: "normalized - result", fn: mul, nth: 1, old: "\tVPADDQ Z6, Z2, Z2\n"},
		{what: "the lanes' carries without the exclusive or", says: "normalized - result", fn: mul, nth: 1, old: "\tXORQ R9, R8\n"},
		{what: "the lanes' carries do not ripple", says: "normalized - result", fn: mul, nth: 1, old: "\tADDQ R9, R8\n"},
		{what: "one vector does not propagate", says: "normalized - result", fn: mul, nth: 3, old: "\tANDQ BX, R9\n"},
		{what: "one vector does not generate", says: "normalized - result", fn: mul, nth: 2, old: "\tORQ AX, R8\n"},
		{what: "a mask of the vector before", says: "normalized - result", fn: mul, nth: 3, old: "\tKMOVB R8, K2\n"},
		{what: "masks are packed with 15 bits", says: "normalized - result", fn: mul, nth: 1, old: "SHLQ $16, AX", new: "SHLQ $15, AX"},
		{what: "the carry of the top vector stays in its lane", says: "normalized - result", fn: mul, nth: 1, old: "VALIGNQ.Z $7", new: "VALIGNQ.Z $0"},
		{what: "the carries are not added", says: "of something other than -1", fn: mul, nth: 1, old: "VPTERNLOGQ $255, Z19, Z19, Z19", new: "VPXORQ Z19, Z19, Z19"},
		{what: "one vector is not reduced to digits", says: "could be 2^52 or more", fn: mul, nth: 7, old: "VPANDQ Z16, ", new: "VPADDQ Z10, "},
		{what: "1024 bits: propagation into the next vector is dropped", says: "normalized - result", fn: small, nth: 1, old: "\tANDQ R11, R8\n"},

		// Squarings.
		{what: "squaring: products above the diagonal count once", says: "in R * result - x*y:", fn: sqr, nth: 2, old: "VPADDQ Z3, Z3, Z22", new: "VPXORQ Z22, Z22, Z22\n\tVPADDQ Z3, Z22, Z22"},
		{what: "squaring: the diagonal counts twice", says: "in R * result - x*y:", fn: sqr, nth: 2, old: "VPMADD52LUQ Z29, Z19, Z9", new: "VPMADD52LUQ Z29, Z19, Z4"},
		{what: "squaring: x is not renewed after a turn", says: "Z29 is not vector 2 of z", fn: sqr, nth: 1, old: "\tVMOVDQA64 Z2, Z29\n"},
		{what: "squaring: y goes on where the turn before ended", says: "DX changes in a turn", fn: sqr, nth: 1, old: "again:\n\tMOVQ SI, DX\n", new: "\tMOVQ SI, DX\nagain:\n"},
		{what: "squaring: the count goes down twice", says: "goes down twice", fn: sqr, nth: 1, old: "\tDECQ R15\n", new: "\tDECQ R15\n\tDECQ R15\n"},
		{what: "squaring: JZ for JNZ", says: "as often as the count says", fn: sqr, nth: 1, old: "JNZ again", new: "JZ again"},
		{what: "squaring: M2 is overwritten in a turn", says: "Z27 changes in a turn", fn: sqr, nth: 1, old: "\tDECQ R15\n", new: "\tVPXORQ Z27, Z27, Z27\n\tDECQ R15\n"},
		{what: "squaring: a mask is changed in a turn", says: "K5 changes in a turn", fn: sqr, nth: 1, old: "\tDECQ R15\n", new: "\tKXORQ K5, K5, K5\n\tDECQ R15\n"},
		{what: "squaring: an accumulator keeps the turn before", says: "Z0 changes in a turn", fn: sqr, nth: 1, old: "again:\n\tMOVQ SI, DX\n\tVPXORQ Z0, Z0, Z0\n", new: "\tVPXORQ Z0, Z0, Z0\nagain:\n\tMOVQ SI, DX\n"},
		{what: "squaring: one vector of z is not stored", says: "normalized - result", fn: sqr, nth: 1, old: "\tVMOVDQU64 Z2, 128(SI)\n"},
		{what: "squaring: the jump is to the row loop", says: "jumps to somewhere else", fn: sqr, nth: 1, old: "JNZ again", new: "JNZ row"},

		// Gather.
		{what: "gather: another length of entries", says: "is not that of the table", fn: gather, nth: 1, old: "ADDQ $320, SI", new: "ADDQ $256, SI"},
		{what: "gather: 31 entries", says: "is not that of the table", fn: gather, nth: 1, old: "MOVQ $32, R15", new: "MOVQ $31, R15"},
		{what: "gather: 33 entries", says: "is outside of table", fn: gather, nth: 1, old: "MOVQ $32, R15", new: "MOVQ $33, R15", quiet: true},
		{what: "gather: another function of three bits", says: "a function of three bits", fn: gather, nth: 1, old: "VPTERNLOGQ $248, 64(SI)", new: "VPTERNLOGQ $232, 64(SI)"},
		{what: "gather: the index is an address", says: "an address from data", fn: gather, nth: 1, old: "\tMOVQ $1, AX\n", new: "\tADDQ AX, SI\n\tMOVQ $1, AX\n"},
		{what: "gather: the index is a count", says: "no public count", fn: gather, nth: 1, old: "MOVQ $32, R15", new: "MOVQ index+16(FP), R15"},
		{what: "gather: a load under the mask of the index", says: "has 5 operands", fn: gather, nth: 1, old: "VPTERNLOGQ $248, 0(SI), Z29, Z0", new: "VPTERNLOGQ $248, 0(SI), Z29, K2, Z0", quiet: true},
	}
}
