package prove

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
)

// proveMul: ifmaMul(z, x, y, context) sets z to digits of a number below 4N with
//
//	R*z = x*y + (a multiple of N),
//
// for all x, y <= 4N. z may be x or y, or overlap them in any way: nothing is loaded
// after the first store.
func (s shape) proveMul(f *function) (facts, error) {
	d := newDomain()
	p := &ifmaProof{shape: s, machine: newMachine(d, f), context: s.context(d)}
	p.laneLimit, p.atShift = laneBound, p.cut
	var x, y []*number
	x, p.x = s.number(d, "x")
	y, p.y = s.number(d, "y")
	z := &region{name: "z", words: make([]*number, s.words()), writable: true}
	p.pass("z", pointerTo(z))
	p.pass("x", pointerTo(&region{name: "x", words: x}))
	p.pass("y", pointerTo(&region{name: "y", words: y}))
	p.pass("context", pointerTo(&region{name: "context", words: p.context.words}))
	if err := p.run(); err != nil {
		return facts{}, err
	}
	if p.lateLoads > 0 {
		return facts{}, errors.New("a load follows a store: z could not be x or y")
	}
	if err := p.normalized(z.words); err != nil {
		return facts{}, err
	}
	return p.facts(z.words), p.leavesNothing()
}

// proveSqr: ifmaSqr(z, context, n) does n times, n >= 1, what Mul does with x = y = z.
//
// The proof is of one turn, from any state in which the loop can be entered: z has any
// digits, and a register holds the same as when the loop was reached first, or a vector
// of z, or nothing that may be read. At the end of the turn it proves that this is so
// again. The only jump back depends on the count, which goes down once in a turn.
func (s shape) proveSqr(f *function) (facts, error) {
	d := newDomain()
	p := &ifmaProof{shape: s, machine: newMachine(d, f), context: s.context(d)}
	p.laneLimit = laneBound
	l := &sqrLoop{ifmaProof: p}
	words, _ := s.number(d, "first z")
	l.z = &region{name: "z", words: words, writable: true}
	p.pass("z", pointerTo(l.z))
	p.pass("context", pointerTo(&region{name: "context", words: p.context.words}))
	p.pass("n", content{kind: count})
	p.atLabel["again"], p.atTurn = l.enter, l.turn
	if err := p.run(); err != nil {
		return facts{}, err
	}
	if !l.turned {
		return facts{}, errors.New("there is no loop")
	}
	return p.facts(l.z.words), p.leavesNothing()
}

// sqrLoop is what holds at the label again.
type sqrLoop struct {
	*ifmaProof
	z               *region
	ofZ             map[int]int        // vector registers that hold a vector of z
	same            map[int][8]*number // vector registers that keep their value
	masks           [8]mask
	general         map[int]content
	entered, turned bool
}

// enter reads the invariant from the state in which the loop is first reached, which so
// satisfies it, and forgets everything else.
func (l *sqrLoop) enter() error {
	if l.entered {
		return errors.New("the loop is entered twice")
	}
	l.entered = true
	l.ofZ, l.same, l.general = map[int]int{}, map[int][8]*number{}, map[int]content{}
	z := func(p int) [8]*number { return [8]*number(l.z.words[8*p:]) }
	for r, v := range l.vector {
		if v == [8]*number{} {
			continue
		}
		l.same[r] = v
		for p := range l.vectors {
			if v == z(p) {
				l.ofZ[r] = p
				delete(l.same, r)
			}
		}
	}
	for r, c := range l.machine.general {
		switch c.kind {
		case undefined:
		case pointer, count:
			l.general[r] = c
		default:
			l.machine.general[r] = wordOf(stale)
		}
	}
	l.masks = l.mask
	l.spoilFlags()
	words, digits := l.number(l.domain, "z")
	copy(l.z.words, words)
	l.x, l.y = digits, digits
	for r, p := range l.ofZ {
		l.vector[r] = z(p)
	}
	l.atShift = l.cut
	return nil
}

// turn proves that z is the result, and that the invariant holds again.
func (l *sqrLoop) turn() error {
	if l.turned || !l.entered {
		return errors.New("the loop is not the squaring")
	}
	l.turned = true
	if at := l.f.labels[l.f.body[l.pc].args[0].name]; at != l.f.labels["again"] {
		return errors.New("it jumps to somewhere else")
	}
	if err := l.normalized(l.z.words); err != nil {
		return err
	}
	for r, p := range l.ofZ {
		if l.vector[r] != [8]*number(l.z.words[8*p:]) {
			return fmt.Errorf("after a turn Z%d is not vector %d of z", r, p)
		}
	}
	for r, v := range l.same {
		if l.vector[r] != v {
			return fmt.Errorf("register Z%d changes in a turn", r)
		}
	}
	for r, k := range l.masks {
		if k.set && l.mask[r] != k {
			return fmt.Errorf("mask K%d changes in a turn", r)
		}
	}
	for r, before := range l.general {
		after := l.machine.general[r]
		if before.kind == count {
			if after.downs != 1 {
				return errors.New("the count does not go down in a turn")
			}
			after.downs = 0
		}
		if after != before {
			return fmt.Errorf("%s changes in a turn", generals[r])
		}
	}
	return nil
}

// gatherEntries is the number of entries of a table.
const gatherEntries = 32

// proveGather: ifmaGather(z, table, index) sets z = table[index], for a table of any
// words and each index below 32. The index is secret: one proof for each, on the same
// path.
func (s shape) proveGather(f *function) (facts, error) {
	return proveGather(f, s.words(), nil)
}

func proveGather(f *function, size int, more func(*machine)) (found facts, err error) {
	d := newDomain()
	table := &region{name: "table", words: inputs(d, "table", gatherEntries*size)}
	for index := range gatherEntries {
		m := newMachine(d, f)
		z := &region{name: "z", words: make([]*number, size), writable: true}
		m.pass("z", pointerTo(z))
		m.pass("table", pointerTo(table))
		m.pass("index", wordOf(d.constant(big.NewInt(int64(index)), false)))
		if more != nil {
			more(m)
		}
		if err := m.run(); err != nil {
			return facts{}, err
		}
		for i, n := range z.words {
			if n != table.words[size*index+i] {
				return facts{}, fmt.Errorf("index %d: word %d is not that of the table", index, i)
			}
		}
		if err := m.leavesNothing(); err != nil {
			return facts{}, err
		}
		found = m.facts(z.words)
	}
	return found, nil
}

// inputs are n words of data.
func inputs(d *domain, name string, n int) (words []*number) {
	for i := range n {
		words = append(words, d.input(name+"["+strconv.Itoa(i)+"]", ones64))
	}
	return words
}
