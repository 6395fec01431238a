package main

import "fmt"

// # Montgomery multiplication with MULX, ADCX and ADOX
//
// A number is n = 8*blocks words of 64 bits, little-endian, and R = 2^(64n). All
// functions work on one row: a number times eight words. The Go code around
// them (adx_amd64.go) loops over the rows:
//
//	mul:    t = x*y:  for each block y8 of y:  t[8i:] += x * y8
//	sqr:    t = x*x:  for each block x8 of x:  t[16i:] += products of x8 with
//	                  what follows it; then t = 2t + squares
//	reduce: for each block of t:  t[8i:] += q8 * N, with q8 so that the block gets 0
//
// # One block
//
// The work is done 8x8 words at a time. Eight registers are a window on t: before
// step k they hold t[k:k+8]. Step k multiplies eight words of x by word k of y
// and adds the result; word k is then final and is stored, its register becomes
// the new top. ADCX adds the low halves, in one carry chain, ADOX the high
// halves, in another. The window plus the product fits in nine words:
//
//	(2^512 - 1) + (2^512 - 1)(2^64 - 1) = (2^512 - 1) 2^64 < 2^576,
//
// so the new top absorbs both carries.
//
// At the end of a block the window holds the upper half, and moves on to the next block
// of x: the words of t there are added to it. The carry c out of that addition has the
// weight of the window's word 0 after the block, and joins the next addition. At the
// end of the row the window plus c is what goes to the next eight words of t: it fits,
// since t (n words) plus x*y8 fits in n+8 words.
//
// The squaring's first block is x8 times itself, products above the diagonal only: in
// step k the words k+1..7. The reduction's first block makes its y as it goes: word k
// of q is (word 0 of the window) * k0 mod 2^64, k0 = -1/N mod 2^64, after which word 0
// is 0.
//
// # Bound
//
// Let x, y < R. t = x*y + q*N with q < R, so t/R < R + N: the carry out of 2n words is
// 0 or 1, and where it is 1, one subtraction of N brings the result below R again. As N
// > R/2 (its top bit is set), results are below 2N. This is "almost Montgomery
// multiplication" (S. Gueron, "Efficient software implementations of modular
// exponentiation", 2012). For y = 1 the result is (x + q*N)/R <= N.
//
// # Constant time
//
// As for the IFMA kernels: branches on counters only, addresses from
// arguments and counters only, conditions are masks. The multiplier words, and
// carries between blocks, wait in vector registers: nothing is spilled to memory, all
// registers are cleared before return.

const blockWords = 8

type adx struct{ assembler }

var window = []operand{"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}

const (
	regT      operand = "DI" // public: pointers and counter
	regIn     operand = "SI"
	regBlocks operand = "CX"

	regFactor operand = "DX" // MULX's implicit factor
	regLow    operand = "AX"
	regHigh   operand = "BX"

	vecCarry operand = "X0" // c, as 0 or -1
	vecK0    operand = "X1"
	vecZero  operand = "X2" // an assembler may make XOR of MOVQ $0, and clear the flags
)

// vecY holds word k of the multiplier: y8, x8 or q8.
func vecY(k int) operand { return operand(fmt.Sprintf("X%d", 8+k)) }

type kind int

const (
	full kind = iota
	aboveDiagonal
	makeQ
)

// block is the 8x8 step explained above.
func (a *adx) block(what kind) {
	a.comment("add the words of t; carries: see adx.go")
	a.op("MOVQ", vecCarry, regHigh)
	a.op("ADDQ", regHigh, regHigh)
	for l, r := range window {
		a.op("ADCQ", mem(regT, 8*l), r)
	}
	a.op("SBBQ", regHigh, regHigh)
	a.op("MOVQ", regHigh, vecCarry)

	for k := range blockWords {
		w := func(l int) operand { return window[(k+l)%blockWords] }
		a.comment("step %d", k)
		from := 0
		switch what {
		case full:
			a.op("MOVQ", vecY(k), regFactor)
		case aboveDiagonal:
			from = k + 1
			a.op("MOVQ", vecY(k), regFactor)
		case makeQ:
			a.op("MOVQ", vecK0, regFactor)
			a.op("IMULQ", w(0), regFactor)
			a.op("MOVQ", regFactor, vecY(k))
		}
		if from > 0 {
			a.op("MOVQ", w(0), mem(regT, 8*k))
		}
		if from == blockWords {
			a.op("MOVQ", vecZero, w(0))
			break
		}
		a.op("XORL", regLow, regLow) // both carries start at 0
		for l := from; l < blockWords-1; l++ {
			a.op("MULXQ", mem(regIn, 8*l), regLow, regHigh)
			a.op("ADCXQ", regLow, w(l))
			a.op("ADOXQ", regHigh, w(l+1))
			if l == 0 && what == full {
				a.op("MOVQ", w(0), mem(regT, 8*k))
			}
		}
		top := w(0)
		a.op("MULXQ", mem(regIn, 8*(blockWords-1)), regLow, top)
		a.op("ADCXQ", regLow, w(blockWords-1))
		a.op("MOVQ", vecZero, regLow)
		a.op("ADOXQ", regLow, top)
		a.op("ADCXQ", regLow, top)
	}
	a.op("ADDQ", imm(8*blockWords), regIn)
	a.op("ADDQ", imm(8*blockWords), regT)
}

func (a *adx) startRow() {
	a.op("PXOR", vecZero, vecZero)
	a.op("PXOR", vecCarry, vecCarry)
	for _, r := range window {
		a.op("XORL", r, r)
	}
}

func (a *adx) loadMultiplier(from operand) {
	for k := range blockWords {
		a.op("MOVQ", mem(from, 8*k), vecY(k))
	}
}

// addCarry adds c to the window; there is no carry out.
func (a *adx) addCarry() {
	a.op("MOVQ", vecCarry, regHigh)
	a.op("ADDQ", regHigh, regHigh)
	for _, r := range window {
		a.op("ADCQ", imm(0), r)
	}
}

func (a *adx) storeWindow() {
	for l, r := range window {
		a.op("MOVQ", r, mem(regT, 8*l))
	}
}

func (a *adx) clearAndReturn() {
	a.comment("leave nothing in registers")
	for _, r := range append([]operand{regLow, regHigh, regFactor}, window...) {
		a.op("XORL", r, r)
	}
	for i := range 16 {
		x := zmm(i).xmm()
		a.op("PXOR", x, x)
	}
	a.op("RET")
}

func (a *adx) mulRow() {
	a.text("adxMulRow", "t, x, y *uint64, blocks int",
		"sets t = t + x * y[0:8], for x and t of 8*blocks words; the result is 8 words longer.", 32)
	a.op("MOVQ", arg("y", 16), regIn)
	a.loadMultiplier(regIn)
	a.op("MOVQ", arg("t", 0), regT)
	a.op("MOVQ", arg("x", 8), regIn)
	a.op("MOVQ", arg("blocks", 24), regBlocks)
	a.startRow()
	a.label("block")
	a.block(full)
	a.loop(regBlocks, "block")
	a.addCarry()
	a.storeWindow()
	a.clearAndReturn()
}

func (a *adx) sqrRow() {
	a.text("adxSqrRow", "t, x *uint64, blocks int",
		"adds to t the products of x[0:8] with the words of x that follow each of them, for x and t of\n8*blocks words; the result is 8 words longer.", 24)
	a.op("MOVQ", arg("t", 0), regT)
	a.op("MOVQ", arg("x", 8), regIn)
	a.op("MOVQ", arg("blocks", 16), regBlocks)
	a.loadMultiplier(regIn)
	a.startRow()
	a.block(aboveDiagonal)
	a.op("DECQ", regBlocks)
	a.op("JZ", "done")
	a.label("block")
	a.block(full)
	a.loop(regBlocks, "block")
	a.label("done")
	a.addCarry()
	a.storeWindow()
	a.clearAndReturn()
}

// sqrFinish keeps the doubling's carry in CF and the squares' in OF. The loop counter's
// DECQ would overwrite OF, so both are saved as numbers.
func (a *adx) sqrFinish() {
	const savedCF, savedOF, zero, word0, word1 operand = "R10", "R11", "R12", "R8", "R9"
	a.text("adxSqrFinish", "t, x *uint64, blocks int",
		"sets t = 2*t + sum x[i]^2 2^(128i), for t of 16*blocks words.", 24)
	a.op("MOVQ", arg("t", 0), regT)
	a.op("MOVQ", arg("x", 8), regIn)
	a.op("MOVQ", arg("blocks", 16), regBlocks)
	for _, r := range []operand{savedCF, savedOF, zero} {
		a.op("XORL", r, r)
	}
	a.label("block")
	a.comment("all ones plus 1 carries, plus 0 does not")
	a.op("XORL", regLow, regLow)
	a.op("MOVQ", imm(-1), regLow)
	a.op("ADCXQ", savedCF, regLow)
	a.op("MOVQ", imm(-1), regLow)
	a.op("ADOXQ", savedOF, regLow)
	for l := range blockWords {
		a.op("MOVQ", mem(regIn, 8*l), regFactor)
		a.op("MULXQ", regFactor, regLow, regHigh)
		for i, w := range []operand{word0, word1} {
			at := mem(regT, 8*(2*l+i))
			a.op("MOVQ", at, w)
			a.op("ADCXQ", w, w)
			a.op("ADOXQ", []operand{regLow, regHigh}[i], w)
			a.op("MOVQ", w, at)
		}
	}
	a.op("MOVQ", zero, savedCF)
	a.op("ADCXQ", zero, savedCF)
	a.op("MOVQ", zero, savedOF)
	a.op("ADOXQ", zero, savedOF)
	a.op("ADDQ", imm(8*blockWords), regIn)
	a.op("ADDQ", imm(16*blockWords), regT)
	a.loop(regBlocks, "block")
	a.clearAndReturn()
}

func (a *adx) reduceRow() {
	a.text("adxReduceRow", "t, n *uint64, k0, carry uint64, blocks int) (carryOut uint64",
		"adds to t the multiple of n that clears t[0:8], for n of 8*blocks words, of which there are at least\n16, and t 8 words longer; carry (0 or 1) is added to the last 8 words. t[0:8] is not written: it is\nto be ignored. k0 is -1/n mod 2^64.", 48)
	a.op("MOVQ", arg("t", 0), regT)
	a.op("MOVQ", arg("n", 8), regIn)
	a.op("MOVQ", arg("k0", 16), vecK0)
	a.op("MOVQ", arg("blocks", 32), regBlocks)
	a.startRow()
	a.block(makeQ)
	a.op("DECQ", regBlocks)
	a.label("block")
	a.block(full)
	a.loop(regBlocks, "block")
	a.addCarry()
	a.comment("carry, as CF")
	a.op("MOVQ", arg("carry", 24), regLow)
	a.op("NEGQ", regLow)
	for l, r := range window {
		a.op("ADCQ", mem(regT, 8*l), r)
	}
	a.op("SBBQ", regLow, regLow)
	a.op("NEGQ", regLow)
	a.op("MOVQ", regLow, arg("carryOut", 40))
	a.storeWindow()
	a.clearAndReturn()
}

func (a *adx) subMasked() {
	a.text("adxSubMasked", "z, t, n *uint64, mask uint64, blocks int",
		"sets z = t - (n AND mask), for a mask of zeros or ones, modulo R; all have 8*blocks words.", 40)
	const regN operand = "DX"
	a.op("MOVQ", arg("z", 0), regT)
	a.op("MOVQ", arg("t", 8), regIn)
	a.op("MOVQ", arg("n", 16), regN)
	a.op("MOVQ", arg("mask", 24), regLow)
	a.op("MOVQ", arg("blocks", 32), regBlocks)
	a.op("XORL", regHigh, regHigh)
	a.label("block")
	for l, r := range window {
		a.op("MOVQ", mem(regN, 8*l), r)
		a.op("ANDQ", regLow, r)
	}
	a.op("MOVQ", regLow, vecCarry) // the mask waits here
	a.op("ADDQ", regHigh, regHigh) // the borrow, as CF
	for l, r := range window {
		a.op("MOVQ", mem(regIn, 8*l), regLow)
		a.op("SBBQ", r, regLow)
		a.op("MOVQ", regLow, mem(regT, 8*l))
	}
	a.op("SBBQ", regHigh, regHigh)
	a.op("MOVQ", vecCarry, regLow)
	for _, r := range []operand{regT, regIn, regN} {
		a.op("ADDQ", imm(8*blockWords), r)
	}
	a.loop(regBlocks, "block")
	a.clearAndReturn()
}

// gather reads every entry, a block at a time, and keeps one by a mask.
func (a *adx) gather() {
	const entries = 32
	const (
		regTable  operand = "DX" // start of this block in entry 0
		regEntry  operand = "SI"
		regStride operand = "R8"
		regCount  operand = "R9"
		vecIndex  operand = "X8"
		vecNumber operand = "X9"
		vecOne    operand = "X10"
		vecMask   operand = "X11"
	)
	a.text("adxGather", "z, table *uint64, index, blocks int",
		fmt.Sprintf("sets z = table[index], entries of 8*blocks words, for a secret index below %d.", entries), 32)
	a.op("MOVQ", arg("z", 0), regT)
	a.op("MOVQ", arg("table", 8), regTable)
	a.op("MOVQ", arg("index", 16), vecIndex)
	a.op("MOVQ", arg("blocks", 24), regBlocks)
	a.op("MOVQ", regBlocks, regStride)
	a.op("SHLQ", imm(6), regStride)
	a.op("PSHUFD", imm(0), vecIndex, vecIndex)
	a.op("MOVQ", imm(1), regLow)
	a.op("MOVQ", regLow, vecOne)
	a.op("PSHUFD", imm(0), vecOne, vecOne)
	a.label("block")
	a.op("PXOR", vecNumber, vecNumber)
	for i := range 4 {
		x := zmm(i).xmm()
		a.op("PXOR", x, x)
	}
	a.op("MOVQ", regTable, regEntry)
	a.op("MOVQ", imm(entries), regCount)
	a.label("entry")
	a.op("MOVOU", vecNumber, vecMask)
	a.op("PCMPEQL", vecIndex, vecMask)
	a.op("PADDL", vecOne, vecNumber)
	for i := range 4 {
		x, word := zmm(i).xmm(), zmm(4+i).xmm()
		a.op("MOVOU", mem(regEntry, 16*i), word)
		a.op("PAND", vecMask, word)
		a.op("POR", word, x)
	}
	a.op("ADDQ", regStride, regEntry)
	a.loop(regCount, "entry")
	for i := range 4 {
		a.op("MOVOU", zmm(i).xmm(), mem(regT, 16*i))
	}
	a.op("ADDQ", imm(8*blockWords), regT)
	a.op("ADDQ", imm(8*blockWords), regTable)
	a.loop(regBlocks, "block")
	a.clearAndReturn()
}

func adxFile() []byte {
	a := &adx{}
	a.header("adx.go")
	a.mulRow()
	a.sqrRow()
	a.sqrFinish()
	a.reduceRow()
	a.subMasked()
	a.gather()
	return a.Bytes()
}
