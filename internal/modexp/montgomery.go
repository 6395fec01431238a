package modexp

import "math/bits"

// windowBits is the size of the exponentiation's fixed window. With 6, the table's
// entries would cost more to make and to read than the multiplications saved.
const windowBits = 5

// montgomery is arithmetic on top of a kernel.
type montgomery struct {
	kernel
	n []uint64

	one []uint64 // R mod n, which stands for 1
	rr  []uint64 // R^2 mod n: x*rr/R stands for x

	// reduce splits its argument into digits of digit bytes, as many as n fills, so
	// that a digit is less than 2n.
	digit int
	radix []uint64 // 2^(8*digit) mod n, as it is
}

// newMontgomery computes the constants of n, in constant time: n may be a secret prime.
func newMontgomery(k kernel, n []uint64) *montgomery {
	bitLen := modulusLength(n)
	w := k.words()
	constants := aligned(3 * w)
	m := &montgomery{kernel: k, n: n, one: constants[:w], rr: constants[w : 2*w], radix: constants[2*w:], digit: bitLen / 8}
	a := newArena()
	defer a.wipe()
	tmp, x := a.take(2*len(n)), a.take(len(n)+1)

	// The highest power of two below n has as many bits as n. Doublings make R of it.
	r := x[:len(n)]
	r[(bitLen-1)/64] = 1 << ((bitLen - 1) % 64)
	if bitLen%8 == 0 {
		addMod(r, r, n)
		m.pack(m.radix, r)
	} else {
		x := a.take(len(n))
		x[m.digit/8] = 1 << (m.digit % 8 * 8)
		m.pack(m.radix, x)
		addMod(r, r, n)
	}
	for range k.radixBits() - bitLen {
		addMod(r, r, n)
	}
	m.pack(m.one, r)

	// If z stands for 2^f, its square stands for 2^2f and its double for 2^(f+1). What
	// stands for R = 2^radixBits is R^2.
	addMod(r, r, n)
	m.pack(m.rr, r)
	for i := bits.Len(uint(k.radixBits())) - 2; i >= 0; i-- {
		m.square(m.rr, 1, tmp)
		if k.radixBits()>>i&1 == 1 {
			m.reduced(x, m.rr)
			addMod(r, r, n)
			m.pack(m.rr, r)
		}
	}
	return m
}

func (m *montgomery) wipe() {
	clear(m.one)
	clear(m.rr)
	clear(m.radix)
	m.wipeModulus()
}

// exp works through the exponent from the top in windows of windowBits bits: square that
// often, multiply by a power of the base taken from a table.
func (m *montgomery) exp(x []uint64, exponent []byte) {
	const entries = 1 << windowBits
	a := newArena()
	defer a.wipe()
	w := m.words()
	table, acc, t, tmp := a.take(entries*w), a.take(w), a.take(w), a.take(2*len(m.n))
	power := func(i int) []uint64 { return table[i*w:][:w] }

	m.pack(t, x)
	copy(power(0), m.one)
	m.product(power(1), t, m.rr, tmp)
	for i := 2; i < entries; i += 2 {
		copy(power(i), power(i/2))
		m.square(power(i), 1, tmp)
		m.product(power(i+1), power(i), power(1), tmp)
	}

	// The first window takes what is left over by the others, which is public.
	pos := 8 * len(exponent)
	first := pos % windowBits
	if first > 0 {
		pos -= first
		m.gather(acc, table, bitsAt(exponent, pos, first))
	} else {
		copy(acc, m.one)
	}
	for pos > 0 {
		pos -= windowBits
		m.square(acc, windowBits, tmp)
		m.gather(t, table, bitsAt(exponent, pos, windowBits))
		m.product(acc, acc, t, tmp)
	}

	clear(t)
	t[0] = 1
	m.product(acc, acc, t, tmp)
	m.store(x, acc, a)
}

// expShortVarTime is square-and-multiply. A last multiplication by the base, or by 1,
// as it is, also takes the result out of the Montgomery domain.
func (m *montgomery) expShortVarTime(x []uint64, e uint) {
	a := newArena()
	defer a.wipe()
	w := m.words()
	plain, base, acc, tmp := a.take(w), a.take(w), a.take(w), a.take(2*len(m.n))
	m.pack(plain, x)
	m.product(base, plain, m.rr, tmp)
	copy(acc, m.one)
	squarings := 0
	for i := bits.Len(e) - 1; i > 0; i-- {
		if e>>i&1 == 1 {
			m.squareMany(acc, squarings, tmp)
			m.product(acc, acc, base, tmp)
			squarings = 0
		}
		squarings++
	}
	m.squareMany(acc, squarings, tmp)
	if e&1 == 0 {
		clear(plain)
		plain[0] = 1
	}
	m.product(acc, acc, plain, tmp)
	m.store(x, acc, a)
}

func (m *montgomery) squareMany(z []uint64, n int, tmp []uint64) {
	for ; n > windowBits; n -= windowBits {
		m.square(z, windowBits, tmp)
	}
	if n > 0 {
		m.square(z, n, tmp)
	}
}

func (m *montgomery) mul(x, y []uint64) {
	a := newArena()
	defer a.wipe()
	u, v, tmp := a.take(m.words()), a.take(m.words()), a.take(2*len(m.n))
	m.pack(u, x)
	m.pack(v, y)
	m.product(u, u, m.rr, tmp)
	m.product(u, u, v, tmp)
	m.store(x, u, a)
}

// reduce is Horner's rule in digits of the length of n.
func (m *montgomery) reduce(x []uint64, b []byte) {
	a := newArena()
	defer a.wipe()
	t, tmp := a.take(m.words()), a.take(2*len(m.n))
	wide, digit := a.take(len(m.n)+1), a.take(len(m.n))
	sum := wide[:len(m.n)]
	for first := true; len(b) > 0; first = false {
		if !first {
			// sum*radix = (sum*R^2/R) * radix / R
			m.pack(t, sum)
			m.product(t, t, m.rr, tmp)
			m.product(t, t, m.radix, tmp)
			m.reduced(wide, t)
		}
		length := len(b) % m.digit
		if length == 0 {
			length = m.digit
		}
		SetBytes(digit, b[:length])
		subIfNotLess(digit, m.n)
		addMod(sum, digit, m.n)
		b = b[length:]
	}
	copy(x, sum)
}

// store sets x = z mod n.
func (m *montgomery) store(x, z []uint64, a *arena) {
	wide := a.take(len(m.n) + 1)
	m.reduced(wide, z)
	copy(x, wide)
}

// reduced sets x = z mod n; x is one word longer than n.
func (m *montgomery) reduced(x, z []uint64) {
	m.unpack(x, z)
	for range m.excess() {
		subIfNotLess(x, m.n)
	}
}

// subIfNotLess subtracts n from x if x >= n. x may be longer than n.
func subIfNotLess(x, n []uint64) {
	var borrow uint64
	for i := range n {
		_, borrow = bits.Sub64(x[i], n[i], borrow)
	}
	for _, w := range x[len(n):] {
		_, borrow = bits.Sub64(w, 0, borrow)
	}
	subMasked(x, n, borrow-1)
}

// bitsAt returns the count bits of the big-endian number b, at most 8, that begin at
// bit pos from the lowest; there must be as many. pos is public.
func bitsAt(b []byte, pos, count int) int {
	i := len(b) - 1 - pos/8
	w := uint(b[i])
	if i > 0 {
		w |= uint(b[i-1]) << 8
	}
	return int(w >> (pos % 8) & (1<<count - 1))
}

// product and square are the kernel's, with the bounds checked in a debug build.
func (m *montgomery) product(z, x, y, tmp []uint64) {
	m.kernel.mul(z, x, y, tmp)
	if debug {
		m.check(z)
	}
}

func (m *montgomery) square(z []uint64, n int, tmp []uint64) {
	m.sqr(z, n, tmp)
	if debug {
		m.check(z)
	}
}

// check panics unless z is in the kernel's format and less than (excess+1)*n.
func (m *montgomery) check(z []uint64) {
	x, again := make([]uint64, len(m.n)+1), aligned(m.words())
	m.unpack(x, z)
	m.pack(again, x)
	for i := range z {
		if z[i] != again[i] {
			panic("modexp: internal error: number is not normalized")
		}
	}
	for range m.excess() {
		subIfNotLess(x, m.n)
	}
	y := append([]uint64(nil), x...)
	subIfNotLess(y, m.n)
	for i := range x {
		if x[i] != y[i] {
			panic("modexp: internal error: number exceeds its bound")
		}
	}
}
