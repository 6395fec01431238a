package main

// The preconditions of what internal/modexp/_prove proves of the assembly.
var modexpMutants = []mutant{
	{"take 1/n for -1/n in the IFMA kernel", "internal/modexp/ifma_amd64.go", "k0 := -Inverse64(n[0]) & digitMask", "k0 := Inverse64(n[0]) & digitMask", inModexp, "TestPreconditionsOfModulus"},
	{"leave k0 whole in the IFMA kernel", "internal/modexp/ifma_amd64.go", "k0 := -Inverse64(n[0]) & digitMask", "k0 := -Inverse64(n[0])", inModexp, "TestPreconditionsOfModulus"},
	{"take M1 for M2", "internal/modexp/ifma_amd64.go", "k.divide(m2, m1, k0)", "copy(m2, m1)", inModexp, "TestPreconditionsOfModulus"},
	{"lose a carry in M1", "internal/modexp/ifma_amd64.go", "low, carry = bits.Add64(low, x[i], 0)\n\t\thigh += carry", "low, _ = bits.Add64(low, x[i], 0)", inModexp, "TestPreconditionsOfModulus"},
	{"lay the context out in another order", "internal/modexp/ifma_amd64.go", "m1, m2 := k.context[2*w:3*w], k.context[:w]", "m2, m1 := k.context[2*w:3*w], k.context[:w]", inModexp, "TestPreconditionsOfModulus"},
	{"take 1/n for -1/n in the ADX kernel", "internal/modexp/adx_amd64.go", "k0: -Inverse64(n[0])", "k0: Inverse64(n[0])", inModexp, "TestPreconditionsOfModulus"},
	{"leave out the last block of the modulus", "internal/modexp/adx_amd64.go", "blocks: len(n) / blockWords}", "blocks: len(n)/blockWords - len(n)/32}", inModexp, "TestPreconditionsOfModulus"},
	{"pack digits with bits to spare", "internal/modexp/ifma_amd64.go", "lane[i] = d & digitMask", "lane[i] = d", inModexp, "TestPreconditions$"},
	{"hand out working space that overlaps", "internal/modexp/arena.go", "a.used = (from + n + 7) &^ 7", "a.used = (from + n - 1) &^ 7", inModexp, "TestPreconditions$"},
	{"square no times", "internal/modexp/montgomery.go", "\tif n > 0 {\n\t\tm.square(z, n, tmp)", "\tif n >= 0 {\n\t\tm.square(z, n, tmp)", inModexp, "TestPreconditions$"},
	{"give the gather a table that is too short", "internal/modexp/montgomery.go", "m.gather(t, table, bitsAt(exponent, pos, windowBits))", "m.gather(t, table[:len(table)-1], bitsAt(exponent, pos, windowBits))", inModexp, "TestPreconditions$"},
	{"take an index of six bits", "internal/modexp/montgomery.go", "return int(w >> (pos % 8) & (1<<count - 1))", "return int(w >> (pos % 8) & (1<<(count+1) - 1))", inModexp, "TestPreconditions$"},
	{"multiply with the working space of the squares", "internal/modexp/montgomery.go", "\tm.product(u, u, v, tmp)\n", "\tm.product(u, u, v, u)\n", inModexp, "TestPreconditions$"},
}
