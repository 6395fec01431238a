package prove

import (
	"errors"
	"fmt"
	"math/big"
)

// machine is the part of the processor that the kernels use, holding numbers of a domain
// where the processor holds words.
//
// What no instruction has set is undefined: reading it is refused. There is one path
// for all data: an address must be a pointer from the arguments plus constants, and a
// jump must follow DECQ of a public count.
type machine struct {
	*domain
	f *function

	general [14]content
	vector  [32][8]*number // nil is undefined
	mask    [8]mask
	cf, of  *number // nil is undefined
	zero    zeroFlag

	arguments map[string]content
	offsets   map[string]int64
	results   map[string]*number

	pc         int
	stored     bool // something was
	lateLoads  int  // loads after the first store
	dirtyUpper bool // a Z register was written since the last VZEROUPPER
	lane       *big.Int
	laneLimit  *big.Int // lanes must stay below it; nil: 2^64

	// atShift is called before the first shift of vectors without a mask, where the
	// normalization of the IFMA kernels begins, with the registers to be shifted.
	atShift func(registers []int) error
	// atLabel is called when a label is reached, atTurn at a jump on an unknown count.
	atLabel map[string]func() error
	atTurn  func() error
}

// content is what a general register holds.
type content struct {
	kind   contentKind
	number *number
	region *region
	offset int64
	bits   mask
	downs  int // DECQs of a count since the loop began
}

type contentKind int

const (
	undefined contentKind = iota
	word
	pointer   // to a byte of a region
	bitString // 64 conditions
	count     // public, at least 1, otherwise unknown
)

// mask is 64 conditions.
type mask struct {
	set    bool
	public bool
	bits   [64]bdd
}

type zeroFlag int

const (
	unknown zeroFlag = iota
	isZero
	notZero
	ofCount // whether the count got 0
)

// region is what a pointer argument points to.
type region struct {
	name     string
	words    []*number // nil is undefined
	writable bool
}

// refusal ends a run: the function is not proved.
type refusal struct{ error }

func refuse(format string, a ...any) { panic(refusal{fmt.Errorf(format, a...)}) }

func newMachine(d *domain, f *function) *machine {
	return &machine{
		domain: d, f: f, lane: new(big.Int),
		arguments: map[string]content{}, offsets: map[string]int64{}, results: map[string]*number{},
		atLabel: map[string]func() error{},
	}
}

// pass sets the next argument.
func (m *machine) pass(name string, c content) {
	m.offsets[name] = int64(8 * len(m.offsets))
	m.arguments[name] = c
}

func pointerTo(r *region) content { return content{kind: pointer, region: r} }
func wordOf(n *number) content    { return content{kind: word, number: n} }

const maxSteps = 1_000_000

// run executes the function to its RET.
func (m *machine) run() (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case refusal:
			err = r.error
			if m.pc < len(m.f.body) {
				in := m.f.body[m.pc]
				err = fmt.Errorf("%s, line %d: %s: %w", m.f.name, in.line, in, r.error)
			}
		default:
			panic(r)
		}
	}()
	if want := 8 * len(m.offsets); m.f.arguments != want {
		refuse("%d bytes of arguments, not %d", m.f.arguments, want)
	}
	labels := map[int][]string{}
	for l, i := range m.f.labels {
		labels[i] = append(labels[i], l)
	}
	for range maxSteps {
		if m.pc >= len(m.f.body) {
			refuse("no RET at the end of %s", m.f.name)
		}
		for _, l := range labels[m.pc] {
			if at := m.atLabel[l]; at != nil {
				m.must(at())
			}
		}
		in := m.f.body[m.pc]
		m.f.reached[m.pc] = true
		switch in.op {
		case "RET":
			return nil
		case "JNZ", "JZ":
			if m.taken(in) {
				at, ok := m.f.labels[in.args[0].name]
				if !ok {
					refuse("no such label")
				}
				m.pc = at
				continue
			}
		default:
			m.step(in)
		}
		m.pc++
	}
	return errors.New("it does not end")
}

func (m *machine) must(err error) {
	if err != nil {
		panic(refusal{err})
	}
}

func (m *machine) taken(in instruction) bool {
	if in.args[0].kind != target {
		refuse("not a label")
	}
	switch m.zero {
	case isZero:
		return in.op == "JZ"
	case notZero:
		return in.op == "JNZ"
	case ofCount:
		// The state after the jump and after the fall-through is the same but for the
		// count, and atTurn proves that it is the state at the label again.
		if in.op != "JNZ" || m.atTurn == nil {
			refuse("it does not run as often as the count says")
		}
		m.must(m.atTurn())
		return false
	}
	refuse("a branch on data")
	return false
}

// ---- memory

func (m *machine) address(a operand) (*region, int64) {
	c := m.general[a.reg]
	if a.kind != memory || c.kind != pointer {
		refuse("%s is not an address made of an argument and constants", a.text)
	}
	return c.region, c.offset + a.value
}

func (r *region) at(offset int64) int64 {
	if offset < 0 || offset%8 != 0 || offset/8 >= int64(len(r.words)) {
		refuse("byte %d is outside of %s, which has %d", offset, r.name, 8*len(r.words))
	}
	return offset / 8
}

func (m *machine) load(r *region, offset int64) *number {
	n := r.words[r.at(offset)]
	if n == nil {
		refuse("byte %d of %s is read before it is set", offset, r.name)
	}
	if m.stored {
		m.lateLoads++
	}
	return n
}

func (m *machine) store(r *region, offset int64, n *number) {
	i := r.at(offset)
	if !r.writable {
		refuse("a store to %s", r.name)
	}
	m.defined(n)
	m.stored = true
	r.words[i] = n
}

// ---- registers

// stale marks what a register holds from an earlier turn of a loop: it must not be read,
// and not be left.
var stale = &number{name: "stale", lo: nought, hi: ones64, atom: true}

func (m *machine) defined(n *number) *number {
	if n == nil || n == stale {
		refuse("it reads something undefined")
	}
	return n
}

func (m *machine) get(a operand) content {
	if a.kind != general {
		refuse("%s is not a general register", a.text)
	}
	c := m.general[a.reg]
	if c.kind == undefined || c.kind == word && c.number == stale {
		refuse("%s is undefined", a.text)
	}
	return c
}

func (m *machine) set(a operand, c content) {
	if a.kind != general {
		refuse("%s is not a general register", a.text)
	}
	m.general[a.reg] = c
}

func (m *machine) setWord(a operand, n *number) { m.set(a, wordOf(n)) }

// word reads 64 bits: of an immediate, a register, memory or an argument.
func (m *machine) word(a operand) *number {
	switch a.kind {
	case immediate:
		return m.constant(new(big.Int).And(big.NewInt(a.value), ones64), true)
	case memory:
		return m.load(m.address(a))
	case argument:
		if c := m.argument(a); c.kind == word {
			return c.number
		}
		refuse("%s is not a number", a.text)
	}
	c := m.get(a)
	if c.kind == bitString {
		if n := m.constantBits(c.bits); n != nil {
			return n
		}
	}
	if c.kind != word {
		refuse("%s does not hold a number", a.text)
	}
	return c.number
}

func (m *machine) argument(a operand) content {
	c, ok := m.arguments[a.name]
	if a.kind != argument || !ok || m.offsets[a.name] != a.value {
		refuse("there is no argument %s", a.text)
	}
	return c
}

// constantBits is the number that the bits are, or nil if they depend on data.
func (m *machine) constantBits(b mask) *number {
	v := new(big.Int)
	for i, f := range b.bits {
		if f > always {
			return nil
		}
		v.SetBit(v, i, uint(f))
	}
	return m.constant(v, b.public)
}

// bitsOf reads a general register or an immediate as 64 conditions.
func (m *machine) bitsOf(a operand) mask {
	if a.kind == general && m.get(a).kind == bitString {
		return m.get(a).bits
	}
	n := m.word(a)
	if !n.constant() {
		refuse("%s is not a mask", a.text)
	}
	b := mask{set: true, public: n.public}
	for i := range b.bits {
		b.bits[i] = bdd(n.lo.Bit(i))
	}
	return b
}

func (m *machine) setBits(a operand, b mask) {
	b.set = true
	m.set(a, content{kind: bitString, bits: b})
}

func (m *machine) maskOf(a operand) mask {
	if a.kind != maskRegister || !m.mask[a.reg].set {
		refuse("%s is no mask that was set", a.text)
	}
	return m.mask[a.reg]
}

// setMask writes what the byte instructions write: the upper bits become 0.
func (m *machine) setMask(a operand, b mask) {
	if a.kind != maskRegister {
		refuse("%s is not a mask register", a.text)
	}
	clear(b.bits[8:])
	b.set = true
	m.mask[a.reg] = b
}

// lanes reads 8 words, of a Z register or of memory.
func (m *machine) lanes(a operand) (v [8]*number) {
	switch a.kind {
	case memory:
		r, offset := m.address(a)
		for i := range v {
			v[i] = m.load(r, offset+8*int64(i))
		}
	case vector512:
		for i, n := range m.vector[a.reg] {
			v[i] = m.defined(n)
		}
	default:
		refuse("%s is no vector of 512 bits", a.text)
	}
	return v
}

func (m *machine) setLanes(a operand, v [8]*number) {
	if a.kind != vector512 {
		refuse("%s is not a Z register", a.text)
	}
	m.dirtyUpper = true
	m.vector[a.reg] = v
	for _, n := range v {
		if n.hi.Cmp(m.lane) > 0 && !n.constant() {
			m.lane = n.hi
		}
	}
}

// half reads lane 0 and 1, of an X register or of memory.
func (m *machine) half(a operand) (v [2]*number) {
	switch a.kind {
	case memory:
		r, offset := m.address(a)
		return [2]*number{m.load(r, offset), m.load(r, offset+8)}
	case vector128:
		m.sse(a)
		return [2]*number{m.defined(m.vector[a.reg][0]), m.defined(m.vector[a.reg][1])}
	}
	refuse("%s is no vector of 128 bits", a.text)
	return v
}

// setHalf writes an X register as SSE instructions do: the lanes above stay.
func (m *machine) setHalf(a operand, v [2]*number) {
	m.sse(a)
	m.vector[a.reg][0], m.vector[a.reg][1] = v[0], v[1]
}

// sse: the encoding of SSE instructions reaches X0 to X15.
func (m *machine) sse(a operand) {
	if a.kind != vector128 || a.reg > 15 {
		refuse("%s is not one of X0 to X15", a.text)
	}
}

func (m *machine) spoilFlags() { m.cf, m.of, m.zero = nil, nil, unknown }

func (m *machine) clearFlags() { m.cf, m.of, m.zero = m.nothing, m.nothing, unknown }

// leavesNothing checks what a function returns with: registers that hold 0, something
// public, or what they held before; no carry in a flag; and no dirty upper halves, which
// would slow down the SSE instructions of the caller.
func (m *machine) leavesNothing() error {
	for r, c := range m.general {
		secret := c.kind == bitString || c.kind == word && !c.number.public && !c.number.zero()
		if secret {
			return fmt.Errorf("%s is not cleared", generals[r])
		}
	}
	for r, v := range m.vector {
		for _, n := range v {
			if n != nil && !n.zero() {
				return fmt.Errorf("vector register %d is not cleared", r)
			}
		}
	}
	for r, k := range m.mask {
		if k.set && k.bits != [64]bdd{} {
			return fmt.Errorf("mask K%d is not cleared", r)
		}
	}
	for _, flag := range []*number{m.cf, m.of} {
		if flag == nil || !flag.constant() {
			return errors.New("the flags are not cleared")
		}
	}
	if m.dirtyUpper {
		return errors.New("there is no VZEROUPPER before RET")
	}
	return nil
}
