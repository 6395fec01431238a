package prove

import "math/big"

// SSE, on X0 to X15. The instructions on words of 32 bits are those of the ADX gather,
// which compares the secret index with a count: the proof runs once for each index.
var sseInstructions = map[string]func(*machine, []operand){
	"MOVOU": func(m *machine, a []operand) {
		v := m.half(a[0])
		if a[1].kind != memory {
			m.setHalf(a[1], v)
			return
		}
		if a[0].kind == memory {
			refuse("from memory to memory")
		}
		r, offset := m.address(a[1])
		m.store(r, offset, v[0])
		m.store(r, offset+8, v[1])
	},
	"PXOR": func(m *machine, a []operand) { // as an idiom for 0
		same(a)
		m.setHalf(a[0], [2]*number{m.nothing, m.nothing})
	},
	"PAND": func(m *machine, a []operand) {
		inRegisters(a)
		x, y := m.half(a[0]), m.half(a[1])
		m.setHalf(a[1], [2]*number{m.and(x[0], y[0]), m.and(x[1], y[1])})
	},
	"POR": func(m *machine, a []operand) {
		inRegisters(a)
		x, y := m.half(a[0]), m.half(a[1])
		m.setHalf(a[1], [2]*number{m.or(x[0], y[0]), m.or(x[1], y[1])})
	},
	"PSHUFD": func(m *machine, a []operand) {
		inRegisters(a)
		n, from, isPublic := immediateOf(a[0]), m.dwords(a[1]), m.publicHalf(a[1])
		if n < 0 || n > 255 {
			refuse("an immediate that is no byte")
		}
		var to [4]uint32
		for i := range to {
			to[i] = from[n>>(2*i)&3]
		}
		m.setDwords(a[2], to, isPublic)
	},
	"PADDL": func(m *machine, a []operand) {
		m.eachDword(a, func(x, y uint32) uint32 { return x + y })
	},
	"PCMPEQL": func(m *machine, a []operand) {
		m.eachDword(a, func(x, y uint32) uint32 {
			if x == y {
				return 1<<32 - 1
			}
			return 0
		})
	},
}

func (m *machine) eachDword(a []operand, f func(x, y uint32) uint32) {
	inRegisters(a)
	x, y := m.dwords(a[0]), m.dwords(a[1])
	isPublic := m.publicHalf(a[0]) && m.publicHalf(a[1])
	for i := range y {
		y[i] = f(x[i], y[i])
	}
	m.setDwords(a[1], y, isPublic)
}

func (m *machine) publicHalf(a operand) bool {
	v := m.half(a)
	return public(v[:]...)
}

func (m *machine) dwords(a operand) (d [4]uint32) {
	for i, n := range m.half(a) {
		if !n.constant() {
			refuse("%s is data", a.text)
		}
		v := n.lo.Uint64()
		d[2*i], d[2*i+1] = uint32(v), uint32(v>>32)
	}
	return d
}

func (m *machine) setDwords(a operand, d [4]uint32, public bool) {
	var v [2]*number
	for i := range v {
		w := uint64(d[2*i]) | uint64(d[2*i+1])<<32
		v[i] = m.constant(new(big.Int).SetUint64(w), public)
	}
	m.setHalf(a, v)
}
