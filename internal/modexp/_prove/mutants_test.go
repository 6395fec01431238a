//go:build mutate

package prove

import (
	"flag"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	every = flag.Int("every", 1, "try every n-th mutant only")
	from  = flag.Int("from", 0, "the first of them")
	only  = flag.String("kernel", "", "of functions with this in their name only")
)

// mutant is a function with one instruction left out, doubled or changed.
type mutant struct {
	kind, what string
	at         int
	with       []instruction
}

func (m mutant) of(f *function) *function {
	g := &function{name: f.name, arguments: f.arguments, labels: maps.Clone(f.labels)}
	g.body = slices.Concat(f.body[:m.at], m.with, f.body[m.at+1:])
	for l, at := range f.labels {
		if at > m.at {
			g.labels[l] = at + len(m.with) - 1
		}
	}
	g.reached = make([]bool, len(g.body))
	return g
}

// otherOpcode are the instructions that are most easily taken for each other.
var otherOpcode = map[string]string{
	"VPMADD52LUQ": "VPMADD52HUQ", "VPMADD52HUQ": "VPMADD52LUQ", "ADCXQ": "ADOXQ", "ADOXQ": "ADCXQ",
	"ADCQ": "ADDQ", "ADDQ": "ADCQ", "SBBQ": "ADCQ", "ANDQ": "ORQ", "ORQ": "ANDQ", "XORQ": "ORQ", "SHLQ": "SHRQ", "SHRQ": "SHLQ",
	"VPADDQ": "VPANDQ", "VPANDQ": "VPADDQ", "PAND": "POR", "POR": "PAND", "JNZ": "JZ", "VPCMPEQQ": "VPTESTNMQ",
}

// mutantsOf are all of a function, in order.
func mutantsOf(f *function) (all []mutant) {
	for i, in := range f.body {
		add := func(kind string, with ...instruction) {
			var texts []string
			for _, w := range with {
				texts = append(texts, w.String())
			}
			all = append(all, mutant{kind, fmt.Sprintf("line %d: %s: %s", in.line, in, strings.Join(texts, "; ")), i, with})
		}
		add("drop")
		add("double", in, in)
		if op := otherOpcode[in.op]; op != "" {
			other := in
			other.op = op
			add("opcode", other)
		}
		for j, a := range in.args {
			for _, text := range otherOperands(a) {
				b, err := parseOperand(text)
				if err != nil {
					continue
				}
				other := in
				other.args = slices.Clone(in.args)
				other.args[j] = b
				add("operand", other)
			}
		}
	}
	return all
}

func otherOperands(a operand) (texts []string) {
	switch a.kind {
	case memory:
		for _, d := range []int64{-8, 8, 64, -64} {
			if v := a.value + d; v >= 0 {
				texts = append(texts, fmt.Sprintf("%d(%s)", v, generals[a.reg]))
			}
		}
	case immediate:
		texts = append(texts, "$"+strconv.FormatInt(a.value+1, 10), "$"+strconv.FormatInt(a.value-1, 10))
	case vector512:
		for _, d := range []int{1, 31, 5} {
			texts = append(texts, fmt.Sprintf("Z%d", (a.reg+d)%32))
		}
	case vector128:
		for _, d := range []int{1, 15, 5} {
			texts = append(texts, fmt.Sprintf("X%d", (a.reg+d)%16))
		}
	case maskRegister:
		for _, d := range []int{1, 3} {
			texts = append(texts, fmt.Sprintf("K%d", (a.reg+d-1)%7+1))
		}
	case general:
		for _, d := range []int{1, 13} {
			texts = append(texts, generals[(a.reg+d)%14])
		}
	}
	return texts
}

// TestMutants changes the functions by rule: hours for all of them. A mutant that the
// verifier accepts must be equivalent: executed on words, not on numbers that stand for
// many, it must give the words that the function gives, on inputs that the contract
// allows.
//
//	go test -tags mutate -timeout 9h -run TestMutants -v . -args -every 10
func TestMutants(t *testing.T) {
	texts, err := sources(modexp, nil)
	if err != nil {
		t.Fatal(err)
	}
	tried, accepted := 0, map[string]int{}
	for _, c := range contracts {
		if c.body != nil || !strings.Contains(c.name, *only) {
			continue
		}
		functions, err := parse(texts[c.file])
		if err != nil {
			t.Fatal(err)
		}
		f := functions[c.name]
		for i, m := range mutantsOf(f) {
			if i%*every != *from {
				continue
			}
			tried++
			g := m.of(f)
			if !c.accepts(g) {
				continue
			}
			accepted[m.kind]++
			t.Logf("accepted: %s, %s, %s", c.name, m.kind, m.what)
			for seed := range uint64(4) {
				want, err := c.execute(f, rand.New(rand.NewPCG(9, seed)))
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				have, err := c.execute(g, rand.New(rand.NewPCG(9, seed)))
				if err != nil || have != want {
					t.Errorf("%s, %s: not equivalent: %v", c.name, m.what, err)
					break
				}
			}
		}
	}
	t.Logf("%d mutants; accepted, by kind: %v", tried, accepted)
}

// accepts proves a mutant, for few blocks: what differs between blocks shows in three.
func (c contract) accepts(f *function) bool {
	for _, size := range c.sizes[:min(len(c.sizes), 3)] {
		if _, err := c.prove(f, size); err != nil {
			return false
		}
	}
	return !slices.Contains(f.reached, false)
}

// execute runs a function on words that are drawn, and returns what it stored.
func (c contract) execute(f *function, r *rand.Rand) (string, error) {
	d := newDomain()
	m := newMachine(d, f)
	var stored []*region
	words := func(name string, n int, draw func(i int) *big.Int) *region {
		region := &region{name: name, writable: true}
		for i := range n {
			if v := draw(i); v != nil {
				region.words = append(region.words, d.constant(v, false))
			} else {
				region.words = append(region.words, nil)
			}
		}
		stored = append(stored, region)
		m.pass(name, pointerTo(region))
		return region
	}
	any64 := func(int) *big.Int { return edge(r, ones64) }
	unset := func(int) *big.Int { return nil }
	const blocks = 3
	n := blockWords * blocks
	number := func(v int64, public bool) content {
		return wordOf(d.constant(new(big.Int).And(big.NewInt(v), ones64), public))
	}
	for _, s := range shapes {
		modulus := edge(r, ones(uint(s.bits)))
		modulus.SetBit(modulus.SetBit(modulus, 0, 1), s.bits-1, 1)
		digits := func(parts ...*big.Int) func(int) *big.Int {
			w := make([]*big.Int, s.words()*len(parts))
			for p, v := range parts {
				for j := range s.words() {
					digit := new(big.Int).Rsh(v, uint(52*j))
					w[p*s.words()+s.index(j)] = digit.And(digit, ones52)
				}
			}
			w = append(w, minusInverse(modulus, 52), ones52)
			return func(i int) *big.Int { return w[i] }
		}
		operand := func() func(int) *big.Int { return digits(edge(r, new(big.Int).Lsh(modulus, 2))) }
		context := digits(multiplier(modulus, 104), modulus, multiplier(modulus, 52))
		switch c.name {
		case fmt.Sprintf("ifmaMul%d", s.bits):
			words("z", s.words(), unset)
			words("x", s.words(), operand())
			words("y", s.words(), operand())
			words("context", 3*s.words()+2, context)
		case fmt.Sprintf("ifmaSqr%d", s.bits):
			words("z", s.words(), operand())
			words("context", 3*s.words()+2, context)
			m.pass("n", number(1+r.Int64N(3), true))
		case fmt.Sprintf("ifmaGather%d", s.bits):
			words("z", s.words(), unset)
			words("table", gatherEntries*s.words(), any64)
			m.pass("index", number(r.Int64N(gatherEntries), false))
		}
	}
	upTo := func(k int) func(int) *big.Int {
		return func(i int) *big.Int {
			if i < k {
				return any64(i)
			}
			return nil
		}
	}
	switch c.name {
	case "adxMulRow":
		words("t", n+blockWords, upTo(n))
		words("x", n, any64)
		words("y", blockWords, any64)
	case "adxSqrRow":
		words("t", n+blockWords, upTo(n))
		words("x", n, any64)
	case "adxSqrFinish":
		words("t", 2*n, any64)
		words("x", n, any64)
	case "adxReduceRow":
		words("t", n+blockWords, any64)
		modulus := words("n", n, func(i int) *big.Int { return new(big.Int).SetBit(any64(i), 0, 1) })
		m.pass("k0", wordOf(d.constant(minusInverse(modulus.words[0].lo, 64), false)))
		m.pass("carry", number(r.Int64N(2), false))
	case "adxSubMasked":
		words("z", n, unset)
		words("t", n, any64)
		words("n", n, any64)
		m.pass("mask", number(-r.Int64N(2), false))
	case "adxGather":
		words("z", n, unset)
		words("table", gatherEntries*n, any64)
		m.pass("index", number(r.Int64N(gatherEntries), false))
	}
	if strings.HasPrefix(c.name, "adx") {
		m.pass("blocks", number(blocks, true))
	}
	if c.name == "adxReduceRow" {
		m.pass("carryOut", content{})
	}
	if err := m.run(); err != nil {
		return "", err
	}
	var out strings.Builder
	for _, region := range stored {
		for _, w := range region.words {
			fmt.Fprintf(&out, "%x ", w.lo)
		}
	}
	for _, w := range m.results {
		fmt.Fprintf(&out, "%x ", w.lo)
	}
	return out.String(), m.leavesNothing()
}
