//go:build amd64 && !purego

package modexp

//go:noescape
func adxMulRow(t, x, y *uint64, blocks int)

//go:noescape
func adxSqrRow(t, x *uint64, blocks int)

//go:noescape
func adxSqrFinish(t, x *uint64, blocks int)

//go:noescape
func adxReduceRow(t, n *uint64, k0, carry uint64, blocks int) (carryOut uint64)

//go:noescape
func adxSubMasked(z, t, n *uint64, mask uint64, blocks int)

//go:noescape
func adxGather(z, table *uint64, index, blocks int)

// blockWords is the granularity of the assembly: _asm/adx.go explains rows and blocks.
const blockWords = 8

// adx is the MULX/ADX kernel modulo one n, of 16 words at least.
type adx struct {
	n      []uint64
	k0     uint64 // -1/n mod 2^64
	blocks int
}

func newADX(n []uint64) arithmetic {
	k := &adx{n: n, k0: -Inverse64(n[0]), blocks: len(n) / blockWords}
	return newMontgomery(k, n)
}

func (k *adx) words() int     { return len(k.n) }
func (k *adx) radixBits() int { return 64 * len(k.n) }

// excess: results are less than R, and so less than 2n.
func (k *adx) excess() int { return 1 }

func (k *adx) pack(z, x []uint64) { copy(z, x) }

// wipeModulus: k0 is one word of what was computed from n.
func (k *adx) wipeModulus() { k.k0 = 0 }

func (k *adx) unpack(x, z []uint64) {
	copy(x, z)
	x[len(z)] = 0
}

func (k *adx) mul(z, x, y, tmp []uint64) {
	clear(tmp[:len(x)])
	for i := 0; i < len(y); i += blockWords {
		adxMulRow(&tmp[i], &x[0], &y[i], k.blocks)
	}
	k.reduce(z, tmp)
}

func (k *adx) sqr(z []uint64, n int, tmp []uint64) {
	for range n {
		clear(tmp[:len(z)])
		for i := range k.blocks {
			adxSqrRow(&tmp[2*blockWords*i], &z[blockWords*i], k.blocks-i)
		}
		adxSqrFinish(&tmp[0], &z[0], k.blocks)
		k.reduce(z, tmp)
	}
}

// reduce sets z = t/R mod n, below R.
func (k *adx) reduce(z, t []uint64) {
	var carry uint64
	for i := 0; i < len(k.n); i += blockWords {
		carry = adxReduceRow(&t[i], &k.n[0], k.k0, carry, k.blocks)
	}
	adxSubMasked(&z[0], &t[len(k.n)], &k.n[0], -carry, k.blocks)
}

func (k *adx) gather(z, table []uint64, index int) {
	adxGather(&z[0], &table[0], index, k.blocks)
}
