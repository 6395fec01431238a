package main

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

// nextFrame moves on by one digit: the carry out of lane 0 of T is kept, T moves down
// by one lane and becomes position V-1, in the register that was position 0.
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
