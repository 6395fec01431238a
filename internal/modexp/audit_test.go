//go:build amd64 && !purego

package modexp

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The audit reads the assembly as text and checks, function by function, that
//
//   - every instruction is one of a list (whose time does not depend on operands, as far
//     as vendors say), so nobody adds a division or a string instruction unnoticed;
//   - every branch tests a register that counts down, directly after DECQ;
//   - every memory operand is an argument, or a constant offset from a register;
//   - such registers and counters are public: they only ever get public arguments,
//     constants, and sums of these;
//   - no load or store has a mask;
//   - every other register that was touched is cleared before the return.

// instructions maps what the kernels may use to the number of operands written, the
// last ones.
var instructions = map[string]int{
	"ADCQ": 1, "ADCXQ": 1, "ADDQ": 1, "ADOXQ": 1, "ANDQ": 1, "DECQ": 1, "IMULQ": 1, "MOVQ": 1,
	"MULXQ": 2, "NEGQ": 1, "ORQ": 1, "SBBQ": 1, "SHLQ": 1, "SHRQ": 1, "XORL": 1, "XORQ": 1,
	"KMOVB": 1, "KXORQ": 1,
	"MOVOU": 1, "PADDL": 1, "PAND": 1, "PCMPEQL": 1, "POR": 1, "PSHUFD": 1, "PXOR": 1,
	"VALIGNQ.Z": 1, "VMOVDQA64": 1, "VMOVDQU64": 1, "VPADDQ": 1, "VPANDQ": 1, "VPBROADCASTQ": 1,
	"VPCMPEQQ": 1, "VPCMPUQ": 1, "VPMADD52HUQ": 1, "VPMADD52LUQ": 1, "VPMADD52LUQ.BCST": 1,
	"VPMOVM2Q": 1, "VPSRLQ": 1, "VPSRLQ.Z": 1, "VPSUBQ": 1, "VPTERNLOGQ": 1, "VPTESTNMQ": 1,
	"VPXOR": 1, "VPXORQ": 1,
	"JNZ": 0, "JZ": 0, "RET": 0, "VZEROUPPER": 0,
}

// publicArguments are the parameters that may become an address or a counter: pointers,
// and numbers of blocks, squarings. (The pointers n of the adx kernels share their name
// with a count.)
var publicArguments = []string{"z", "x", "y", "t", "n", "table", "context", "blocks"}

var (
	generalRegister = regexp.MustCompile(`^(AX|BX|CX|DX|SI|DI|BP|R\d+)$`)
	vectorRegister  = regexp.MustCompile(`^[XYZ](\d+)$`)
	maskRegister    = regexp.MustCompile(`^K\d$`)
	argument        = regexp.MustCompile(`^(\w+)\+\d+\(FP\)$`)
	memory          = regexp.MustCompile(`^-?\d*\((\w+)\)$`)
	immediate       = regexp.MustCompile(`^\$-?\d+$`)
)

type instruction struct {
	line int
	op   string
	args []string
}

// audit returns one line for each violation, and the number of instructions and
// functions.
func audit(text string) (bad []string, count, functions int) {
	var body []instruction
	name := ""
	finish := func() {
		if name != "" {
			functions++
			for _, b := range auditFunction(body) {
				bad = append(bad, name+": "+b)
			}
		}
		body = nil
	}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "//")
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "#include"):
		case strings.HasPrefix(line, "TEXT "):
			finish()
			name, _, _ = strings.Cut(strings.TrimPrefix(line, "TEXT "), "(")
			if !strings.Contains(line, "NOSPLIT, $0-") {
				bad = append(bad, name+": has a stack frame")
			}
		case strings.HasSuffix(line, ":"):
			body = append(body, instruction{line: i + 1, op: "label"})
		case name == "":
			bad = append(bad, fmt.Sprintf("line %d: outside of a function", i+1))
		default:
			op, rest, _ := strings.Cut(line, " ")
			in := instruction{line: i + 1, op: op}
			for arg := range strings.SplitSeq(rest, ",") {
				if arg = strings.TrimSpace(arg); arg != "" {
					in.args = append(in.args, arg)
				}
			}
			body = append(body, in)
			count++
		}
	}
	finish()
	return bad, count, functions
}

func auditFunction(body []instruction) (bad []string) {
	complain := func(in instruction, what string) {
		bad = append(bad, fmt.Sprintf("line %d: %s %s: %s", in.line, in.op, strings.Join(in.args, ", "), what))
	}

	// Which registers have to be public: bases of addresses, and counters.
	public := map[string]bool{}
	for i, in := range body {
		if in.op == "JNZ" || in.op == "JZ" {
			if i == 0 || body[i-1].op != "DECQ" {
				complain(in, "branch on something other than a counter")
				continue
			}
			public[body[i-1].args[0]] = true
		}
		for _, arg := range in.args {
			if m := memory.FindStringSubmatch(arg); m != nil {
				public[m[1]] = true
			}
		}
	}
	// What flows into a public register must be public too.
	for changed := true; changed; {
		changed = false
		for _, in := range body {
			switch in.op {
			case "MOVQ", "ADDQ", "SUBQ":
				from, to := in.args[0], in.args[1]
				if public[to] && generalRegister.MatchString(from) && !public[from] {
					public[from], changed = true, true
				}
			}
		}
	}

	lastUse := map[string]instruction{}
	for _, in := range body {
		if in.op == "label" {
			continue
		}
		written, known := instructions[in.op]
		if !known {
			complain(in, "instruction not on the list")
			continue
		}
		if in.op == "JNZ" || in.op == "JZ" {
			continue
		}
		hasMemory, hasMask := false, false
		for _, arg := range in.args {
			m := vectorRegister.FindStringSubmatch(arg)
			switch {
			case m != nil:
				lastUse["Z"+m[1]] = in
			case maskRegister.MatchString(arg):
				hasMask = true
				lastUse[arg] = in
			case generalRegister.MatchString(arg):
				lastUse[arg] = in
			case memory.MatchString(arg):
				hasMemory = true
				if !generalRegister.MatchString(memory.FindStringSubmatch(arg)[1]) {
					complain(in, "address that is not a register")
				}
			case argument.MatchString(arg), immediate.MatchString(arg):
			default:
				complain(in, "operand not understood: "+arg)
			}
		}
		if hasMemory && hasMask {
			complain(in, "memory access with a mask")
		}
		for _, to := range in.args[len(in.args)-min(written, len(in.args)):] {
			if public[to] && !publicWrite(in, public) {
				complain(in, "public register "+to+" gets something that may be secret")
			}
		}
	}

	if len(body) == 0 || body[len(body)-1].op != "RET" {
		bad = append(bad, "does not end in RET")
	}
	for register, in := range lastUse {
		clears := slices.Contains([]string{"XORL", "KXORQ", "PXOR", "VPXOR", "VPXORQ"}, in.op) && len(slices.Compact(slices.Clone(in.args))) == 1
		if !public[register] && !clears {
			complain(in, "last use of "+register+", which is not cleared")
		}
	}
	return bad
}

// publicWrite says whether an instruction that writes a public register derives it from
// public things only.
func publicWrite(in instruction, public map[string]bool) bool {
	if in.op == "DECQ" {
		return true
	}
	from := in.args[0]
	isPublic := immediate.MatchString(from) || public[from]
	switch in.op {
	case "MOVQ":
		if m := argument.FindStringSubmatch(from); m != nil {
			return slices.Contains(publicArguments, m[1])
		}
		return isPublic
	case "ADDQ", "SHLQ":
		return isPublic
	case "XORL":
		return from == in.args[1]
	}
	return false
}

func TestAssemblyAudit(t *testing.T) {
	files, err := filepath.Glob("*.s")
	require.NoError(t, err)
	audited := 0
	for _, file := range files {
		// These two see no number: one reads what the processor can do, the other an
		// address.
		if file == "cpu_amd64.s" || file == "align_amd64.s" {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		bad, count, functions := audit(string(text))
		require.Empty(t, bad, file)
		t.Logf("%s: %d functions, %d instructions", file, functions, count)
		audited += functions
	}
	require.Equal(t, 5*3+6, audited, "functions in the assembly")
}

// TestAssemblyAuditCaught is the audit's own test: all but the first must be refused.
func TestAssemblyAuditCaught(t *testing.T) {
	function := func(lines ...string) string {
		return "TEXT ·f(SB), NOSPLIT, $0-16\n\t" + strings.Join(lines, "\n\t") + "\n\tRET\n"
	}
	bad, _, _ := audit(function("MOVQ n+0(FP), CX", "loop:", "MOVQ x+8(FP), SI", "MOVQ 8(SI), AX", "ADDQ $8, SI",
		"DECQ CX", "JNZ loop", "XORL AX, AX"))
	require.Empty(t, bad)
	for what, text := range map[string]string{
		"branch on data":      function("MOVQ x+0(FP), SI", "MOVQ (SI), AX", "ANDQ $1, AX", "JNZ odd", "odd:", "XORL AX, AX"),
		"counter from data":   function("MOVQ x+0(FP), SI", "MOVQ (SI), CX", "loop:", "DECQ CX", "JNZ loop"),
		"counter is secret":   function("MOVQ index+0(FP), CX", "loop:", "DECQ CX", "JNZ loop"),
		"address from data":   function("MOVQ x+0(FP), SI", "MOVQ (SI), SI"),
		"address plus data":   function("MOVQ x+0(FP), SI", "MOVQ (SI), AX", "ADDQ AX, SI", "MOVQ (SI), BX", "XORL AX, AX", "XORL BX, BX"),
		"address plus secret": function("MOVQ x+0(FP), SI", "MOVQ index+8(FP), AX", "ADDQ AX, SI", "MOVQ (SI), BX", "XORL BX, BX"),
		"index register":      function("MOVQ x+0(FP), SI", "MOVQ (SI)(CX*8), AX", "XORL AX, AX"),
		"global":              function("MOVQ ·table(SB), AX", "XORL AX, AX"),
		"masked load":         function("MOVQ x+0(FP), SI", "VMOVDQU64 (SI), K1, Z0", "VPXORQ Z0, Z0, Z0", "KXORQ K1, K1, K1"),
		"unknown instruction": function("DIVQ BX"),
		"call":                function("CALL ·g(SB)"),
		"vector left":         function("VPADDQ Z1, Z1, Z1"),
		"mask left":           function("VPCMPEQQ Z1, Z1, K2", "VPXORQ Z1, Z1, Z1"),
		"word left":           function("MOVQ x+0(FP), SI", "MOVQ (SI), AX"),
		"stack frame":         strings.Replace(function("XORL AX, AX"), "$0-", "$8-", 1),
		"no return":           "TEXT ·f(SB), NOSPLIT, $0-16\n\tXORL AX, AX\n",
	} {
		bad, _, _ := audit(text)
		require.NotEmpty(t, bad, what)
	}
}
