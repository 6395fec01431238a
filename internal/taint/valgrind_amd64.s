//go:build valgrind && linux && amd64

#include "textflag.h"

// The magic instructions (valgrind.h, "amd64-{linux,darwin,solaris}"): four rotations of RDI, 128
// bits in all, and an exchange of a register with itself, which change nothing on a
// processor. Under valgrind, RAX points to the request and its five arguments, and RDX is the
// answer: 0 here if there is none.
#define REQUEST \
	XORL DX, DX; \
	ROLQ $3, DI; \
	ROLQ $13, DI; \
	ROLQ $61, DI; \
	ROLQ $51, DI; \
	XCHGQ BX, BX

// func request(code uint64, p *byte, a2, a3, a4, a5 uint64) uint64
TEXT ·request(SB), NOSPLIT, $0-56
	LEAQ code+0(FP), AX
	REQUEST
	MOVQ DX, ret+48(FP)
	RET

// func requestPair(code uint64, p, q *byte, a3, a4, a5 uint64) uint64
TEXT ·requestPair(SB), NOSPLIT, $0-56
	LEAQ code+0(FP), AX
	REQUEST
	MOVQ DX, ret+48(FP)
	RET

// func defined(v int) int
TEXT ·defined(SB), NOSPLIT, $48-16
	MOVQ $0x4d430002, AX // VG_USERREQ__MAKE_MEM_DEFINED
	MOVQ AX, code-48(SP)
	LEAQ v+0(FP), AX
	MOVQ AX, addr-40(SP)
	MOVQ $8, length-32(SP)
	MOVQ $0, a3-24(SP)
	MOVQ $0, a4-16(SP)
	MOVQ $0, a5-8(SP)
	LEAQ code-48(SP), AX
	REQUEST
	MOVQ v+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET
