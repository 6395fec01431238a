package prove

import "maps"

// operands is the table of instructions: how many operands each may have. What an
// instruction is not known to do with its operands, it refuses.
var operands = func() map[string][]int {
	t := map[string][]int{"RET": {0}, "JNZ": {1}, "JZ": {1}}
	for op := range semantics {
		t[op] = []int{operandCount[op]}
	}
	t["VPSUBQ"] = []int{3, 4}
	return t
}()

var operandCount = map[string]int{
	"MOVQ": 2, "XORL": 2, "ADDQ": 2, "ADCQ": 2, "ADCXQ": 2, "ADOXQ": 2, "SBBQ": 2, "NEGQ": 1, "DECQ": 1,
	"IMULQ": 2, "MULXQ": 3, "ANDQ": 2, "ORQ": 2, "XORQ": 2, "SHLQ": 2, "SHRQ": 2,
	"KMOVB": 2, "KXORQ": 3,
	"MOVOU": 2, "PXOR": 2, "PAND": 2, "POR": 2, "PSHUFD": 3, "PADDL": 2, "PCMPEQL": 2,
	"VMOVDQU64": 2, "VMOVDQA64": 2, "VPBROADCASTQ": 2, "VPMADD52LUQ": 3, "VPMADD52HUQ": 3, "VPMADD52LUQ.BCST": 3,
	"VPADDQ": 3, "VPSUBQ": 3, "VPSRLQ": 3, "VPSRLQ.Z": 4, "VALIGNQ.Z": 5, "VPANDQ": 3, "VPTERNLOGQ": 4,
	"VPCMPUQ": 4, "VPCMPEQQ": 3, "VPTESTNMQ": 3, "VPMOVM2Q": 2, "VPXORQ": 3, "VPXOR": 3, "VZEROUPPER": 0,
}

// semantics says what each instruction does (Intel SDM, volume 2). TestHardware compares
// every form that occurs in the kernels with the processor.
var semantics = merge(
	map[string]func(m *machine, a []operand){
		"MOVQ": (*machine).move,
		"XORL": func(m *machine, a []operand) { // as an idiom for 0
			same(a)
			m.setWord(a[0], m.nothing)
			m.clearFlags()
		},
	},
	arithmeticInstructions, bitInstructions, vectorInstructions, maskInstructions, sseInstructions,
)

func merge(tables ...map[string]func(*machine, []operand)) map[string]func(*machine, []operand) {
	all := map[string]func(*machine, []operand){}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

func (m *machine) step(in instruction) { semantics[in.op](m, in.args) }

// same refuses operands that are not all the same register: the instruction is used to
// set it to 0, and does not read it.
func same(a []operand) {
	for _, x := range a[1:] {
		if x.text != a[0].text {
			refuse("of different registers")
		}
	}
}

// immediateOf reads an immediate.
func immediateOf(a operand) int64 {
	if a.kind != immediate {
		refuse("%s is not an immediate", a.text)
	}
	return a.value
}

func requireImmediate(a operand, want int64) {
	if immediateOf(a) != want {
		refuse("an immediate other than %d", want)
	}
}

// move is MOVQ between general registers, memory, arguments, immediates and the lower
// half of X registers.
func (m *machine) move(a []operand) {
	from, to := a[0], a[1]
	switch {
	case to.kind == argument:
		if c := m.argument(to); c.kind != undefined {
			refuse("a store to an argument")
		}
		m.results[to.name] = m.word(from)
	case to.kind == memory:
		r, offset := m.address(to)
		m.store(r, offset, m.word(from))
	case to.kind == vector128: // lane 1 becomes 0
		m.setHalf(to, [2]*number{m.word(from), m.nothing})
	case from.kind == vector128:
		m.setWord(to, m.half(from)[0])
	case from.kind == argument:
		c := m.argument(from)
		if c.kind == undefined {
			refuse("a result is read")
		}
		m.set(to, c)
	case from.kind == general:
		m.set(to, m.get(from))
	default:
		m.setWord(to, m.word(from))
		if from.kind == immediate && from.value == 0 {
			m.spoilFlags() // an assembler may make XORL of it
		}
	}
}
