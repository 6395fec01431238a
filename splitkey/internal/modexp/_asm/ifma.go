package main

import "fmt"

// # Almost-Montgomery multiplication with AVX-512 IFMA
//
// A number is K digits of 52 bits, x = sum x[j] 2^(52j), and R = 2^(52K). The
// kernels compute t with t = x*y/R (mod N), N odd, not fully reduced. VPMADD52LUQ
// and VPMADD52HUQ add the low or the high 52 bits of eight 52x52-bit products
// to eight 64-bit lanes; the lanes have 12 bits of headroom, so carries wait.
//
// # Layout
//
// A number occupies V vectors of 8 lanes, strided: digit j is in lane j div V of
// vector j mod V, and in memory at word 8*(j mod V) + j div V. With it
//
//   - moving on by one digit is a renaming of registers (the code is unrolled V
//     times for it) plus one VALIGNQ, for the vector whose lane 0 has been used
//     up. In the usual layout (digit j in lane j mod 8) it is V VALIGNQ, each
//     with its latency on the carry chain;
//   - the high half of a product belongs to the next digit, that is to the next
//     vector in the same lane: no shift, and no accumulators of its own.
//
// Frame i is the accumulator as seen when digit i of y is multiplied: position p
// of frame i is the digit of weight 2^(52(i+p)), it lives in register
// (i+p) mod V, and position p+V one lane higher.
//
// # One digit
//
// In frame i the accumulator T receives
//
//	lo(x * y[i]), hi(x * y[i-1]), lo(M2 * q[i-2]), hi(M2 * q[i-3]);
//
// q[i] = T[0] mod 2^52, the carry T[0] div 2^52 is added to the next digit, and
// the lane is dropped. The multiplier M2 replaces N, as follows. Let
// k = -1/N mod 2^104 and N2 = k*N, which is -1 mod 2^104, so that
// M2 = (N2+1) / 2^104 is an integer, and less than N. Then adding
//
//	q[i] * N2 * 2^(52i) = -q[i] * 2^(52i) + q[i] * M2 * 2^(52(i+2))
//
// clears digit i, changes nothing modulo N, and first matters two digits
// later. No multiplication by -1/N, and no product on the way from one q to the
// next: the chain is add, shift, add. (S. Gueron and V. Krasnov,
// "Software Implementation of Modular Exponentiation, Using Advanced Vector
// Instructions Architectures", WAIFI 2012, for vectorized Montgomery
// multiplication; P. Montgomery, "Modular multiplication without trial
// division", 1985, for the reduction.)
//
// q reduces through M2 for the digits 0..K-3. Digit K-2 uses M1 = (k*N+1)/2^52
// with k = -1/N mod 2^52, whose product matters one digit later, and digit K-1
// uses N itself with q = T[0] * k mod 2^52, because what is added must not
// outgrow the result.
//
// # Bound of the result
//
// Every step adds a multiple of N, so the value is right modulo N. Its size:
// q[i] < 2^52, and N2 < 2^104 N, M1 2^52 <= 2^52 N. What is added, divided by R:
//
//	digits 0..K-3:  sum q[i] 2^(52i) < 2^(52(K-2)), times N2 / R   < N
//	digit K-2:      q 2^(52(K-2)), times (M1 2^52 - 1) / R          < N
//	digit K-1:      q 2^(52(K-1)), times N / R                      < N
//
// so t < x*y/R + 3N. Let x, y <= 4N; with N < 2^bits and 52K - bits >= 12
// (checked below), x*y/R <= 16 N * N/R < 16 N / 2^12 = N/256, and
//
//	t < 3N + N/256 < 4N:
//
// the bound is closed under multiplication, and no subtraction is needed in an
// exponentiation. t < 2^(bits+2) fits in K digits.
//
// # Bound of the lanes
//
// A lane, from the frame in which it enters to the one in which it leaves, gets
// per frame at most two low and two high halves, each below 2^52; in a squaring
// those of x*y count twice: 6 * 2^52. It lives at most K frames. In frame K-1 the
// low halves of M1 and N come on top; frame K adds five high halves at most
// (x*y twice, M2, M1, N); the carry of the lane below is less than 2^12. For
// K <= 80 this is less than (6*80 + 2 + 5 + 1) 2^52 < 2^61: no lane overflows,
// sums over several accumulators included.
//
// # Squaring
//
// x[i]*x[j] and x[j]*x[i] are one product. Digit i is of class w = i mod V, and
// position p of x is the vector of the digits of class p. Digit i is multiplied by the
// vectors p >= w only. Those with p > w stand for themselves and for the products
// of the vectors that are left out: they go to accumulators of their own, which
// are counted twice when their digit reaches position 0. Those with p = w come
// in both orders by themselves and are counted once. Same loop, same chain; 3V+1 instead of
// 4V multiply-adds per digit on average.
//
// # Normalization
//
// The lanes of t are below 2^61; the operands of VPMADD52 must be digits. One
// parallel pass (shift, mask, add to the next digit) leaves digits of at most
// 2^52-1 + 2^9, and a carry of 0 or 1 out of each. Let g be "digit > 2^52-1" and e be
// "digit = 2^52-1", as 8-bit masks of lanes, one pair per vector. Within a lane
// the carry runs from vector to vector: c = g | e & c. From lane to lane it
// ripples as in the binary addition 2G + E, where G says that a lane as a whole generates a
// carry, E that it propagates one (never both): the carries into the lanes are
// (2G + E) xor E.
//
// # Constant time
//
// No branch depends on anything but the loop counters, no address on anything but the
// arguments and the loop counters, and masks (K registers) are used in
// arithmetic only, never in a load or a store. The gather reads the whole table.
// What remains is that VPMADD52, VPADDQ and the like take the same time for all
// operands: this rests on the vendors.

// shape is the layout of one modulus size.
type shape struct {
	bits    int // of the modulus, exactly
	vectors int // V
	digits  int // K
}

var shapes = []shape{
	{1024, 3, 20},
	{1536, 4, 30},
	{2048, 5, 40},
	{3072, 8, 60},
	{4096, 10, 79},
}

const (
	digitBits   = 52
	vectorBytes = 64
	lanes       = 8
)

// ifma is one file: the registers of one shape and what has been written.
type ifma struct {
	assembler
	shape
	squaring bool

	// Accumulators by vector. P gets the products x*y, S the low halves of the
	// reduction, H its high halves. With few vectors, three sets keep the number of
	// dependent multiply-adds per register and digit at two; with many, one chain is
	// short compared with the digit, and H is the same register as S.
	P, S, H []operand

	// q of this digit and of the three before: names move on at the end of a digit.
	qNext, q1, q2, q3 operand
	y, yPrev          operand // digit i and i-1 of y, in all lanes
	carry, T          operand // carry into position 0; the sum of its accumulators
	M2, X             []operand
}

// General registers. Pointers and counters are public and are never written from
// data; the temporaries may hold carries, and are cleared before return.
const (
	regX       operand = "SI"
	regY       operand = "DX"
	regZ       operand = "DI"
	regContext operand = "CX"
	regRow     operand = "R14" // counts the rows of V digits
	regCount   operand = "R15" // counts squarings, table entries

	regG, regE           operand = "AX", "BX"   // masks of one vector
	regLaneG, regLaneE   operand = "R8", "R9"   // of whole lanes; then the carries into a vector
	regG0, regE0         operand = "R10", "R11" // masks of vectors 0..7, a byte each
	regG8, regE8         operand = "R12", "R13" // masks of vectors 8..
	maskLane0            operand = "K1"         // lane 0 only
	maskNotTop           operand = "K4"         // all lanes but 7
	maskNotLane0         operand = "K5"         // all lanes but 0
	maskTemp1, maskTemp2 operand = "K2", "K3"
)

// The context is what the modulus contributes: M2, N, M1 in the layout above, then
// k0 = -1/N mod 2^52 and the digit mask 2^52-1. ifma_amd64.go lays it out.
func (g *ifma) memM2(p int) operand { return mem(regContext, vectorBytes*p) }
func (g *ifma) memN(p int) operand  { return mem(regContext, vectorBytes*(g.vectors+p)) }
func (g *ifma) memM1(p int) operand { return mem(regContext, vectorBytes*(2*g.vectors+p)) }
func (g *ifma) memK0() operand      { return mem(regContext, vectorBytes*3*g.vectors) }
func (g *ifma) memMask() operand    { return mem(regContext, vectorBytes*3*g.vectors+8) }

// m2 and x are the vectors of M2 and x: in registers as far as there are any.
func (g *ifma) m2(p int) operand {
	if p < len(g.M2) {
		return g.M2[p]
	}
	return g.memM2(p)
}

func (g *ifma) x(p int) operand {
	if inMemory := g.vectors - len(g.X); p >= inMemory {
		return g.X[p-inMemory]
	}
	return mem(regX, vectorBytes*p)
}

// assign hands out the 32 vector registers.
func (g *ifma) assign() {
	next := 0
	take := func(n int) (r []operand) {
		for range n {
			r = append(r, zmm(next))
			next++
		}
		return r
	}
	one := func() operand { return take(1)[0] }
	g.P, g.S = take(g.vectors), take(g.vectors)
	g.H = g.S
	if g.vectors <= 5 {
		g.H = take(g.vectors)
	}
	g.qNext, g.q1, g.q2, g.q3 = one(), one(), one(), one()
	g.y, g.yPrev, g.carry, g.T = one(), one(), one(), one()
	g.M2 = take(min(g.vectors, 32-next))
	g.X = take(min(g.vectors, 32-next))
	if next > 32 {
		panic("out of registers")
	}
}

// checkShape fails the generator where a bound above would not hold.
func (g *ifma) checkShape() {
	switch {
	case digitBits*g.digits-g.bits < 12:
		panic("N/R is not below 2^-12: results are not bounded by 4N")
	case g.digits > lanes*g.vectors:
		panic("more digits than lanes")
	case g.digits > 80:
		panic("lanes could overflow")
	case g.vectors < 3:
		panic("the first row must contain the first three digits")
	case g.digits <= 2*g.vectors:
		panic("no middle row")
	}
}

func (g *ifma) lo(x, y, acc operand) { g.op("VPMADD52LUQ", x, y, acc) }
func (g *ifma) hi(x, y, acc operand) { g.op("VPMADD52HUQ", x, y, acc) }
func (g *ifma) zero(r operand)       { g.op("VPXORQ", r, r, r) }

// products adds what x*y contributes at position p of a frame of class w: the low
// half for this digit of y, the high half for the one before.
func (g *ifma) products(w, p int, firstDigit bool) {
	register := (w + p) % g.vectors
	acc := func(class int) (operand, bool) {
		switch {
		case !g.squaring || p > class:
			return g.P[register], true
		case p == class:
			return g.S[register], true
		default: // counted by the digit of class p
			return "", false
		}
	}
	if r, ok := acc((w + g.vectors - 1) % g.vectors); ok && !firstDigit {
		g.hi(g.x(p), g.yPrev, r)
	}
	if r, ok := acc(w); ok {
		g.lo(g.x(p), g.y, r)
	}
}

// digit is one frame of class w. earlier says how many q there are yet (at most three
// matter), last that this is digit K-1.
func (g *ifma) digit(w int, source operand, earlier int, last bool) {
	g.comment("digit of class %d", w)
	if earlier > 0 {
		g.op("VMOVDQA64", g.y, g.yPrev)
	}
	g.op("VPBROADCASTQ", source, g.y)

	reduceHi := func(p int) {
		if earlier >= 3 {
			g.hi(g.m2(p), g.q3, g.H[(w+p)%g.vectors])
		}
	}
	reduceLo := func(p int) {
		if earlier >= 2 {
			g.lo(g.m2(p), g.q2, g.S[(w+p)%g.vectors])
		}
	}
	// Position 0 first: q waits for it.
	g.products(w, 0, earlier == 0)
	reduceHi(0)
	reduceLo(0)
	g.sum(w, g.T)
	if earlier >= 1 {
		g.op("VPADDQ", g.carry, g.T, g.T)
	}
	if last {
		// q[K-2] reduces through M1, whose low half belongs here.
		g.lo(g.memM1(0), g.q1, g.T)
		for p := 1; p < g.vectors; p++ {
			g.lo(g.memM1(p), g.q1, g.S[(w+p)%g.vectors])
		}
	} else {
		g.op("VPBROADCASTQ", g.T.xmm(), g.qNext) // VPMADD52 ignores bits 52..63
		g.nextFrame(w)
	}
	for p := 1; p < g.vectors; p++ {
		reduceHi(p)
		g.products(w, p, earlier == 0)
		reduceLo(p)
	}
	if earlier >= 2 {
		g.op("VMOVDQA64", g.q2, g.q3)
	}
	if earlier >= 1 {
		g.op("VMOVDQA64", g.q1, g.q2)
	}
	if !last {
		g.op("VMOVDQA64", g.qNext, g.q1)
	}
}

// sum adds up the accumulators of one vector; P counts twice in a squaring. The sum may
// replace P, not the others.
func (g *ifma) sum(register int, to operand) {
	from := g.P[register]
	if g.squaring {
		g.op("VPADDQ", from, from, to)
		from = to
	}
	if g.H[register] != g.S[register] {
		g.op("VPADDQ", g.H[register], from, to)
		from = to
	}
	g.op("VPADDQ", g.S[register], from, to)
}

// nextFrame moves on by one digit: the carry out of lane 0 of T is kept, T moves down by one
// lane and becomes position V-1, in the register that was position 0.
func (g *ifma) nextFrame(w int) {
	g.op("VPSRLQ.Z", imm(digitBits), g.T, maskLane0, g.carry)
	g.op("VALIGNQ.Z", imm(1), g.T, g.T, maskNotTop, g.S[w])
	g.zero(g.P[w])
	if g.H[w] != g.S[w] {
		g.zero(g.H[w])
	}
}

// row is the digits of one lane of y: V of them, or fewer in the last.
func (g *ifma) row(first, last bool, digits int) {
	for w := range digits {
		earlier := 3
		if first {
			earlier = min(w, 3)
		}
		source := mem(regY, vectorBytes*w)
		if r := g.x(w); first && g.squaring && r[0] == 'Z' {
			source = r.xmm() // sooner there than a load of what was just stored
		}
		g.digit(w, source, earlier, last && w == digits-1)
	}
	if !last {
		g.op("ADDQ", imm(8), regY)
	}
}

// multiply is one product of x (registers and regX) and y (regY); it returns the
// registers with the normalized result.
func (g *ifma) multiply(label string) []operand {
	for i := range g.vectors {
		g.zero(g.P[i])
		g.zero(g.S[i])
		if g.H[i] != g.S[i] {
			g.zero(g.H[i])
		}
	}
	fullRows := (g.digits - 1) / g.vectors // rows before the last
	lastRow := g.digits - fullRows*g.vectors

	g.row(true, false, g.vectors)
	g.op("MOVQ", imm(fullRows-1), regRow)
	g.label(label)
	g.row(false, false, g.vectors)
	g.loop(regRow, label)
	g.row(false, true, lastRow)

	// Digit K-1: what is in T decides q, N itself reduces. From here q3 is q[K-3],
	// q2 is q[K-2].
	w := lastRow - 1
	q := g.q1
	g.comment("q of the last digit")
	g.op("VPBROADCASTQ", g.T.xmm(), g.carry)
	g.zero(q)
	g.op("VPMADD52LUQ.BCST", g.memK0(), g.carry, q)
	g.lo(g.memN(0), q, g.T)
	for p := 1; p < g.vectors; p++ {
		g.lo(g.memN(p), q, g.S[(w+p)%g.vectors])
	}
	g.nextFrame(w)

	g.comment("the high halves left over are frame K, the result")
	result := make([]operand, g.vectors)
	for p := range g.vectors {
		r := (w + 1 + p) % g.vectors
		switch {
		case !g.squaring || p > w:
			g.hi(g.x(p), g.y, g.P[r])
		case p == w:
			g.hi(g.x(p), g.y, g.S[r])
		}
		g.hi(g.m2(p), g.q3, g.H[r])
		g.hi(g.memM1(p), g.q2, g.H[r])
		g.hi(g.memN(p), q, g.S[r])
	}
	for p := range g.vectors {
		r := (w + 1 + p) % g.vectors
		g.sum(r, g.P[r])
		result[p] = g.P[r]
	}
	g.op("VPADDQ", g.carry, result[0], result[0])
	g.normalize(result)
	return result
}

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
	// The top digit carries into the next lane's vector 0. (Out of lane 7 there is no carry:
	// the value fits.)
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

// registerMap tells the reader of the .s file who is who.
func (g *ifma) registerMap() {
	fmt.Fprintf(g, "\n// %d bits: V = %d vectors, K = %d digits.\n//\n", g.bits, g.vectors, g.digits)
	list := func(name string, r ...operand) {
		if len(r) > 0 {
			fmt.Fprintf(g, "//\t%-12s %v\n", name, r)
		}
	}
	list("P", g.P...)
	list("S", g.S...)
	if g.H[0] != g.S[0] {
		list("H", g.H...)
	}
	list("q, new first", g.qNext, g.q1, g.q2, g.q3)
	list("y, previous", g.y, g.yPrev)
	list("carry", g.carry)
	list("T", g.T)
	list(fmt.Sprintf("M2[0:%d]", len(g.M2)), g.M2...)
	list(fmt.Sprintf("x[%d:%d]", g.vectors-len(g.X), g.vectors), g.X...)
	list("z, x, y", regZ, regX, regY)
	list("context", regContext)
	list("counters", regRow, regCount)
}
