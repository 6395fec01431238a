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
// x[i]*x[j] and x[j]*x[i] are one product. Digit i is of class w = i mod V, and position
// p of x is the vector of the digits of class p. Digit i is multiplied by the vectors p
// >= w only. Those with p > w stand for themselves and for the products of the vectors
// that are left out: they go to accumulators of their own, which are counted twice when
// their digit reaches position 0. Those with p = w come in both orders by themselves and
// are counted once. Same loop, same chain; 3V+1 instead of 4V multiply-adds per digit on
// average.
//
// # Normalization
//
// The lanes of t are below 2^61; the operands of VPMADD52 must be digits. One parallel
// pass (shift, mask, add to the next digit) leaves digits of at most 2^52-1 + 2^9, and a
// carry of 0 or 1 out of each. Let g be "digit > 2^52-1" and e be "digit = 2^52-1", as
// 8-bit masks of lanes, one pair per vector. Within a lane the carry runs from vector to
// vector: c = g | e & c. From lane to lane it ripples as in the binary addition 2G + E,
// where G says that a lane as a whole generates a carry, E that it propagates one (never
// both): the carries into the lanes are (2G + E) xor E.
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
	regLaneG, regLaneE   operand = "R8", "R9"   // whole lanes; then carries into a vector
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

// registerMap says in the .s file what each register holds.
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
