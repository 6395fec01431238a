package prove

// adxFaults are faults in the functions with MULX, ADCX and ADOX.
func adxFaults() []fault {
	const mul, sqr, finish, reduce, sub, gather = "adxMulRow", "adxSqrRow", "adxSqrFinish", "adxReduceRow", "adxSubMasked", "adxGather"
	return []fault{
		{what: "adx: the carry into the new top is dropped", says: "t' - t - products", fn: mul, nth: 3, old: "\tADCXQ AX, R10\n"},
		{what: "adx: the halves of a product are swapped", says: "t' - t - products", fn: mul, nth: 3, old: "MULXQ 24(SI), AX, BX", new: "MULXQ 24(SI), BX, AX"},
		{what: "adx: ADCX for ADOX", says: "t' - t - products", fn: mul, nth: 2, old: "ADOXQ BX, R14", new: "ADCXQ BX, R14"},
		{what: "adx: the flags are destroyed by a zero", says: "t' - t - products", fn: mul, nth: 5, old: "MOVQ X2, AX", new: "XORL AX, AX"},
		{what: "adx: the carry between blocks is lost", says: "t' - t - products", fn: mul, nth: 1, old: "MOVQ BX, X0", new: "MOVQ BX, X1"},
		{what: "adx: another word of y", says: "t' - t - products", fn: mul, nth: 1, old: "MOVQ X11, DX", new: "MOVQ X12, DX"},
		{what: "adx: another word of x", says: "t' - t - products", fn: mul, nth: 4, old: "MULXQ 16(SI), AX, BX", new: "MULXQ 24(SI), AX, BX"},
		{what: "adx: a word is stored in another place", says: "t' - t - products", fn: mul, nth: 1, old: "MOVQ R11, 24(DI)", new: "MOVQ R11, 16(DI)"},
		{what: "adx: x does not move on", says: "t' - t - products", fn: mul, nth: 1, old: "\tADDQ $64, SI\n"},
		{what: "adx: the carry of the row is dropped", says: "t' - t - products", fn: mul, nth: 1, old: "\tADCQ $0, R13\n"},
		{what: "adx: the last block's words are left unset", says: "is not stored", fn: mul, nth: 2, old: "\tMOVQ R15, 56(DI)\n"},
		{what: "adx: a product on the diagonal in a squaring", says: "t' - t - products", fn: sqr, nth: 1, old: "\tMULXQ 8(SI), AX, BX\n", new: "\tMULXQ 0(SI), AX, BX\n"},
		{what: "adx: the squaring takes words of x from another place", says: "t' - t - products", fn: sqr, nth: 1, old: "MOVQ 40(SI), X13", new: "MOVQ 48(SI), X13"},
		{what: "adx: a square's high half is dropped", says: "t' - 2t - squares", fn: finish, nth: 2, old: "\tADOXQ BX, R9\n"},
		{what: "adx: a word counts once, not twice", says: "t' - 2t - squares", fn: finish, nth: 3, old: "ADCXQ R8, R8", new: "ADCXQ R12, R8"},
		{what: "adx: the squares' carry between blocks is lost", says: "t' - 2t - squares", fn: finish, nth: 1, old: "\tADOXQ R12, R11\n"},
		{what: "adx: the doubling's carry is not restored", says: "t' - 2t - squares", fn: finish, nth: 1, old: "\tADCXQ R10, AX\n"},
		{what: "adx: q of another word", says: "t' - t is no multiple of n", fn: reduce, nth: 1, old: "IMULQ R10, DX", new: "IMULQ R11, DX"},
		{what: "adx: q without k0", says: "t' - t is no multiple of n", fn: reduce, nth: 1, old: "\tIMULQ R9, DX\n"},
		{what: "adx: a word of q is kept in another register", says: "it reads something undefined", fn: reduce, nth: 1, old: "MOVQ DX, X9", new: "MOVQ DX, X10"},
		{what: "adx: a product of q is left out", says: "t' - t is no multiple of n", fn: reduce, nth: 1, old: "\tMULXQ 8(SI), AX, BX\n\tADCXQ AX, R9\n\tADOXQ BX, R10\n"},
		{what: "adx: the reduction writes the lowest words of t", says: "word 0 of t is written", fn: reduce, nth: 1, old: "\tMOVQ DX, X8\n", new: "\tMOVQ DX, X8\n\tMOVQ R9, 0(DI)\n", quiet: true},
		{what: "adx: the carry of the reduction is dropped", says: "t' - t is no multiple of n", fn: reduce, nth: 1, old: "ADCQ $0, R12", new: "ADDQ $0, R12"},
		{what: "adx: the carry out is 0 or -1", says: "t' - t is no multiple of n", fn: reduce, nth: 1, old: "\tNEGQ AX\n"},
		{what: "adx: the carry in is ignored", says: "t' - t is no multiple of n", fn: reduce, nth: 1, old: "MOVQ carry+24(FP), AX", new: "XORL AX, AX"},
		{what: "adx: the borrow chain is broken", says: "z - t + n*bit", fn: sub, nth: 1, old: "SBBQ R12, AX", new: "ADCQ R12, AX"},
		{what: "adx: the borrow between blocks is lost", says: "z - t + n*bit", fn: sub, nth: 1, old: "SBBQ BX, BX", new: "XORL BX, BX"},
		{what: "adx: a word of n without the mask", says: "z - t + n*bit", fn: sub, nth: 1, old: "\tANDQ AX, R11\n"},
		{what: "adx: a branch on the mask", says: "no public count", fn: sub, nth: 1, old: "block:\n", new: "\tDECQ AX\n\tJNZ block\nblock:\n"},
		{what: "adx gather: another length of entries", says: "is not that of the table", fn: gather, nth: 1, old: "SHLQ $6, R8", new: "SHLQ $5, R8"},
		{what: "adx gather: one comparison for 64 bits", says: "AND of data", fn: gather, nth: 1, old: "PSHUFD $0, X8, X8", new: "PSHUFD $68, X8, X8"},
		{what: "adx gather: a word without the mask", says: "OR of data", fn: gather, nth: 1, old: "\tPAND X11, X6\n"},
	}
}
