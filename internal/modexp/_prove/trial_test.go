package prove

import (
	"math/big"
	"math/rand/v2"
	"slices"
)

// trial is one instruction on one state: as the verifier sees it, with numbers that
// stand for many inputs, and as the processor sees it, for one input.
type trial struct {
	r      *rand.Rand
	m      *machine
	memory *region
	inputs map[*number]*big.Int
	base   map[*region]uint64
}

// wordKinds are the ways in which the rules treat numbers differently.
const wordKinds = 12

func (s *trial) word(kind int) *number {
	d := s.m.domain
	atom := func(hi *big.Int) *number {
		n := d.input("input", hi)
		s.inputs[n] = edge(s.r, hi)
		return n
	}
	switch kind {
	case 0:
		return d.constant(edge(s.r, ones64), s.r.IntN(2) == 0)
	case 1:
		return d.constant(edge(s.r, big.NewInt(3)), s.r.IntN(2) == 0)
	case 2:
		return d.constant(ones64, true)
	case 3:
		return d.constant(ones52, true)
	case 4:
		return atom(ones64)
	case 5:
		return atom(ones(60))
	case 6, 7:
		return atom(ones52)
	case 8: // a mask
		return d.ofBit(atom(one), [2]*big.Int{nought, ones64}, false)
	case 9:
		return d.constant(nought, s.r.IntN(2) == 0)
	case 10: // a digit that was compared
		n := atom(ones(53))
		d.compare(n, d.constant(ones52, true))
		return n
	default: // a digit with a carry added
		n := atom(new(big.Int).Sub(ones(53), one))
		f := s.condition()
		sum := s.m.addLane(n, d.numberOf(f))
		if sum != n {
			sum.base, sum.plus = n, f
		}
		return sum
	}
}

func (s *trial) condition() bdd {
	switch s.r.IntN(6) {
	case 0:
		return never
	case 1:
		return always
	}
	truth := s.r.IntN(2) == 0
	return s.m.newVariable(func(value) bool { return truth })
}

// lanes draws 8 words, mostly of one kind.
func (s *trial) lanes() (v [8]*number) {
	kind := s.r.IntN(wordKinds)
	if s.r.IntN(3) == 0 {
		kind = []int{2, 9}[s.r.IntN(2)] // ones or zeros
	}
	for i := range v {
		if v[i] = s.word(kind); s.r.IntN(60) == 0 {
			v[i] = s.word(s.r.IntN(wordKinds))
		}
	}
	return v
}

// mask draws conditions: known to everybody, or from data. Bits above the eighth occur.
func (s *trial) mask() mask {
	k := mask{set: true, public: s.r.IntN(2) == 0}
	n := []int{8, 8, 64}[s.r.IntN(3)]
	for i := range n {
		if k.public {
			k.bits[i] = bdd(s.r.IntN(2))
		} else {
			k.bits[i] = s.condition()
		}
	}
	return k
}

func (s *trial) content() content {
	switch s.r.IntN(6) {
	case 0, 1:
		return content{kind: bitString, bits: s.mask()}
	case 2:
		region := &region{name: "elsewhere"}
		s.base[region] = s.r.Uint64()
		return content{kind: pointer, region: region, offset: 8 * s.r.Int64N(100)}
	default:
		return wordOf(s.word(s.r.IntN(wordKinds)))
	}
}

func newTrial(r *rand.Rand, form instruction) *trial {
	f := &function{name: "form", body: []instruction{form}, reached: make([]bool, 1)}
	s := &trial{r: r, m: newMachine(newDomain(), f), inputs: map[*number]*big.Int{}, base: map[*region]uint64{}}
	s.memory = &region{name: "memory", words: make([]*number, 8), writable: true}
	v := s.lanes()
	copy(s.memory.words, v[:])
	for i := range 4 {
		s.m.vector[i] = s.lanes()
		s.m.general[i] = s.content()
		if i > 0 {
			s.m.mask[i] = s.mask()
		}
	}
	s.m.general[slices.Index(generals, "SI")] = pointerTo(s.memory)
	flag := func() *number {
		if r.IntN(2) == 0 {
			return s.m.constant(big.NewInt(r.Int64N(2)), false)
		}
		n := s.m.input("flag", one)
		s.inputs[n] = big.NewInt(r.Int64N(2))
		return n
	}
	s.m.cf, s.m.of = flag(), flag()
	return s
}

// runOne executes the only instruction.
func (m *machine) runOne() (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case refusal:
			err = r
		default:
			panic(r)
		}
	}()
	m.step(m.f.body[0])
	return nil
}
