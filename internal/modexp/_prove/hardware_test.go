package prove

import (
	"hash/crc32"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-rsa/tandem/internal/modexp/_prove/hardware"
)

// processorHas reads the flags that Linux reports.
func processorHas(t *testing.T, features ...string) bool {
	if runtime.GOARCH != "amd64" || runtime.GOOS != "linux" {
		return false
	}
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\nflags")
	line, _, _ := strings.Cut(rest, "\n")
	have := strings.Fields(line)
	for _, f := range features {
		if !slices.Contains(have, f) {
			return false
		}
	}
	return true
}

// known are the words of a state that the verifier knows: the others are nil.
type known struct {
	z     [4][8]*uint64
	k, r  [4]*uint64
	mem   [8]*uint64
	flags map[uint64]bool
}

// read translates the verifier's state for the input.
func (s *trial) read(v value) (w known) {
	valueOf := func(n *number) *uint64 {
		if n == nil {
			return nil
		}
		x := v(n).Uint64()
		return &x
	}
	conditions := func(k mask) *uint64 {
		var x uint64
		for i, f := range k.bits {
			if s.m.eval(f, v) {
				x |= 1 << i
			}
		}
		return &x
	}
	for i := range 4 {
		for l, n := range s.m.vector[i] {
			w.z[i][l] = valueOf(n)
		}
		if s.m.mask[i].set {
			w.k[i] = conditions(s.m.mask[i])
		}
		switch c := s.m.general[i]; c.kind {
		case word:
			w.r[i] = valueOf(c.number)
		case bitString:
			w.r[i] = conditions(c.bits)
		case pointer:
			x := s.base[c.region] + uint64(c.offset)
			w.r[i] = &x
		}
	}
	for i, n := range s.memory.words {
		w.mem[i] = valueOf(n)
	}
	w.flags = map[uint64]bool{}
	for bit, n := range map[uint64]*number{hardware.CF: s.m.cf, hardware.OF: s.m.of} {
		if n != nil {
			w.flags[bit] = v(n).Sign() != 0
		}
	}
	if s.m.zero != unknown {
		w.flags[hardware.ZF] = s.m.zero == isZero
	}
	return w
}

// state is what the processor is given.
func (w known) state() (h hardware.State) {
	set := func(to *uint64, from *uint64) {
		if from != nil {
			*to = *from
		}
	}
	for i := range 4 {
		for l := range 8 {
			set(&h.Z[i][l], w.z[i][l])
		}
		set(&h.K[i], w.k[i])
		set(&h.R[i], w.r[i])
	}
	for i := range w.mem {
		set(&h.Mem[i], w.mem[i])
	}
	h.Flags = hardware.Reserved
	for bit, is := range w.flags {
		if is {
			h.Flags |= bit
		}
	}
	return h
}

// differs tells the first thing that the processor has otherwise than is known.
func (w known) differs(h *hardware.State, wide bool) string {
	other := func(x uint64, want *uint64) bool { return want != nil && *want != x }
	for i := range 4 {
		for l := range 8 {
			if (wide || l < 2) && other(h.Z[i][l], w.z[i][l]) {
				return "lane " + string(rune('0'+l)) + " of vector " + string(rune('0'+i))
			}
		}
		if wide && other(h.K[i], w.k[i]) {
			return "K" + string(rune('0'+i))
		}
		if other(h.R[i], w.r[i]) {
			return generals[i]
		}
	}
	for i := range w.mem {
		if other(h.Mem[i], w.mem[i]) {
			return "memory"
		}
	}
	for bit, is := range w.flags {
		if is != (h.Flags&bit != 0) {
			return map[uint64]string{hardware.CF: "CF", hardware.OF: "OF", hardware.ZF: "ZF"}[bit]
		}
	}
	return ""
}

// TestHardware executes each form of each instruction of the kernels on states of all
// kinds, by the table and on the processor. What the table leaves undefined is not
// compared; what it refuses does not count.
func TestHardware(t *testing.T) {
	const compared, tries = 60, 6000
	scalar := processorHas(t, "bmi2", "adx")
	vector := scalar && processorHas(t, "avx512f", "avx512dq", "avx512bw", "avx512ifma")
	t.Logf("this processor has MULX and ADX: %v, AVX-512 IFMA: %v; what it has not is not compared", scalar, vector)
	all := forms(t)
	if hardware.Forms != nil && len(hardware.Forms) != len(all) {
		t.Fatalf("%d forms of %d are there: see TestForms", len(hardware.Forms), len(all))
	}
	count := 0
	for text, form := range all {
		wide := usesAVX512(form)
		if wide && !vector || !scalar {
			continue
		}
		count++
		r := rand.New(rand.NewPCG(1, uint64(crc32.ChecksumIEEE([]byte(text)))))
		done := 0
		for n := 0; n < tries && done < compared; n++ {
			s := newTrial(r, form)
			before := len(s.m.numbers)
			initial, err := evaluate(s.m.domain, s.inputs)
			if err != nil {
				t.Fatalf("%s, number %d: %v", text, before, err)
			}
			h := s.read(initial).state()
			if s.m.runOne() != nil {
				continue
			}
			v, err := evaluate(s.m.domain, s.inputs)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			hardware.Forms[text](&h)
			if what := s.read(v).differs(&h, wide); what != "" {
				t.Fatalf("%s: %s is not what the processor makes of it", text, what)
			}
			done++
		}
		if done < compared {
			t.Errorf("%s: the table took %d of %d states", text, done, tries)
		}
	}
	t.Logf("%d forms of instructions, %d states each", count, compared)
}
