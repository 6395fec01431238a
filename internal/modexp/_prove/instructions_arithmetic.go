package prove

import "math/big"

// Arithmetic of general registers. ADCXQ writes CF only, ADOXQ writes OF only, DECQ
// keeps CF, MULXQ keeps all flags; what else is written and not tracked becomes
// undefined.
var arithmeticInstructions = map[string]func(*machine, []operand){
	"ADDQ": func(m *machine, a []operand) {
		if a[1].kind == general {
			switch m.get(a[1]).kind {
			case pointer:
				m.advance(a)
				return
			case bitString:
				m.addBits(a)
				return
			}
		}
		w, c := m.sum(m.wordIn(a[1]), m.word(a[0]), m.nothing)
		m.spoilFlags()
		m.cf = c
		m.setWord(a[1], w)
	},
	"ADCQ": func(m *machine, a []operand) {
		w, c := m.sum(m.wordIn(a[1]), m.word(a[0]), m.flag(m.cf))
		m.spoilFlags()
		m.cf = c
		m.setWord(a[1], w)
	},
	"ADCXQ": func(m *machine, a []operand) {
		w, c := m.sum(m.wordIn(a[1]), m.word(a[0]), m.flag(m.cf))
		m.cf = c
		m.setWord(a[1], w)
	},
	"ADOXQ": func(m *machine, a []operand) {
		w, c := m.sum(m.wordIn(a[1]), m.word(a[0]), m.flag(m.of))
		m.of = c
		m.setWord(a[1], w)
	},
	"SBBQ": func(m *machine, a []operand) {
		if a[0].kind == general && a[0].text == a[1].text {
			m.carryMask(a[0])
			return
		}
		w, c := m.difference(m.wordIn(a[1]), m.word(a[0]), m.flag(m.cf))
		m.spoilFlags()
		m.cf = c
		m.setWord(a[1], w)
	},
	"NEGQ": func(m *machine, a []operand) { // of 0, of a constant, or of a multiple of a bit
		n := m.wordIn(a[0])
		switch {
		case n.zero():
			m.spoilFlags()
			m.cf = n
		case n.constant():
			m.setWord(a[0], m.constant(new(big.Int).Sub(pow(64), n.lo), n.public))
			m.spoilFlags()
			m.cf = m.constant(one, n.public)
		case n.bit != nil:
			m.setWord(a[0], m.ofBit(n.bit, [2]*big.Int{nought, new(big.Int).Sub(pow(64), n.times)}, false))
			m.spoilFlags()
			m.cf = n.bit
		default:
			refuse("of more than a bit")
		}
	},
	"DECQ": func(m *machine, a []operand) {
		c := m.get(a[0])
		m.of = nil
		if c.kind == count {
			if c.downs++; c.downs > 1 {
				refuse("the count goes down twice in a turn")
			}
			m.set(a[0], c)
			m.zero = ofCount
			return
		}
		if c.kind != word || !c.number.constant() || !c.number.public || c.number.zero() {
			refuse("%s is no public count above 0", a[0].text)
		}
		left := new(big.Int).Sub(c.number.lo, one)
		m.setWord(a[0], m.constant(left, true))
		if m.zero = notZero; left.Sign() == 0 {
			m.zero = isZero
		}
	},
	"IMULQ": func(m *machine, a []operand) {
		low, _ := m.product(m.word(a[0]), m.wordIn(a[1]), 64)
		m.setWord(a[1], low)
		m.spoilFlags()
	},
	"MULXQ": func(m *machine, a []operand) { // by DX; the low half first
		if a[1].text == a[2].text {
			refuse("both halves in one register")
		}
		low, high := m.product(m.word(a[0]), m.word(operand{kind: general, text: "DX", reg: 3}), 64)
		m.setWord(a[1], low)
		m.setWord(a[2], high)
	},
}

// wordIn reads a destination, which must be a register: no instruction of the kernels
// computes in memory.
func (m *machine) wordIn(a operand) *number {
	if a.kind != general {
		refuse("%s is not a general register", a.text)
	}
	return m.word(a)
}

func (m *machine) flag(f *number) *number {
	if f == nil {
		refuse("it reads an undefined flag")
	}
	return f
}

// advance adds something public to a pointer.
func (m *machine) advance(a []operand) {
	n := m.word(a[0])
	if !n.public {
		refuse("an address from data")
	}
	c := m.get(a[1])
	c.offset += int64(n.lo.Uint64()) // modulo 2^64, as the processor adds
	m.set(a[1], c)
	m.spoilFlags()
}

// addBits adds conditions bit by bit, modulo 2^64.
func (m *machine) addBits(a []operand) {
	x, y := m.bitsOf(a[0]), m.bitsOf(a[1])
	b, carry := m.bdds, never
	for i := range y.bits {
		p, q := x.bits[i], y.bits[i]
		y.bits[i] = b.xor(b.xor(p, q), carry)
		carry = b.or(b.and(p, q), b.and(carry, b.or(p, q)))
	}
	y.public = x.public && y.public
	m.setBits(a[1], y)
	m.spoilFlags()
}

// carryMask is SBBQ r, r: CF becomes a mask, and stays.
func (m *machine) carryMask(a operand) {
	c := m.flag(m.cf)
	if !c.constant() && (c.bit == nil || c.times.Cmp(one) != 0) {
		refuse("CF is not known to be a bit")
	}
	cases := [2]*big.Int{nought, ones64}
	switch {
	case c.zero():
		cases[1] = nought
	case c.constant():
		cases[0] = ones64
	}
	m.setWord(a, m.ofBit(c.bit, cases, c.public))
	m.spoilFlags()
	m.cf = c
}
