package prove

// frameFaults are faults in what a function owes its caller: memory, registers, the
// frame, and the contract itself.
func frameFaults() []fault {
	const mul, sqr, row = "ifmaMul2048", "ifmaSqr2048", "adxMulRow"
	return []fault{
		{what: "z is stored before the last load", says: "a load follows a store", fn: mul, nth: 1, old: "\tMOVQ $6, R14\n", new: "\tVMOVDQU64 Z0, 0(DI)\n\tMOVQ $6, R14\n"},
		{what: "a store past the end of z", says: "is outside of z", fn: mul, nth: 1, old: "VMOVDQU64 Z4, 256(DI)", new: "VMOVDQU64 Z4, 320(DI)"},
		{what: "a store to x", says: "a store to x", fn: mul, nth: 1, old: "VMOVDQU64 Z4, 256(DI)", new: "VMOVDQU64 Z4, 256(SI)"},
		{what: "a load past the end of the context", says: "is outside of context", fn: mul, nth: 1, old: "VPBROADCASTQ 968(CX), Z16", new: "VPBROADCASTQ 976(CX), Z16"},
		{what: "a load of what was not set", says: "before it is set", fn: mul, nth: 1, old: "VMOVDQU64 64(SI), Z28", new: "VMOVDQU64 64(DI), Z28"},
		{what: "a vector is not stored", says: "is not stored", fn: mul, nth: 1, old: "\tVMOVDQU64 Z4, 256(DI)\n"},
		{what: "a misaligned word", says: "is outside of y", fn: row, nth: 1, old: "MOVQ 8(SI), X9", new: "MOVQ 12(SI), X9"},
		{what: "a load that must be aligned", says: "need not be aligned", fn: mul, nth: 1, old: "VMOVDQU64 64(SI), Z28", new: "VMOVDQA64 64(SI), Z28", quiet: true},
		{what: "a register above 15 is left", says: "vector register 30 is not cleared", fn: mul, nth: 1, old: "\tVPXORQ Z30, Z30, Z30\n", quiet: true},
		{what: "a register below 16 is left", says: "vector register 3 is not cleared", fn: mul, nth: 1, old: "\tVPXOR X3, X3, X3\n", quiet: true},
		{what: "a general register is left", says: "R8 is not cleared", fn: mul, nth: 1, old: "\tXORL R8, R8\n", quiet: true},
		{what: "a mask register is left", says: "K3 is not cleared", fn: mul, nth: 1, old: "\tKXORQ K3, K3, K3\n", quiet: true},
		{what: "a carry is left in a flag", says: "the flags are not cleared", fn: row, nth: 1, old: "\tXORL R15, R15\n\tPXOR X0, X0\n", new: "\tXORL R15, R15\n\tMOVQ X9, AX\n\tADDQ AX, AX\n\tMOVQ X2, AX\n\tPXOR X0, X0\n", quiet: true},
		{what: "squaring: a register is left", says: "vector register 12 is not cleared", fn: sqr, nth: 1, old: "\tVPXOR X12, X12, X12\n", quiet: true},
		{what: "a word of y is left", says: "vector register 15 is not cleared", fn: row, nth: 1, old: "\tPXOR X15, X15\n", quiet: true},
		{what: "no VZEROUPPER", says: "no VZEROUPPER", fn: mul, nth: 1, old: "\tVZEROUPPER\n", quiet: true},
		{what: "VZEROUPPER before the last vector instruction", says: "no VZEROUPPER", fn: mul, nth: 1, old: "\tVZEROUPPER\n", new: "\tVZEROUPPER\n\tVPXORQ Z0, Z0, Z0\n", quiet: true},
		{what: "an address from data", says: "not an address made of", fn: mul, nth: 1, old: "VPBROADCASTQ 64(DX), Z19", new: "MOVQ 64(DX), AX\n\tVPBROADCASTQ 0(AX), Z19"},
		{what: "a branch on data", says: "a branch on data", fn: mul, nth: 1, old: "\tADDQ R8, R8\n", new: "\tADDQ R8, R8\n\tJNZ row\n"},
		{what: "a load under a mask", says: "has 3 operands", fn: mul, nth: 1, old: "VMOVDQU64 64(SI), Z28", new: "VMOVDQU64 64(SI), K1, Z28"},
		{what: "a function without RET", says: "no RET", fn: "adxGather", nth: 1, old: "\tRET\n"},
		{what: "code that is never reached", says: "never reached", fn: mul, nth: 1, old: "\tRET\n", new: "\tRET\n\tVZEROUPPER\n", quiet: true},
		{what: "a stack frame", says: "no TEXT without a frame", fn: mul, nth: 1, old: "$0-32", new: "$64-32", quiet: true},
		{what: "another size of arguments", says: "bytes of arguments", fn: mul, nth: 1, old: "$0-32", new: "$0-40", quiet: true},
		{what: "an argument of another offset", says: "there is no argument", fn: mul, nth: 1, old: "x+8(FP)", new: "x+16(FP)"},
		{what: "the frame pointer is used", says: "is not understood", fn: mul, nth: 1, old: "MOVQ $1, AX", new: "MOVQ $1, BP"},
		{what: "an argument is overwritten", says: "a store to an argument", fn: row, nth: 1, old: "MOVQ blocks+24(FP), CX", new: "MOVQ blocks+24(FP), CX\n\tMOVQ CX, blocks+24(FP)", quiet: true},
		{what: "a TEXT without a contract", says: "has no contract", fn: row, nth: 1, old: "\tRET\n", new: "\tRET\n\nTEXT ·adxMulRow2(SB), NOSPLIT, $0-0\n\tRET\n", quiet: true},
		{what: "an instruction that is not in the table", says: "no row in the table", fn: row, nth: 1, old: "MULXQ 24(SI), AX, BX", new: "MULQ 24(SI)"},
		{what: "an address with an index register", says: "is not understood", fn: row, nth: 1, old: "MOVQ 8(SI), X9", new: "MOVQ 8(SI)(CX*8), X9"},
		{what: "a function that is read is changed", says: "is not the text that was read", fn: "offsetInLine", nth: 1, old: "ANDQ $63, AX", new: "ANDQ $31, AX"},
	}
}
