package main

// normalize turns lanes below 2^61 into digits, exactly.
func (g *ifma) normalize(r []operand) {
	g.comment("normalize: one carry pass in parallel")
	last := g.vectors - 1
	ones, mask, c := g.y, g.q1, g.S
	g.op("VPTERNLOGQ", imm(0xff), ones, ones, ones)
	g.op("VPBROADCASTQ", g.memMask(), mask)
	for p := range g.vectors {
		g.op("VPSRLQ", imm(digitBits), r[p], c[p])
	}
	for p := range g.vectors {
		g.op("VPANDQ", mask, r[p], r[p])
	}
	// The top digit carries into the next lane's vector 0. (Out of lane 7 there is no
	// carry: the value fits.)
	g.op("VALIGNQ.Z", imm(lanes-1), c[last], c[last], maskNotLane0, c[last])
	for p := 1; p < g.vectors; p++ {
		g.op("VPADDQ", c[p-1], r[p], r[p])
	}
	g.op("VPADDQ", c[last], r[0], r[0])

	g.comment("which digits generate a carry, which propagate one")
	for p := range g.vectors {
		g.op("VPCMPUQ", imm(6), mask, r[p], maskTemp1) // r > mask
		g.op("VPCMPEQQ", mask, r[p], maskTemp2)
		g.op("KMOVB", maskTemp1, regG)
		g.op("KMOVB", maskTemp2, regE)
		if p == 0 {
			g.op("MOVQ", regG, regLaneG)
			g.op("MOVQ", regE, regLaneE)
		} else {
			g.op("ANDQ", regE, regLaneG)
			g.op("ORQ", regG, regLaneG)
			g.op("ANDQ", regE, regLaneE)
		}
		allG, allE := g.packed(p)
		if p%8 == 0 {
			g.op("MOVQ", regG, allG)
			g.op("MOVQ", regE, allE)
		} else {
			g.op("SHLQ", imm(8*(p%8)), regG)
			g.op("SHLQ", imm(8*(p%8)), regE)
			g.op("ORQ", regG, allG)
			g.op("ORQ", regE, allE)
		}
	}

	g.comment("carries into the lanes, then from vector to vector")
	carries := regLaneG
	g.op("ADDQ", regLaneG, regLaneG)
	g.op("ADDQ", regLaneE, regLaneG)
	g.op("XORQ", regLaneE, regLaneG)
	for p := range g.vectors {
		g.op("KMOVB", carries, maskTemp1)
		g.op("VPSUBQ", ones, r[p], maskTemp1, r[p])
		g.op("VPANDQ", mask, r[p], r[p])
		if p == last {
			break
		}
		// The masks of vector p are the low byte; bits above 7 never reach KMOVB.
		allG, allE := g.packed(p)
		g.op("ANDQ", allE, carries)
		g.op("ORQ", allG, carries)
		if p%8 != 7 {
			g.op("SHRQ", imm(8), allG)
			g.op("SHRQ", imm(8), allE)
		}
	}
}

func (g *ifma) packed(p int) (allG, allE operand) {
	if p < 8 {
		return regG0, regE0
	}
	return regG8, regE8
}
