// Package prove reads the assembly of internal/modexp and proves, for all inputs that
// its contracts allow, what each function computes, where it reads and writes, and what
// it leaves in registers. It reads the text of the .s files, not the generator's
// intentions, and so needs no particular processor. "go test" runs it, "make prove"
// with more.
//
// # The method
//
// A function is executed once, with numbers that stand for all inputs where the
// processor has words (machine.go, and instructions.go, the table of what each
// instruction does). A number (number.go) is an exact integer with an interval, and
// either an atom or defined by an equation over earlier numbers (arithmetic.go):
//
//	a product     a*b = low + 2^k high             high an atom
//	an addition   a+b+c = word + 2^64 carry        carry an atom, unless the sum fits
//	a split       n = rem + 2^52 quo               one of them an atom
//	a comparison  0 or 1, a Boolean function of "n > c" and "n = c" (bdd.go)
//
// Loops are unrolled by their counters, which are constants. There is one path for all
// inputs: a jump must follow DECQ of a public count, an address must be a pointer
// argument plus public constants, and a mask must not take part in a load or store. So
// the absence of branches and addresses that depend on data is not a separate analysis:
// the run ends with an error where there is one. Of this kind are also loads of what
// was not set, and anything outside of an argument.
//
// In the end the result is a sum of numbers with weights. Definitions are put in, from
// the last number to the first, until a polynomial over atoms is left (polynomial.go),
// from which the polynomial of the contract is subtracted. Nothing may remain: then the
// identity holds whatever the atoms are. There is no search and no solver. Bounds
// follow from intervals.
//
// # Contracts
//
// contracts.go has one for each TEXT of the folder: a TEXT without a contract is an
// error. In the IFMA kernels (ifma.go, ifma_contracts.go) N has at most as many bits as
// the kernel's size, R = 2^(52K):
//
//	Mul      R*z = x*y + kN with k >= 0 and z < 4N, for x, y <= 4N; z may overlap both
//	Sqr      the same with x = y = z, n times, for any n >= 1: one turn of the loop is
//	         proved, from any state in which it can be entered
//	Gather   z = table[index], for any table and each index below 32
//
// In a product the accumulators are cut from the normalization: before it, their sum is
// proved to be the result, and below 4N; after it, the words are proved to be digits
// with the same sum, for any accumulators. No lane can reach 2^61 at any moment.
//
// In the ADX kernel (adx.go), for every number of blocks up to 16 and any words:
//
//	MulRow, SqrRow, SqrFinish   exact sums of products
//	ReduceRow                   t plus a multiple of N, its lowest eight words 0
//	SubMasked, Gather
//
// compose.go puts the rows together as adx_amd64.go does.
//
// Of every function: it has no frame, its arguments have the size and offsets of the
// contract, and the contract the names and types of the Go declaration; it uses neither
// SP nor BP; it stores only to its results; every register that held data is 0 when it
// returns, flags and masks too, and VZEROUPPER comes after the last use of a Z
// register; each of its instructions is reached.
//
// # Preconditions
//
// The Go code of internal/modexp provides them, and preconditions_amd64_test.go there
// tests that it does, under the same names.
//
//	P1  Slices have the length that the kernel reads and writes.
//	P2  tmp, the table, the modulus and its constants overlap nothing else; z, x and y
//	    are the same or do not overlap.
//	P3  Words of IFMA operands are digits, below 2^52, and 0 from digit K on.
//	P4  N is odd; 4N < 2^(52K).
//	P5  2^104 M2 = 1 + kN with 0 <= k < 2^104, and 2^52 M1 = 1 + kN with 0 <= k < 2^52.
//	P6  k0 < 2^52, k0*N[0] = -1 mod 2^52; the mask is 2^52-1.
//	P7  IFMA operands are at most 4N.
//	P8  n >= 1 squarings; 0 <= index < 32; 2 <= blocks <= 16, and ADX numbers have
//	    8*blocks words.
//	P9  ADX: k0*n[0] = -1 mod 2^64; the first carry is 0, the mask is -carry.
//
// # The last steps, on paper
//
// (1) IFMA, digits from K on are 0. The words of z are digits with the sum of the
// lanes, which is below 4N <= 2^(bits+2) <= 2^(52K). None is negative, so a digit j >=
// K, with the weight 2^(52j), is 0. So a result satisfies P3 and P7 and can be an
// operand again.
//
// (2) IFMA, z < 4N. R*z = x*y + N*(sum of u*q*k) where the verifier found the weights u
// and the bounds of the q's; k < 2^104 for M2, k < 2^52 for M1 by P5, k = 1 for N. With
// x*y <= 16 N^2 < 16 * 2^bits * N it computes z < 3.0000 N to 3.0040 N.
//
// (3) ADX, z < R. Let T = (x*y + q*N)/R with x, y, q < R: composed, T = t + carry*R
// with t the upper half of the words. T <= ((R-1)^2 + (R-1)N)/R < R + N. And z = t -
// carry*N + borrow*R with z in [0, R). If carry = 0, z = t = T, as both are in [0, R).
// If carry = 1, then T - N = t + R - N is in [0, R), and differs from z by a multiple
// of R: z = T - N. So in any case z = x*y/R mod N, and z < R.
//
// (4) ADX, a difference of two numbers in [0, R^2) that is a multiple of R^2 is 0 (the
// product of SqrFinish).
//
// (5) ADX, kernels for every size: the products are sums of rows, and TestComposed
// proves the sums for each size up to 3072 bits, or up to 8192 on demand. For other
// lengths they follow from the rows' contracts by adding them up.
//
// # What is trusted
//
// The table of instructions: TestHardware executes each form of each instruction that
// occurs on states of all kinds, and compares the numbers of the table, evaluated, with
// the processor. The rules: TestNumbersHold and TestRowsHold evaluate all intervals and
// definitions of whole proofs on inputs at the bounds; TestFaults plants faults in the
// assembly. The parser, and the Go assembler's encoding. That instructions take the
// same time for all operands: the vendors. The Go compiler, and the preconditions as
// far as tests go.
package prove
