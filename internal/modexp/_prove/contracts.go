package prove

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// contract is a TEXT of a .s file and what is proved of it.
type contract struct {
	file, name string
	signature  string // the Go declaration's parameters and results
	about      string // proved; or, with body, why reading it is enough
	sizes      []int  // numbers of blocks to prove it for; {0} where the size is fixed
	prove      func(f *function, size int) (facts, error)

	// body is the text of a function that computes nothing from a number: it is
	// compared, not proved.
	body []string
}

// contracts has one row for each TEXT of internal/modexp.
var contracts = func() (all []contract) {
	ifma := func(s shape, name, signature, about string, prove func(*function) (facts, error)) {
		all = append(all, contract{
			file: fmt.Sprintf("ifma%d_amd64.s", s.bits), name: fmt.Sprintf("ifma%s%d", name, s.bits),
			signature: signature, about: about,
			sizes: []int{0},
			prove: func(f *function, _ int) (facts, error) {
				if err := s.check(); err != nil {
					return facts{}, err
				}
				return prove(f)
			},
		})
	}
	for _, s := range shapes {
		ifma(s, "Mul", "(z, x, y, context *uint64)", "R*z = x*y + kN, z < 4N", s.proveMul)
		ifma(s, "Sqr", "(z, context *uint64, n int)", "n times R*z' = z*z + kN, z' < 4N", s.proveSqr)
		ifma(s, "Gather", "(z, table *uint64, index int)", "z = table[index]", s.proveGather)
	}
	adx := func(name, signature, about string, least int, prove func(*function, int) (facts, error)) {
		c := contract{file: "adx_amd64.s", name: "adx" + name, signature: signature, about: about, prove: prove}
		for blocks := least; blocks <= maxBlocks; blocks++ {
			c.sizes = append(c.sizes, blocks)
		}
		all = append(all, c)
	}
	adx("MulRow", "(t, x, y *uint64, blocks int)", "t' = t + x*y", 1, proveMulRow)
	adx("SqrRow", "(t, x *uint64, blocks int)", "t' = t + the products x[i]*x[j], i < 8, j > i", 1, proveSqrRow)
	adx("SqrFinish", "(t, x *uint64, blocks int)", "t' = 2t + the squares x[i]^2, mod R^2", 1, proveSqrFinish)
	adx("ReduceRow", "(t, n *uint64, k0, carry uint64, blocks int) (carryOut uint64)",
		"2^512 t'[8:] + carryOut 2^(64(n+8)) = t + qN + carry 2^(64n)", 2, proveReduceRow)
	adx("SubMasked", "(z, t, n *uint64, mask uint64, blocks int)", "z = t - (n and mask), mod R", 1, proveSubMasked)
	adx("Gather", "(z, table *uint64, index, blocks int)", "z = table[index]", 1, proveADXGather)

	read := func(file, name, signature, about, body string) {
		all = append(all, contract{file: file, name: name, signature: signature, about: about,
			body: strings.Split(strings.TrimSpace(body), "\n")})
	}
	read("align_amd64.s", "offsetInLine", "(p *uint64) int", "an address modulo 64: sees no number", `
MOVQ p+0(FP), AX
ANDQ $63, AX
MOVQ AX, ret+8(FP)
RET`)
	read("cpu_amd64.s", "cpuid", "(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)", "asks the processor what it can do: sees no number", `
MOVL leaf+0(FP), AX
MOVL subleaf+4(FP), CX
CPUID
MOVL AX, eax+8(FP)
MOVL BX, ebx+12(FP)
MOVL CX, ecx+16(FP)
MOVL DX, edx+20(FP)
RET`)
	read("cpu_amd64.s", "xgetbv", "() uint32", "asks what the system saves: sees no number", `
XORL CX, CX
XGETBV
MOVL AX, ret+0(FP)
RET`)
	return all
}()

// proof is the outcome for one contract.
type proof struct {
	contract
	instructions int
	facts        []facts
	err          error
}

// sources reads the .s files of a folder. replace has texts to take instead.
func sources(dir string, replace map[string]string) (map[string]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.s"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no .s file in %s: %v", dir, err)
	}
	texts := map[string]string{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		texts[filepath.Base(p)] = string(b)
	}
	maps.Copy(texts, replace)
	return texts, nil
}

// textNames are the TEXTs of a file, however they are written.
func textNames(text string) (names []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "TEXT"); ok {
			name, _, _ := strings.Cut(strings.TrimSpace(rest), "(")
			names = append(names, strings.TrimPrefix(name, "·"))
		}
	}
	return names
}

// complete checks that each TEXT has one contract and each contract its TEXT.
func complete(texts map[string]string) error {
	var have, want []string
	for file, text := range texts {
		for _, name := range textNames(text) {
			have = append(have, file+" "+name)
		}
	}
	for _, c := range contracts {
		want = append(want, c.file+" "+c.name)
	}
	slices.Sort(have)
	slices.Sort(want)
	for _, name := range have {
		if !slices.Contains(want, name) {
			return fmt.Errorf("%s has no contract", name)
		}
	}
	if !slices.Equal(have, want) {
		return fmt.Errorf("the TEXTs are %q, the contracts %q", have, want)
	}
	return nil
}

// check proves one contract, or compares the text of one that is read.
func (c contract) check(texts map[string]string) (p proof) {
	p.contract = c
	if c.body != nil {
		p.err = compareBody(texts[c.file], c)
		return p
	}
	functions, err := parse(texts[c.file])
	if err != nil {
		p.err = fmt.Errorf("%s, %w", c.file, err)
		return p
	}
	f := functions[c.name]
	if f == nil {
		p.err = fmt.Errorf("%s: there is no %s", c.file, c.name)
		return p
	}
	p.instructions = len(f.body)
	for _, size := range c.sizes {
		found, err := c.prove(f, size)
		if err != nil {
			p.err = fmt.Errorf("%s: %w", c.file, err)
			if size > 0 {
				p.err = fmt.Errorf("%s, %d blocks: %w", c.file, size, err)
			}
			return p
		}
		p.facts = append(p.facts, found)
	}
	for i, reached := range f.reached {
		if !reached {
			in := f.body[i]
			p.err = fmt.Errorf("%s, line %d: %s is never reached", c.file, in.line, in)
			break
		}
	}
	return p
}

func compareBody(text string, c contract) error {
	_, rest, _ := strings.Cut(text, "TEXT ·"+c.name+"(SB)")
	_, rest, _ = strings.Cut(rest, "\n")
	rest, _, _ = strings.Cut(rest, "TEXT ")
	var body []string
	for line := range strings.SplitSeq(rest, "\n") {
		line, _, _ = strings.Cut(line, "//")
		if line = strings.TrimSpace(line); line != "" {
			body = append(body, line)
		}
	}
	if !slices.Equal(body, c.body) {
		return fmt.Errorf("%s: %s is not the text that was read: %q", c.file, c.name, body)
	}
	return nil
}
