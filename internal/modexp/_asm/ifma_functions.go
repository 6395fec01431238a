package main

import "fmt"

func (g *ifma) setUp() {
	for _, k := range []struct {
		lanes int
		mask  operand
	}{{0x01, maskLane0}, {0x7f, maskNotTop}, {0xfe, maskNotLane0}} {
		g.op("MOVQ", imm(k.lanes), regG)
		g.op("KMOVB", regG, k.mask)
	}
	for p, r := range g.M2 {
		g.op("VMOVDQU64", g.memM2(p), r)
	}
	for i, r := range g.X {
		g.op("VMOVDQU64", mem(regX, vectorBytes*(g.vectors-len(g.X)+i)), r)
	}
}

// clearAndReturn leaves nothing behind in vector, mask and temporary registers.
func (g *ifma) clearAndReturn() {
	g.comment("leave nothing in registers")
	for _, r := range []operand{regG, regE, regLaneG, regLaneE, regG0, regE0, regG8, regE8} {
		g.op("XORL", r, r)
	}
	for _, k := range []operand{maskLane0, maskNotTop, maskNotLane0, maskTemp1, maskTemp2} {
		g.op("KXORQ", k, k, k)
	}
	for i := 16; i < 32; i++ {
		g.zero(zmm(i))
	}
	// The VEX form of the lower half clears the whole register.
	for i := range 16 {
		x := zmm(i).xmm()
		g.op("VPXOR", x, x, x)
	}
	g.op("VZEROUPPER")
	g.op("RET")
}

func (g *ifma) mulFunction() {
	g.squaring = false
	g.text(fmt.Sprintf("ifmaMul%d", g.bits), "z, x, y, context *uint64",
		"sets z = x*y/R; z may be x or y.", 32)
	g.op("MOVQ", arg("z", 0), regZ)
	g.op("MOVQ", arg("x", 8), regX)
	g.op("MOVQ", arg("y", 16), regY)
	g.op("MOVQ", arg("context", 24), regContext)
	g.setUp()
	for p, r := range g.multiply("row") {
		g.op("VMOVDQU64", r, mem(regZ, vectorBytes*p))
	}
	g.clearAndReturn()
}

func (g *ifma) sqrFunction() {
	g.squaring = true
	g.text(fmt.Sprintf("ifmaSqr%d", g.bits), "z, context *uint64, n int",
		"sets z = z*z/R, n times; n is at least 1.", 24)
	g.op("MOVQ", arg("z", 0), regX)
	g.op("MOVQ", arg("context", 8), regContext)
	g.op("MOVQ", arg("n", 16), regCount)
	g.setUp()
	g.label("again")
	g.op("MOVQ", regX, regY)
	result := g.multiply("row")
	for p, r := range result {
		g.op("VMOVDQU64", r, mem(regX, vectorBytes*p))
	}
	for i, r := range g.X {
		g.op("VMOVDQA64", result[g.vectors-len(g.X)+i], r)
	}
	g.loop(regCount, "again")
	g.clearAndReturn()
}

// gatherFunction reads every entry of the table and keeps one by a mask made from the
// difference of the index and the number of the entry.
func (g *ifma) gatherFunction() {
	const entries = 32
	g.text(fmt.Sprintf("ifmaGather%d", g.bits), "z, table *uint64, index int",
		fmt.Sprintf("sets z = table[index] for a secret index below %d.", entries), 24)
	difference, one, mask := zmm(31), zmm(30), zmm(29)
	g.op("MOVQ", arg("z", 0), regZ)
	g.op("MOVQ", arg("table", 8), regX)
	g.op("MOVQ", arg("index", 16), regG)
	g.op("VPBROADCASTQ", regG, difference)
	g.op("MOVQ", imm(1), regG)
	g.op("VPBROADCASTQ", regG, one)
	for p := range g.vectors {
		g.zero(zmm(p))
	}
	g.op("MOVQ", imm(entries), regCount)
	g.label("entry")
	g.op("VPTESTNMQ", difference, difference, maskTemp1)
	g.op("VPMOVM2Q", maskTemp1, mask)
	for p := range g.vectors {
		const orAnd = 0xf8 // a | b & c
		g.op("VPTERNLOGQ", imm(orAnd), mem(regX, vectorBytes*p), mask, zmm(p))
	}
	g.op("VPSUBQ", one, difference, difference)
	g.op("ADDQ", imm(vectorBytes*g.vectors), regX)
	g.loop(regCount, "entry")
	for p := range g.vectors {
		g.op("VMOVDQU64", zmm(p), mem(regZ, vectorBytes*p))
	}
	g.clearAndReturn()
}

func ifmaFile(s shape) []byte {
	g := &ifma{shape: s}
	g.checkShape()
	g.assign()
	g.header("ifma.go")
	g.registerMap()
	g.mulFunction()
	g.sqrFunction()
	g.gatherFunction()
	return g.Bytes()
}
