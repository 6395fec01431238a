package prove

import "math/big"

// AVX-512, on 8 lanes of 64 bits.
var vectorInstructions = map[string]func(*machine, []operand){
	"VMOVDQU64": (*machine).moveVector,
	"VMOVDQA64": func(m *machine, a []operand) {
		inRegisters(a)
		m.moveVector(a)
	},
	"VPBROADCASTQ": func(m *machine, a []operand) {
		var n *number
		switch a[0].kind {
		case vector128: // EVEX: any of X0 to X31
			n = m.defined(m.vector[a[0].reg][0])
		case general, memory:
			n = m.word(a[0])
		default:
			refuse("%s cannot be spread over lanes", a[0].text)
		}
		m.setLanes(a[1], spread(n))
	},
	"VPMADD52LUQ": func(m *machine, a []operand) { m.multiplyAdd(m.lanes(a[0]), a, false) },
	"VPMADD52HUQ": func(m *machine, a []operand) { m.multiplyAdd(m.lanes(a[0]), a, true) },
	"VPMADD52LUQ.BCST": func(m *machine, a []operand) {
		m.multiplyAdd(spread(m.load(m.address(a[0]))), a, false)
	},
	"VPADDQ": func(m *machine, a []operand) {
		x, y := m.lanes(a[0]), m.lanes(a[1])
		for i := range x {
			x[i] = m.addLane(x[i], y[i])
		}
		m.setLanes(a[2], x)
	},
	"VPSUBQ":    (*machine).subtractLanes,
	"VPSRLQ":    (*machine).shiftLanes,
	"VPSRLQ.Z":  (*machine).shiftLanes,
	"VALIGNQ.Z": (*machine).align,
	"VPANDQ": func(m *machine, a []operand) { // with 2^52-1: modulo 2^52
		x, y := m.lanes(a[0]), m.lanes(a[1])
		for i := range x {
			if !x[i].is(ones52) {
				refuse("a mask other than 2^52-1")
			}
			x[i], _ = m.split(y[i])
		}
		m.setLanes(a[2], x)
	},
	"VPTERNLOGQ": (*machine).ternary,
	"VPMOVM2Q": func(m *machine, a []operand) {
		k := m.maskOf(a[0])
		var v [8]*number
		for i := range v {
			switch k.bits[i] {
			case never:
				v[i] = m.constant(nought, k.public)
			case always:
				v[i] = m.constant(ones64, k.public)
			default:
				refuse("a mask from data")
			}
		}
		m.setLanes(a[1], v)
	},
	"VPXORQ": func(m *machine, a []operand) { // as an idiom for 0
		same(a)
		m.setLanes(a[0], spread(m.nothing))
	},
	"VPXOR": func(m *machine, a []operand) { // as an idiom for 0: VEX, so all 512 bits
		same(a)
		m.sse(a[0])
		m.vector[a[0].reg] = spread(m.nothing)
	},
	"VZEROUPPER": func(m *machine, _ []operand) { // bits 128 and up of registers 0 to 15
		for r := range 16 {
			for lane := 2; lane < 8; lane++ {
				m.vector[r][lane] = m.nothing
			}
		}
		m.dirtyUpper = false
	},
}

// inRegisters refuses operands in memory, which would have to be aligned.
func inRegisters(a []operand) {
	for _, x := range a {
		if x.kind == memory {
			refuse("%s need not be aligned", x.text)
		}
	}
}

func spread(n *number) (v [8]*number) {
	for i := range v {
		v[i] = n
	}
	return v
}

func (m *machine) moveVector(a []operand) {
	v := m.lanes(a[0])
	if a[1].kind != memory {
		m.setLanes(a[1], v)
		return
	}
	if a[0].kind == memory {
		refuse("from memory to memory")
	}
	r, offset := m.address(a[1])
	for i := range v {
		m.store(r, offset+8*int64(i), v[i])
	}
}

// multiplyAdd multiplies bits 0 to 51 of the factors; half of the product is added.
func (m *machine) multiplyAdd(x [8]*number, a []operand, highHalf bool) {
	y, sum := m.lanes(a[1]), m.lanes(a[2])
	for i := range sum {
		p, _ := m.split(x[i])
		q, _ := m.split(y[i])
		low, high := m.product(p, q, 52)
		if highHalf {
			low = high
		}
		sum[i] = m.addLane(sum[i], low)
	}
	m.setLanes(a[2], sum)
}

// addLane refuses a sum that could exceed the lane.
func (m *machine) addLane(x, y *number) *number {
	sum, carry := m.sum(x, y, m.nothing)
	if !carry.zero() {
		refuse("a lane could overflow")
	}
	if m.laneLimit != nil && sum.hi.Cmp(m.laneLimit) >= 0 {
		refuse("a lane could reach 2^%d", sum.hi.BitLen()-1)
	}
	return sum
}

// subtractLanes subtracts constants from constants, or -1 under a mask: that is the
// addition of the mask's bits. The destination is one of the operands then.
func (m *machine) subtractLanes(a []operand) {
	s, v := m.lanes(a[0]), m.lanes(a[1])
	masked := len(a) == 4
	var k mask
	if masked {
		if k = m.writeMask(a[2]); a[1].text != a[3].text {
			refuse("lanes without a mask bit must keep their value")
		}
	}
	for i := range v {
		if !masked {
			if !s[i].constant() || !v[i].constant() {
				refuse("of data")
			}
			v[i], _ = m.difference(v[i], s[i], m.nothing)
			continue
		}
		if !s[i].is(ones64) {
			refuse("of something other than -1")
		}
		bit := m.numberOf(k.bits[i])
		n := m.addLane(v[i], bit)
		if n != v[i] && !n.constant() {
			n.base, n.plus = v[i], k.bits[i]
		}
		v[i] = n
	}
	m.setLanes(a[len(a)-1], v)
}

// writeMask reads a mask operand: K0 would mean that there is none.
func (m *machine) writeMask(a operand) mask {
	if a.reg == 0 {
		refuse("K0 is not a mask")
	}
	return m.maskOf(a)
}

// zeroing reads a mask that says which lanes become 0. It must not depend on data.
func (m *machine) zeroing(a operand) mask {
	k := m.writeMask(a)
	if !k.public {
		refuse("a mask from data")
	}
	return k
}

// shiftLanes shifts by 52: the quotient.
func (m *machine) shiftLanes(a []operand) {
	requireImmediate(a[0], 52)
	if len(a) == 3 && m.atShift != nil {
		at := m.atShift
		m.atShift = nil
		m.must(at(m.shifted()))
	}
	v := m.lanes(a[1])
	k := mask{bits: [64]bdd(filled(always))}
	if len(a) == 4 {
		k = m.zeroing(a[2])
	}
	for i := range v {
		if k.bits[i] == never {
			v[i] = m.nothing
		} else {
			_, v[i] = m.split(v[i])
		}
	}
	m.setLanes(a[len(a)-1], v)
}

func filled(f bdd) []bdd {
	v := make([]bdd, 64)
	for i := range v {
		v[i] = f
	}
	return v
}

// shifted are the registers that this and the following instructions shift.
func (m *machine) shifted() (registers []int) {
	for _, in := range m.f.body[m.pc:] {
		if in.op != "VPSRLQ" || in.args[1].kind != vector512 {
			break
		}
		registers = append(registers, in.args[1].reg)
	}
	return registers
}

// align takes 8 consecutive lanes of 16, the second operand below the third.
func (m *machine) align(a []operand) {
	n := immediateOf(a[0])
	if n < 0 || n > 7 {
		refuse("a count outside of 0 to 7")
	}
	low, high, k := m.lanes(a[1]), m.lanes(a[2]), m.zeroing(a[3])
	var v [8]*number
	for i := range v {
		switch j := i + int(n); {
		case k.bits[i] == never:
			v[i] = m.nothing
		case j < 8:
			v[i] = low[j]
		default:
			v[i] = high[j-8]
		}
	}
	m.setLanes(a[4], v)
}

// ternary: bit 4a+2b+c of the immediate is the result for bit a of the destination, b of
// the third operand, c of the second. 0xff is all ones, 0xf8 is a OR (b AND c).
func (m *machine) ternary(a []operand) {
	switch immediateOf(a[0]) {
	case 0xff:
		same(a[1:])
		m.setLanes(a[3], spread(m.constant(ones64, true)))
	case 0xf8:
		x, y, z := m.lanes(a[1]), m.lanes(a[2]), m.lanes(a[3])
		for i := range z {
			z[i] = m.or(z[i], m.and(y[i], x[i]))
		}
		m.setLanes(a[3], z)
	default:
		refuse("a function of three bits that is not in the table")
	}
}

// and is bitwise, where one operand is all ones or 0.
func (m *machine) and(x, y *number) *number {
	switch {
	case x.zero() || y.zero():
		return m.zeroOf(x, y)
	case x.is(ones64):
		return m.hide(y, x)
	case y.is(ones64):
		return m.hide(x, y)
	case x.constant() && y.constant():
		return m.constant(new(big.Int).And(x.lo, y.lo), public(x, y))
	}
	refuse("AND of data")
	return nil
}

// or is bitwise, where one operand is 0.
func (m *machine) or(x, y *number) *number {
	switch {
	case x.zero():
		return m.hide(y, x)
	case y.zero():
		return m.hide(x, y)
	}
	refuse("OR of data")
	return nil
}
