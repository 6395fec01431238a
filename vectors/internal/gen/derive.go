package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/bits"
	"sync"
)

// seed is SHA-256 of a sentence, so that nobody could have chosen it.
var seed = sha256.Sum256([]byte("tandem test vectors, version 1"))

// stream is the first n bytes of SHAKE256(seed || I2OSP(len(label), 2) || label).
func stream(label string, n int) []byte {
	out := make([]byte, n)
	reader(label).Read(out)
	return out
}

func reader(label string) *sha3.SHAKE {
	s := sha3.NewSHAKE256()
	s.Write(seed[:])
	s.Write(binary.BigEndian.AppendUint16(nil, uint16(len(label))))
	s.Write([]byte(label))
	return s
}

// Kinds of primes. All but short have their upper three bits set.
const (
	lSafe        = "l-safe"         // = 3 mod 4; (p-1)/2 has no prime factor to 65537
	ordinary     = "ordinary"       // odd
	short        = "short"          // odd, its first byte is b6: a little above 2^-1/2
	oneModFour   = "one-mod-four"   // = 1 mod 4; (p-1)/4 has no odd prime factor to 65537
	factor65537  = "factor-65537"   // l-safe but for the factor 65537
	factor65539  = "factor-65539"   // l-safe, with the factor 65539
	factor33bits = "factor-33-bits" // l-safe, with the factor 4294967311
	factor2to40  = "factor-2-40"    // = 1 mod 2^40, not 2^41; else as one-mod-four
	roca         = "roca"           // odd, a power of 65537 mod rocaProduct

	// l-safe, and the first from a number on, in steps of 4.
	nextLSafe   = "next-l-safe"   // after p
	fermatLSafe = "fermat-l-safe" // from p + 2^(L/2+4) up: some 35 Fermat steps
	apartLSafe  = "apart-l-safe"  // from p + 2^(L-100) up
	withinLSafe = "within-l-safe" // below p + 2^(L-100), down
	abovePower  = "above-power"   // from 2^(L-1) + 2^(L-103) up
	belowPower  = "below-power"   // below 2^L - 2^(L-101), down
)

// factors are the r of the kinds whose candidates are 2r+1 modulo 4r.
var factors = map[string]uint64{factor65537: 65537, factor65539: 65539, factor33bits: 4294967311, factor2to40: 1 << 39}

func power(bits int) *big.Int { return new(big.Int).Lsh(one, uint(bits)) }

// near is the first candidate of the kinds that start from a number, and the step to the
// next; p is the other prime, which is 3 mod 4. The step is 0 for other kinds.
func near(kind string, p *big.Int, bitLen int) (from *big.Int, step int64) {
	switch kind {
	case nextLSafe:
		return new(big.Int).Add(p, big.NewInt(4)), 4
	case fermatLSafe:
		return new(big.Int).Add(p, power(bitLen/2+4)), 4
	case apartLSafe:
		return new(big.Int).Add(p, power(bitLen-100)), 4
	case withinLSafe:
		return new(big.Int).Sub(new(big.Int).Add(p, power(bitLen-100)), big.NewInt(4)), -4
	case abovePower:
		return new(big.Int).Add(new(big.Int).Add(power(bitLen-1), power(bitLen-103)), big.NewInt(3)), 4
	case belowPower:
		return new(big.Int).Sub(new(big.Int).Sub(power(bitLen), power(bitLen-101)), one), -4
	}
	return nil, 0
}

// rocaProduct is M of RSALib for keys of 1984 to 3936 bits: the product of the first 126
// primes.
var rocaProduct = sync.OnceValue(func() *big.Int {
	m := big.NewInt(2)
	for _, r := range oddPrimes() {
		if r <= 701 {
			m.Mul(m, new(big.Int).SetUint64(r))
		}
	}
	return m
})

var oddPrimes = sync.OnceValue(func() []uint64 {
	var ps []uint64
	for i := uint64(3); i <= 65537; i += 2 {
		prime := true
		for _, r := range ps {
			if r*r > i {
				break
			}
			if i%r == 0 {
				prime = false
				break
			}
		}
		if prime {
			ps = append(ps, i)
		}
	}
	return ps
})

// primeGroup is a few primes whose product fits in a word.
type primeGroup struct {
	product uint
	primes  []uint
}

var groups = sync.OnceValue(func() (gs []primeGroup) {
	g := primeGroup{product: 1}
	for _, r := range oddPrimes() {
		if hi, lo := bits.Mul(g.product, uint(r)); hi == 0 {
			g.product = lo
		} else {
			gs = append(gs, g)
			g = primeGroup{product: uint(r)}
		}
		g.primes = append(g.primes, uint(r))
	}
	return append(gs, g)
})

// key is an RSA key of the vectors.
type key struct {
	name           string
	kindP, kindQ   string
	pBits, qBits   int
	p, q           *big.Int
	pIndex, qIndex int
	n, e, d, l     *big.Int // l is lambda
}

func (k *key) k() int { return (k.n.BitLen() + 7) / 8 }

func (k *key) half() int { return (max(k.pBits, k.qBits) + 7) / 8 }

var one = big.NewInt(1)

// shape turns the bytes of a candidate into the candidate.
func shape(kind string, c *big.Int, bitLen int) *big.Int {
	switch kind {
	case short:
		// The upper eight bits are b6.
		c.And(c, new(big.Int).Sub(new(big.Int).Lsh(one, uint(bitLen-8)), one))
		c.Or(c, new(big.Int).Lsh(big.NewInt(0xb6), uint(bitLen-8)))
	default:
		for i := 1; i <= 3; i++ {
			c.SetBit(c, bitLen-i, 1)
		}
	}
	switch kind {
	case lSafe:
		c.SetBit(c, 0, 1).SetBit(c, 1, 1)
	case oneModFour:
		c.SetBit(c, 0, 1).SetBit(c, 1, 0)
	case ordinary, short:
		c.SetBit(c, 0, 1)
	case roca:
		a := new(big.Int).And(c, big.NewInt(1<<32-1))
		c.Sub(c, new(big.Int).Mod(c, rocaProduct()))
		c.Add(c, a.Exp(big.NewInt(65537), a, rocaProduct()))
	case factor65537, factor65539, factor33bits, factor2to40:
		// The number = 2r+1 mod 4r in the block of 4r that c lies in: for an odd r = 3
		// mod 4.
		r := new(big.Int).SetUint64(factors[kind])
		c.Sub(c, new(big.Int).Mod(c, new(big.Int).Lsh(r, 2)))
		c.Add(c, new(big.Int).Lsh(r, 1)).Add(c, one)
	}
	return c
}

// qualifies is the rule for the candidates of each kind.
func qualifies(kind string, c, e *big.Int, bitLen int) bool {
	if c.BitLen() != bitLen {
		return false
	}
	safe := kind != ordinary && kind != short && kind != roca
	words := c.Bits()
	for _, g := range groups() {
		// c modulo a product of primes that fits in a word, then modulo each of them.
		var rem uint
		for i := len(words) - 1; i >= 0; i-- {
			_, rem = bits.Div(rem, uint(words[i]), g.product)
		}
		for _, r := range g.primes {
			if x := rem % r; x == 0 || x == 1 && safe && uint64(r) != factors[kind] {
				return false
			}
		}
	}
	if new(big.Int).GCD(nil, nil, e, new(big.Int).Sub(c, one)).Cmp(one) != 0 {
		return false
	}
	return c.ProbablyPrime(32)
}

// prime returns the first candidate of a label that qualifies, and its number. p is the
// other prime, if it is known.
func prime(label, kind string, bitLen int, e, p *big.Int) (*big.Int, int) {
	if c, step := near(kind, p, bitLen); step != 0 {
		for i := 0; ; i++ {
			if qualifies(kind, c, e, bitLen) {
				return c, i
			}
			c.Add(c, big.NewInt(step))
		}
	}
	size := (bitLen + 7) / 8
	r := reader(label)
	b := make([]byte, size)
	mask := new(big.Int).Sub(new(big.Int).Lsh(one, uint(bitLen)), one)
	for i := 0; ; i++ {
		r.Read(b)
		c := new(big.Int).SetBytes(b)
		if shape(kind, c.And(c, mask), bitLen); qualifies(kind, c, e, bitLen) {
			return c, i
		}
	}
}

var (
	keysMu sync.Mutex
	keys   = map[string]func() *key{}
)

// newKey derives the key name from the labels key/name/p and key/name/q, once.
func newKey(name, kindP, kindQ string, pBits, qBits int, e int64) *key {
	keysMu.Lock()
	get := keys[name]
	if get == nil {
		get = sync.OnceValue(func() *key {
			k := &key{name: name, kindP: kindP, kindQ: kindQ, pBits: pBits, qBits: qBits, e: big.NewInt(e)}
			k.p, k.pIndex = prime("key/"+name+"/p", kindP, pBits, k.e, nil)
			k.q, k.qIndex = prime("key/"+name+"/q", kindQ, qBits, k.e, k.p)
			k.complete()
			return k
		})
		keys[name] = get
	}
	keysMu.Unlock()
	return get()
}

func (k *key) complete() {
	p1, q1 := new(big.Int).Sub(k.p, one), new(big.Int).Sub(k.q, one)
	k.n = new(big.Int).Mul(k.p, k.q)
	k.l = lcm(p1, q1)
	k.d = new(big.Int).ModInverse(k.e, k.l)
}

func lcm(a, b *big.Int) *big.Int {
	g := new(big.Int).GCD(nil, nil, a, b)
	return g.Mul(new(big.Int).Quo(a, g), b)
}

func (k *key) rsa() *rsa.PrivateKey {
	r := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: k.n, E: int(k.e.Int64())}, D: k.d, Primes: []*big.Int{k.p, k.q}}
	r.Precompute()
	must(r.Validate())
	return r
}

// exp returns c^x mod n, by the Chinese remainder theorem, since it is called thousands
// of times.
func (k *key) exp(c, x *big.Int) *big.Int {
	yp := new(big.Int).Exp(c, new(big.Int).Mod(x, new(big.Int).Sub(k.p, one)), k.p)
	yq := new(big.Int).Exp(c, new(big.Int).Mod(x, new(big.Int).Sub(k.q, one)), k.q)
	h := new(big.Int).Sub(yp, yq)
	h.Mul(h, new(big.Int).ModInverse(k.q, k.p)).Mod(h, k.p)
	return h.Mul(h, k.q).Add(h, yq)
}

// object is the key as the files have it.
func (k *key) object() T {
	return T{
		"name": k.name, "kindP": k.kindP, "kindQ": k.kindQ, "pBits": k.pBits, "qBits": k.qBits,
		"pIndex": k.pIndex, "qIndex": k.qIndex,
		"p": fix(k.p, k.half()), "q": fix(k.q, k.half()),
		"n": fix(k.n, k.k()), "e": k.e.Int64(), "lambda": fix(k.l, k.k()), "d": fix(k.d, k.k()),
	}
}

// fix is a number in hex of a fixed width in bytes.
func fix(x *big.Int, size int) string { return hex.EncodeToString(i2osp(x, size)) }

func i2osp(x *big.Int, size int) []byte { return x.FillBytes(make([]byte, size)) }

func os2ip(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

// The keys of the vectors.
func device(bits, number int) *key {
	e := map[int]int64{1: 65537, 2: 3, 3: 2147483647}[number]
	return newKey(fmt.Sprintf("device-%d-%d", bits, number), lSafe, lSafe, bits/2, bits/2, e)
}

func server(bits, number int) *key {
	e := map[int]int64{1: 65537, 2: 3, 3: 2147483647}[number]
	return newKey(fmt.Sprintf("server-%d-%d", bits, number), ordinary, ordinary, bits/2, bits/2, e)
}

func ordinaryKey(bits, number int) *key {
	e := map[int]int64{1: 65537, 2: 3}[number]
	return newKey(fmt.Sprintf("ordinary-%d-%d", bits, number), ordinary, ordinary, bits/2, bits/2, e)
}

// shortServer is a server key whose product with a client key is one bit short.
func shortServer(bits int) *key {
	return newKey(fmt.Sprintf("server-short-%d", bits), short, short, bits/2, bits/2, 65537)
}

// server2049 makes composites of 4097 bits: 1 more than a multiple of 8.
func server2049() *key {
	return newKey("server-2049", ordinary, ordinary, 1025, 1024, 65537)
}

func leadingZeros(b []byte) int { return len(b) - len(bytes.TrimLeft(b, "\x00")) }
