package main

import (
	"encoding/hex"
	"fmt"
	"math/big"
)

// pair is a client key under one sharing, with the server key of a composite or without.
type pair struct {
	sharing string
	key     *key
	server  *key
}

func (p pair) n() *big.Int {
	if p.server == nil {
		return p.key.n
	}
	return new(big.Int).Mul(p.key.n, p.server.n)
}

func (p pair) name() string {
	if p.server == nil {
		return p.sharing + "/" + p.key.name
	}
	return p.sharing + "/" + p.key.name + "/" + p.server.name
}

func (p pair) fields() T {
	n := p.n()
	t := T{"name": p.name(), "sharing": p.sharing, "shape": "two-prime", "key": p.key.object(), "n": fix(n, (n.BitLen()+7)/8), "e": p.key.e.Int64()}
	if p.server != nil {
		t["shape"], t["serverKey"] = "composite", p.server.object()
	}
	return t
}

// flags says what is unusual about the pair itself.
func (p pair) flags() []string {
	var fl []string
	if p.server != nil && p.n().BitLen() < p.key.n.BitLen()+p.server.n.BitLen() {
		fl = append(fl, "CompositeShort")
	}
	if p.n().BitLen()%8 == 1 {
		fl = append(fl, "EmLenShort")
	}
	if p.key.kindP == ordinary {
		fl = append(fl, "OrdinaryPrimes")
	}
	return fl
}

func twoPrime() []pair {
	return []pair{
		{"multiplicative", device(2048, 1), nil}, {"additive", device(2048, 1), nil},
		{"multiplicative", device(3072, 1), nil}, {"additive", device(3072, 1), nil},
		{"multiplicative", device(2048, 2), nil}, {"multiplicative", device(2048, 3), nil},
		{"additive", ordinaryKey(2048, 1), nil},
	}
}

func composites() []pair {
	return []pair{
		{"multiplicative", device(2048, 1), server(2048, 1)}, {"additive", device(2048, 1), server(2048, 1)},
		{"multiplicative", device(3072, 1), server(3072, 1)}, {"additive", device(3072, 1), server(3072, 1)},
		{"multiplicative", device(2048, 2), server(2048, 2)}, {"additive", ordinaryKey(2048, 1), server(2048, 1)},
		{"multiplicative", device(2048, 1), shortServer(2048)}, {"additive", device(2048, 1), shortServer(2048)},
		{"multiplicative", device(2048, 1), server2049()}, {"additive", device(2048, 1), server2049()},
		{"multiplicative", device(2048, 1), server(3072, 1)}, {"additive", device(3072, 1), server(2048, 1)},
	}
}

func partial() *file {
	f := &file{name: "partial", algorithm: "tandem-partial", schema: "partial", notes: map[string]note{
		"OutputLeadingZero": {"EDGE_CASE", "y begins with a zero byte.", "A partial signature without fixed width.", nil},
		"InputLeadingZero":  {"EDGE_CASE", "m1 begins with a zero byte (as every PKCS#1 v1.5 encoding does).", "A number without fixed width.", nil},
		"ShareLeadingZero":  {"EDGE_CASE", "x begins with eight zero bytes, or is zero.", "A share without fixed width.", nil},
		"ShareLength":       {"MODIFIED_PARAMETER", "x has not k1+8 bytes.", "A share of another key.", nil},
		"OtherKey":          {"MODIFIED_PARAMETER", "The message was encoded for a final key that is no multiple of n1, or has another e.", "An answer for a key that nobody asked for.", nil},
		"OrdinaryPrimes":    {"NORMAL", "A key whose primes are not l-safe, under additive sharing.", "", nil},
		"LargeModulus":      {"CAN_OF_WORMS", "n1 has more than 8192 bits.", "Work for the device.", nil},
	}}
	for _, p := range append(twoPrime(), composites()...) {
		g := f.group("Partial", p.fields())
		size := p.key.k() + 8
		put := func(id int, comment, form string, x []byte, m message, counter int, fl ...string) {
			d := deal(p.sharing, p.key, x)
			m1 := new(big.Int).Mod(m.int(), p.key.n)
			y := d.partial(m.int())
			if leadingZeros(i2osp(m1, p.key.k())) > 0 {
				fl = append(fl, "InputLeadingZero")
			}
			if leadingZeros(i2osp(y, p.key.k())) > 0 {
				fl = append(fl, "OutputLeadingZero")
			}
			t := m.put(T{"xForm": form, "x": hex.EncodeToString(x), "dc": d.dcHex(), "m1": fix(m1, p.key.k()), "y": fix(y, p.key.k())})
			if counter >= 0 {
				t["counter"] = counter
			}
			g.add(id, comment, flags(append(fl, p.flags()...)...), t)
		}
		for i := range 6 {
			id := f.next()
			put(id, "random share", "derived", f.derive(id, "x", size), f.message(id, i, p.n()), -1)
		}
		id := f.next()
		x := f.derive(id, "x", size)
		clear(x[:8])
		put(id, "x begins with eight zero bytes", "eight-zero-bytes", x, f.message(id, 0, p.n()), -1, "ShareLeadingZero")
		id = f.next()
		put(id, "x is zero", "zero", make([]byte, size), f.message(id, 1, p.n()), -1, "ShareLeadingZero")
		id = f.next()
		x = make([]byte, size)
		for i := range x {
			x[i] = 0xff
		}
		put(id, "x is the largest there is", "ones", x, f.message(id, 2, p.n()), -1, "ShareAllOnes")
		if p.key != device(2048, 1) {
			continue // the search takes its time
		}
		// Searched for: the digest is the first whose y begins with a zero byte.
		id = f.next()
		x = f.derive(id, "x", size)
		d := deal(p.sharing, p.key, x)
		digest, counter := f.search(id, "digest", 32, func(b []byte) bool {
			return leadingZeros(i2osp(d.partial(encode(hashes[0], "PKCS1", b, nil, p.n()).int()), p.key.k())) > 0
		})
		put(id, "y begins with a zero byte", "derived", x, encode(hashes[0], "PKCS1", digest, nil, p.n()), counter)
		if p.server != nil {
			// PSS: under PKCS #1 v1.5 the digest does not reach the upper bytes of m1.
			id = f.next()
			salt := f.derive(id, "salt", 32)
			digest, counter = f.search(id, "digest", 32, func(b []byte) bool {
				m1 := new(big.Int).Mod(encode(hashes[0], "PSS", b, salt, p.n()).int(), p.key.n)
				return leadingZeros(i2osp(m1, p.key.k())) > 0
			})
			put(id, "m1 begins with a zero byte", "derived", f.derive(id, "x", size), encode(hashes[0], "PSS", digest, salt, p.n()), counter)
		}
	}
	f.refusedPartials()
	return f
}

// refusedPartials are shares and messages that a device refuses.
func (f *file) refusedPartials() {
	h := hashes[0]
	for _, sharing := range []string{"multiplicative", "additive"} {
		for _, bits := range []int{2048, 3072} {
			k := device(bits, 1)
			g := f.group("PartialRefused", T{"sharing": sharing, "key": k.object()})
			for _, size := range []int{0, 1, 8, k.k() - 1, k.k(), k.k() + 7, k.k() + 9, 2 * (k.k() + 8)} {
				id := f.next()
				g.add(id, fmt.Sprintf("a share of %d bytes", size), flags("ShareLength"), refuse(T{
					"change": "none", "n1": fix(k.n, k.k()), "e1": k.e.Int64(), "xEnc": hex.EncodeToString(f.derive(id, "x", size))}, "parse-share", "ErrShare"))
			}
			bad := func(comment, change, flag string, n []byte, e int64) {
				id := f.next()
				label := "x"
				g.add(id, comment, flags(flag), refuse(T{"change": change, "n1": hex.EncodeToString(n), "e1": e,
					"xEnc": hex.EncodeToString(f.derive(id, label, len(n)+8))}, "check-key", "ErrKey"))
			}
			bad("n1-1 in place of n1", "n1-1", "EvenModulus", i2osp(new(big.Int).Sub(k.n, one), k.k()), 65537)
			bad("e = 1", "none", "ExponentOne", k.n.Bytes(), 1)
			bad("e = 65536", "none", "ExponentEven", k.n.Bytes(), 65536)
			for _, l := range []length{{1024, "SmallModulus"}, {2040, "SmallModulus"}, {2049, "OddModulusBits"}, {2060, "OddModulusBits"}, {8200, "LargeModulus"}} {
				name := fmt.Sprintf("modulus/%d", l.bits)
				bad(fmt.Sprintf("n1 of %d bits", l.bits), name, l.flag, modulus(name, l.bits), 65537)
			}
			other := func(comment, change string, n *big.Int, e int64) {
				id := f.next()
				m := f.messageAs(id, "digest", h, "PKCS1", n)
				t := m.put(T{"change": change, "n1": fix(k.n, k.k()), "e1": k.e.Int64(), "x": hex.EncodeToString(f.derive(id, "x", k.k()+8)),
					"n": fix(n, (n.BitLen()+7)/8), "e": e})
				g.add(id, comment, flags("OtherKey"), refuse(t, "check-message", "ErrMessage"))
			}
			o := device(bits, 3)
			other("encoded for another client key", "other-key", o.n, 65537)
			other("encoded for n1 with another e", "other-e", k.n, 3)
			other("encoded for a composite without n1", "other-composite", new(big.Int).Mul(o.n, server(bits, 1).n), 65537)
			other("encoded for n1+2", "n1+2", new(big.Int).Add(k.n, big.NewInt(2)), 65537)
		}
	}
}

// length is the length of a modulus that is not accepted, and its flag.
type length struct {
	bits int
	flag string
}
