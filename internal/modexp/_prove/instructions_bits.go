package prove

import "math/big"

// Bits of general registers, and mask registers.
var bitInstructions = map[string]func(*machine, []operand){
	"ANDQ": func(m *machine, a []operand) {
		// A word under a mask that is one bit: a product.
		if c := m.get(a[0]); c.kind == word && isMask(c.number) {
			m.setWord(a[1], m.masked(c.number, m.wordIn(a[1])))
			m.spoilFlags()
			return
		}
		m.bitwise(a, m.bdds.and)
	},
	"ORQ":  func(m *machine, a []operand) { m.bitwise(a, m.bdds.or) },
	"XORQ": func(m *machine, a []operand) { m.bitwise(a, m.bdds.xor) },
	"SHLQ": func(m *machine, a []operand) { m.shift(a, 1) },
	"SHRQ": func(m *machine, a []operand) { m.shift(a, -1) },
}

func (m *machine) bitwise(a []operand, f func(x, y bdd) bdd) {
	x, y := m.bitsOf(a[0]), m.bitsOf(a[1])
	for i := range y.bits {
		y.bits[i] = f(x.bits[i], y.bits[i])
	}
	y.public = x.public && y.public
	m.setBits(a[1], y)
	m.spoilFlags()
}

func (m *machine) shift(a []operand, direction int) {
	n := int(immediateOf(a[0]))
	if n <= 0 || n > 63 {
		refuse("a count outside of 1 to 63")
	}
	from := m.bitsOf(a[1])
	to := mask{public: from.public}
	for i := range to.bits {
		if j := i - direction*n; j >= 0 && j < 64 {
			to.bits[i] = from.bits[j]
		}
	}
	m.setBits(a[1], to)
	m.spoilFlags()
}

var maskInstructions = map[string]func(*machine, []operand){
	"KMOVB": func(m *machine, a []operand) {
		if a[0].kind != maskRegister {
			m.setMask(a[1], m.bitsOf(a[0]))
			return
		}
		b := m.maskOf(a[0])
		clear(b.bits[8:])
		m.setBits(a[1], b)
	},
	"KXORQ": func(m *machine, a []operand) { // as an idiom for 0
		same(a)
		m.setMask(a[0], mask{public: true})
	},
	"VPCMPUQ": func(m *machine, a []operand) { // 6: greater than
		requireImmediate(a[0], 6)
		m.compareLanes(a[1:], true)
	},
	"VPCMPEQQ": func(m *machine, a []operand) { m.compareLanes(a, false) },
	"VPTESTNMQ": func(m *machine, a []operand) { // a bit is 1 where x AND y = 0
		x, y := m.lanes(a[0]), m.lanes(a[1])
		k := mask{public: true}
		for i := range x {
			if !x[i].constant() || !y[i].constant() {
				refuse("a test of data")
			}
			k.public = k.public && public(x[i], y[i])
			if new(big.Int).And(x[i].lo, y[i].lo).Sign() == 0 {
				k.bits[i] = always
			}
		}
		m.setMask(a[2], k)
	},
}

// compareLanes compares the second operand with the first, which is constant.
func (m *machine) compareLanes(a []operand, greater bool) {
	limit, x := m.lanes(a[0]), m.lanes(a[1])
	k := mask{public: true}
	for i := range x {
		g, e := m.compare(x[i], limit[i])
		if k.bits[i] = e; greater {
			k.bits[i] = g
		}
		k.public = k.public && public(x[i], limit[i])
	}
	m.setMask(a[2], k)
}
