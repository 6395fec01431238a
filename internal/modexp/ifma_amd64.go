//go:build amd64 && !purego

package modexp

import "math/bits"

//go:noescape
func ifmaMul1024(z, x, y, context *uint64)

//go:noescape
func ifmaSqr1024(z, context *uint64, n int)

//go:noescape
func ifmaGather1024(z, table *uint64, index int)

//go:noescape
func ifmaMul1536(z, x, y, context *uint64)

//go:noescape
func ifmaSqr1536(z, context *uint64, n int)

//go:noescape
func ifmaGather1536(z, table *uint64, index int)

//go:noescape
func ifmaMul2048(z, x, y, context *uint64)

//go:noescape
func ifmaSqr2048(z, context *uint64, n int)

//go:noescape
func ifmaGather2048(z, table *uint64, index int)

//go:noescape
func ifmaMul3072(z, x, y, context *uint64)

//go:noescape
func ifmaSqr3072(z, context *uint64, n int)

//go:noescape
func ifmaGather3072(z, table *uint64, index int)

//go:noescape
func ifmaMul4096(z, x, y, context *uint64)

//go:noescape
func ifmaSqr4096(z, context *uint64, n int)

//go:noescape
func ifmaGather4096(z, table *uint64, index int)

// ifmaShape is a kernel of one size: _asm/ifma.go explains V vectors and K digits.
type ifmaShape struct {
	vectors, digits int
	mul             func(z, x, y, context *uint64)
	sqr             func(z, context *uint64, n int)
	gather          func(z, table *uint64, index int)
}

var ifmaShapes = map[int]*ifmaShape{
	1024: {3, 20, ifmaMul1024, ifmaSqr1024, ifmaGather1024},
	1536: {4, 30, ifmaMul1536, ifmaSqr1536, ifmaGather1536},
	2048: {5, 40, ifmaMul2048, ifmaSqr2048, ifmaGather2048},
	3072: {8, 60, ifmaMul3072, ifmaSqr3072, ifmaGather3072},
	4096: {10, 79, ifmaMul4096, ifmaSqr4096, ifmaGather4096},
}

const (
	digitBits = 52
	digitMask = 1<<digitBits - 1
	lanes     = 8
)

// ifma is the AVX-512 IFMA kernel modulo one n.
type ifma struct {
	*ifmaShape
	// context is what the assembly takes from the modulus: M2, n and M1 in
	// vectors, then k0 = -1/n mod 2^52 and the digit mask.
	context []uint64
}

func newIFMA(n []uint64) arithmetic {
	k := &ifma{ifmaShape: ifmaShapes[64*len(n)]}
	w := k.words()
	k.context = aligned(3*w + 2)
	k.pack(k.context[w:2*w], n)
	k0 := -Inverse64(n[0]) & digitMask
	k.context[3*w], k.context[3*w+1] = k0, digitMask

	// Dividing by 2^52 modulo n, once and twice, starting from 1, makes
	// M1 = (1 + k0*n)/2^52, and M2 = (M1 + c*n)/2^52 with c = M1*k0 mod 2^52: that is
	// (1 + (k0 + c*2^52) n) / 2^104, with k0 + c*2^52 = -1/n mod 2^104 as it must be.
	m1, m2 := k.context[2*w:3*w], k.context[:w]
	m2[0] = 1
	k.divide(m1, m2, k0)
	k.divide(m2, m1, k0)
	return newMontgomery(k, n)
}

// divide sets z = (x + c*n) / 2^52, where c = x*k0 mod 2^52 makes this an integer.
func (k *ifma) divide(z, x []uint64, k0 uint64) {
	n := k.context[k.words() : 2*k.words()]
	c := x[0] * k0 & digitMask
	var low uint64 // carry: below 2^53
	for j := range k.digits {
		i := k.index(j)
		high, l := bits.Mul64(n[i], c)
		var carry uint64
		low, carry = bits.Add64(low, l, 0)
		high += carry
		low, carry = bits.Add64(low, x[i], 0)
		high += carry
		if j > 0 {
			z[k.index(j-1)] = low & digitMask
		}
		low = low>>digitBits | high<<(64-digitBits) // high is below 2^41
	}
	z[k.index(k.digits-1)] = low
}

// index is where digit j stands in memory.
func (k *ifma) index(j int) int { return lanes*(j%k.vectors) + j/k.vectors }

func (k *ifma) words() int     { return lanes * k.vectors }
func (k *ifma) radixBits() int { return digitBits * k.digits }

// excess: results are less than 4n.
func (k *ifma) excess() int { return 3 }

func (k *ifma) pack(z, x []uint64) {
	for p := range k.vectors {
		lane := z[lanes*p:][:lanes]
		for i := range lane {
			bit := digitBits * (k.vectors*i + p)
			word, shift := bit/64, bit%64
			var d uint64
			if word < len(x) {
				d = x[word] >> shift
			}
			if word+1 < len(x) {
				d |= x[word+1] << (64 - shift) // 0 for a shift by 64
			}
			lane[i] = d & digitMask
		}
	}
}

// unpack ignores digits beyond the end of x: they are 0, since numbers are less than 4n.
func (k *ifma) unpack(x, z []uint64) {
	clear(x)
	for p := range k.vectors {
		for i, d := range z[lanes*p:][:lanes] {
			bit := digitBits * (k.vectors*i + p)
			word, shift := bit/64, bit%64
			if word < len(x) {
				x[word] |= d << shift
			}
			if word+1 < len(x) {
				x[word+1] |= d >> (64 - shift)
			}
		}
	}
}

func (k *ifma) wipeModulus() { clear(k.context) }

func (k *ifma) mul(z, x, y, _ []uint64) {
	k.ifmaShape.mul(&z[0], &x[0], &y[0], &k.context[0])
}

func (k *ifma) sqr(z []uint64, n int, _ []uint64) {
	k.ifmaShape.sqr(&z[0], &k.context[0], n)
}

func (k *ifma) gather(z, table []uint64, index int) {
	k.ifmaShape.gather(&z[0], &table[0], index)
}
