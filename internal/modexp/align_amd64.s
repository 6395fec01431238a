//go:build amd64 && !purego

#include "textflag.h"

// func offsetInLine(p *uint64) int
TEXT ·offsetInLine(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	ANDQ $63, AX
	MOVQ AX, ret+8(FP)
	RET
