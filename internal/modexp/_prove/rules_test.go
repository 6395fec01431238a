package prove

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// refusalOf runs what must be refused.
func refusalOf(f func()) (text string) {
	defer func() {
		if r, ok := recover().(refusal); ok {
			text = r.Error()
		}
	}()
	f()
	return ""
}

// TestBounds: a result that could be 4N, and lanes that could reach their limit or
// overflow, are refused.
func TestBounds(t *testing.T) {
	texts, err := sources(modexp, nil)
	if err != nil {
		t.Fatal(err)
	}
	functions, err := parse(texts["ifma2048_amd64.s"])
	if err != nil {
		t.Fatal(err)
	}
	// x*y/R is up to 16N * N/R: N/2 for 2075 bits, 4N for 2078.
	if _, err := (shape{2075, 5, 40}).proveMul(functions["ifmaMul2048"]); err != nil {
		t.Error(err)
	}
	if _, err := (shape{2078, 5, 40}).proveMul(functions["ifmaMul2048"]); err == nil || !strings.Contains(err.Error(), "could be 4N") {
		t.Errorf("a result of 4N: %v", err)
	}
	if (shape{2079, 5, 40}).check() == nil || (shape{2048, 4, 40}).check() == nil {
		t.Error("a shape that does not hold 4N is accepted")
	}
	m := newMachine(newDomain(), &function{})
	x, y := m.input("x", ones(60)), m.input("y", ones(60))
	m.laneLimit = pow(61)
	if got := refusalOf(func() { m.addLane(x, y) }); got != "" {
		t.Errorf("below the limit: %s", got)
	}
	m.laneLimit = ones(61)
	m.laneLimit.Sub(m.laneLimit, one)
	if got := refusalOf(func() { m.addLane(x, y) }); !strings.Contains(got, "could reach") {
		t.Errorf("at the limit: %q", got)
	}
	z := m.input("z", ones64)
	if got := refusalOf(func() { m.addLane(x, z) }); !strings.Contains(got, "could overflow") {
		t.Errorf("above 64 bits: %q", got)
	}
}

// TestZeroCarry: carries that are 0 and one that is not.
func TestZeroCarry(t *testing.T) {
	d := newDomain()
	a, b, c := d.input("a", ones64), d.input("b", ones64), d.input("c", ones64)
	// a*b + c fits in two words: the upper one does not carry.
	low, high := d.product(a, b, 64)
	w, carry := d.sum(low, c, d.nothing)
	v, top := d.sum(high, carry, d.nothing)
	if !top.zero() && !d.isZeroCarry(top, []*number{w, v}) {
		t.Error("the carry of a*b + c is not known to be 0")
	}
	// With one more word it still fits, with two it does not.
	w, carry2 := d.sum(w, d.input("e", ones64), d.nothing)
	v, top = d.sum(v, carry2, d.nothing)
	if !top.zero() && !d.isZeroCarry(top, []*number{w, v}) {
		t.Error("the carry of a*b + c + e is not known to be 0")
	}
	w, carry3 := d.sum(w, d.input("f", ones64), d.nothing)
	v, top = d.sum(v, carry3, d.nothing)
	if top.zero() || d.isZeroCarry(top, []*number{w, v}) {
		t.Error("the carry of a*b + c + e + f is called 0")
	}
	if d.isZeroCarry(a, nil) {
		t.Error("an input is called a carry that is 0")
	}
}

// TestCancels: Montgomery's step is recognized by what the contract assumes, and not
// without it.
func TestCancels(t *testing.T) {
	d := newDomain()
	a, n, k0, other := d.input("a", ones64), d.input("n", ones64), d.input("k0", ones64), d.input("other", ones64)
	step := func(k *number) *number {
		q, _ := d.product(a, k, 64)
		low, _ := d.product(q, n, 64)
		return low
	}
	if d.cancels(a, step(k0), 64) {
		t.Error("without the assumption")
	}
	d.assumeMinusOne(k0, n, 64)
	switch {
	case !d.cancels(a, step(k0), 64) || !d.cancels(step(k0), a, 64):
		t.Error("not recognized")
	case d.cancels(a, step(other), 64):
		t.Error("with another k0")
	case d.cancels(other, step(k0), 64):
		t.Error("with another a")
	case d.cancels(a, step(k0), 52):
		t.Error("modulo 2^52")
	}
}

// TestDiagrams compares random functions of six variables with their truth tables: equal
// functions are the same diagram, and no others.
func TestDiagrams(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	d := newDomain()
	var input uint
	type function struct {
		f     bdd
		table uint64
	}
	var all []function
	for i := range uint(6) {
		f := d.newVariable(func(value) bool { return input>>i&1 == 1 })
		var table uint64
		for input := range uint(64) {
			table |= uint64(input>>i&1) << input
		}
		all = append(all, function{f, table})
	}
	for range 2000 {
		a, b := all[r.IntN(len(all))], all[r.IntN(len(all))]
		switch r.IntN(4) {
		case 0:
			all = append(all, function{d.bdds.and(a.f, b.f), a.table & b.table})
		case 1:
			all = append(all, function{d.bdds.or(a.f, b.f), a.table | b.table})
		case 2:
			all = append(all, function{d.bdds.xor(a.f, b.f), a.table ^ b.table})
		case 3:
			all = append(all, function{d.bdds.not(a.f), ^a.table})
		}
	}
	byTable, byDiagram := map[uint64]bdd{}, map[bdd]uint64{}
	for _, f := range all {
		for input = range 64 {
			if d.eval(f.f, nil) != (f.table>>input&1 == 1) {
				t.Fatalf("diagram %d has a wrong value", f.f)
			}
		}
		if g, ok := byTable[f.table]; ok && g != f.f {
			t.Fatalf("one function has the diagrams %d and %d", f.f, g)
		}
		if table, ok := byDiagram[f.f]; ok && table != f.table {
			t.Fatalf("diagram %d is two functions", f.f)
		}
		byTable[f.table], byDiagram[f.f] = f.f, f.table
	}
}

// TestDataFlow: what is computed from data does not become public.
func TestDataFlow(t *testing.T) {
	d := newDomain()
	secret, zero := d.constant(big.NewInt(5), false), d.hidden0
	open := d.constant(big.NewInt(7), true)
	m := newMachine(d, &function{})
	low, high := d.product(zero, open, 64)
	sum, carry := d.sum(zero, open, d.nothing)
	word, borrow := d.difference(secret, open, d.nothing)
	rem, quo := d.split(d.constant(pow(60), false))
	for i, n := range []*number{low, high, sum, carry, word, borrow, rem, quo,
		m.and(zero, open), m.and(d.constant(ones64, false), open), m.or(zero, open), d.numberOf(always), d.numberOf(never)} {
		if n.public {
			t.Errorf("result %d is public", i)
		}
	}
	form := func(text string) instruction {
		in, err := parseInstruction(text)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	for text, says := range map[string]string{"DECQ CX": "no public count", "ADDQ CX, SI": "an address from data", "MOVQ 8(CX), AX": "not an address"} {
		in := form(text)
		m.general[slices.Index(generals, "CX")] = wordOf(secret)
		m.general[slices.Index(generals, "SI")] = pointerTo(&region{name: "x", words: []*number{open, open}})
		if got := refusalOf(func() { m.step(in) }); !strings.Contains(got, says) {
			t.Errorf("%s with something secret: %q", text, got)
		}
		m.general[slices.Index(generals, "CX")] = wordOf(d.constant(big.NewInt(8), true))
		if got := refusalOf(func() { m.step(in) }); got != "" && in.args[0].kind != memory {
			t.Errorf("%s with something public: %q", text, got)
		}
	}
	if s, _ := d.sum(open, open, d.nothing); !s.public {
		t.Error("a sum of public numbers is not public")
	}
}

// TestParse refuses what the verifier does not read.
func TestParse(t *testing.T) {
	const head = "TEXT ·f(SB), NOSPLIT, $0-8\n"
	if _, err := parse("#include \"textflag.h\"\n" + head + "loop:\n\tMOVQ 8(SI), AX // a word\n\tJNZ loop\n\tRET\n"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"\tRET\n", "DATA x<>+0(SB)/8, $1\n", "#define A AX\n" + head, head + head, head + "a:\na:\n", head + "/* */\n",
		"TEXT ·f(SB), NOSPLIT, $8-8\n", "TEXT ·f(SB), $0-8\n", "TEXT f(SB), NOSPLIT, $0-8\n",
		head + "\tDIVQ AX\n", head + "\tCALL ·g(SB)\n", head + "\tMOVQ AX\n", head + "\tMOVQ AX, BX, CX\n",
		head + "\tMOVQ AX, SP\n", head + "\tMOVQ AX, BP\n", head + "\tMOVQ (SI)(CX*8), AX\n", head + "\tMOVQ -8(SI), AX\n",
		head + "\tMOVQ ·table(SB), AX\n", head + "\tVPXORQ Z32, Z32, Z32\n", head + "\tKXORQ K8, K8, K8\n", head + "\tVPADDQ Y0, Y1, Y2\n",
		head + "\tMOVQ $99999999999999999999, AX\n", head + "\tMOVQ 8(X0), AX\n", head + "\tMOVQ AX, BX; MOVQ BX, CX\n",
	} {
		if f, err := parse(text); err == nil {
			t.Errorf("%q is read as %v", text, f)
		}
	}
}
