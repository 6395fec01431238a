package prove

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type operandKind int

const (
	immediate    operandKind = iota
	general                  // AX to R15, without SP and BP
	vector512                // Z0 to Z31
	vector128                // X0 to X31
	maskRegister             // K0 to K7
	memory                   // value(base), the base a general register
	argument                 // name+value(FP)
	target                   // of a jump
)

type operand struct {
	kind  operandKind
	text  string
	reg   int   // the register, or a memory operand's base
	value int64 // the immediate, or the offset
	name  string
}

// instruction has its operands in Go's order: the destination is last.
type instruction struct {
	line int
	op   string
	args []operand
}

func (in instruction) String() string {
	var args []string
	for _, a := range in.args {
		args = append(args, a.text)
	}
	return strings.TrimSpace(in.op + " " + strings.Join(args, ", "))
}

// function is one TEXT block.
type function struct {
	name      string
	arguments int // bytes of arguments and results
	body      []instruction
	labels    map[string]int // index of the instruction that follows
	reached   []bool         // by any run
}

// generals are the registers that a function may use. SP and BP are the caller's.
var generals = []string{"AX", "BX", "CX", "DX", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}

var (
	textLine       = regexp.MustCompile(`^TEXT ·(\w+)\(SB\), NOSPLIT, \$0-(\d+)$`)
	labelLine      = regexp.MustCompile(`^(\w+):$`)
	argumentText   = regexp.MustCompile(`^(\w+)\+(\d+)\(FP\)$`)
	memoryText     = regexp.MustCompile(`^(\d*)\((\w+)\)$`)
	immediateText  = regexp.MustCompile(`^\$(-?\d+)$`)
	registerText   = regexp.MustCompile(`^([ZXK])(\d+)$`)
	labelReference = regexp.MustCompile(`^[a-z]\w*$`)
)

// parse reads a .s file. It takes what the kernels need and refuses everything else:
// data, macros, stack frames, index registers, instructions without a row in the table.
func parse(text string) (map[string]*function, error) {
	functions := map[string]*function{}
	var f *function
	for i, line := range strings.Split(text, "\n") {
		if strings.Contains(line, "/*") {
			return nil, fmt.Errorf("line %d: a comment of this form is not read", i+1)
		}
		line, _, _ = strings.Cut(line, "//")
		line = strings.TrimSpace(line)
		if line == "" || line == `#include "textflag.h"` {
			continue
		}
		if m := textLine.FindStringSubmatch(line); m != nil {
			if functions[m[1]] != nil {
				return nil, fmt.Errorf("line %d: %s is there twice", i+1, m[1])
			}
			bytes, err := strconv.Atoi(m[2])
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			f = &function{name: m[1], arguments: bytes, labels: map[string]int{}}
			functions[f.name] = f
			continue
		}
		if strings.HasPrefix(line, "TEXT") {
			return nil, fmt.Errorf("line %d: %q is no TEXT without a frame", i+1, line)
		}
		if f == nil {
			return nil, fmt.Errorf("line %d: %q is outside of a function", i+1, line)
		}
		if m := labelLine.FindStringSubmatch(line); m != nil {
			if _, ok := f.labels[m[1]]; ok {
				return nil, fmt.Errorf("line %d: label %s is there twice", i+1, m[1])
			}
			f.labels[m[1]] = len(f.body)
			continue
		}
		in, err := parseInstruction(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		in.line = i + 1
		f.body = append(f.body, in)
	}
	for _, f := range functions {
		f.reached = make([]bool, len(f.body))
	}
	return functions, nil
}

func parseInstruction(line string) (in instruction, err error) {
	op, rest, _ := strings.Cut(line, " ")
	in.op = op
	for text := range strings.SplitSeq(rest, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		a, err := parseOperand(text)
		if err != nil {
			return in, fmt.Errorf("%s: %w", op, err)
		}
		in.args = append(in.args, a)
	}
	counts, ok := operands[op]
	if !ok {
		return in, fmt.Errorf("%q has no row in the table of instructions", line)
	}
	if !slices.Contains(counts, len(in.args)) {
		return in, fmt.Errorf("%q has %d operands", line, len(in.args))
	}
	return in, nil
}

func parseOperand(text string) (operand, error) {
	a := operand{text: text}
	understood := true
	integer := func(s string) int64 {
		if s == "" {
			return 0
		}
		v, err := strconv.ParseInt(s, 10, 64)
		understood = understood && err == nil
		return v
	}
	if r := slices.Index(generals, text); r >= 0 {
		a.kind, a.reg = general, r
	} else if m := registerText.FindStringSubmatch(text); m != nil {
		a.reg = int(integer(m[2]))
		limit := 32
		switch m[1] {
		case "Z":
			a.kind = vector512
		case "X":
			a.kind = vector128
		case "K":
			a.kind, limit = maskRegister, 8
		}
		if a.reg >= limit {
			return a, fmt.Errorf("there is no register %s", text)
		}
	} else if m := argumentText.FindStringSubmatch(text); m != nil {
		a.kind, a.name, a.value = argument, m[1], integer(m[2])
	} else if m := memoryText.FindStringSubmatch(text); m != nil && slices.Contains(generals, m[2]) {
		a.kind, a.reg, a.value = memory, slices.Index(generals, m[2]), integer(m[1])
	} else if m := immediateText.FindStringSubmatch(text); m != nil {
		a.kind, a.value = immediate, integer(m[1])
	} else if labelReference.MatchString(text) {
		a.kind, a.name = target, text
	} else {
		understood = false
	}
	if !understood {
		return a, fmt.Errorf("operand %q is not understood", text)
	}
	return a, nil
}
