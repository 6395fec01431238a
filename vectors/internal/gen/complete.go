package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
)

var completeNotes = map[string]note{
	"WrongPin":            {"NORMAL", "y was made with another share: what a wrong PIN gives.", "Unlimited guesses, if it is not counted.", nil},
	"WrongExponent":       {"KNOWN_BUG", "y was made with x in place of 2x+1, or 2x+1 in place of x.", "Shares of two kinds that do not work together.", nil},
	"OtherMessage":        {"MODIFIED_PARAMETER", "y was made for another digest.", "A signature of another document.", nil},
	"OtherKey":            {"MODIFIED_PARAMETER", "y was made with another key, or the message encoded for another one.", "An answer for another key.", nil},
	"OtherPadding":        {"MODIFIED_PARAMETER", "y was made for the same digest under the other padding.", "A signature of another kind than was asked for.", nil},
	"PartialZero":         {"EDGE_CASE", "y = 0, which every exponent fixes.", "A right answer for a thief without a PIN.", nil},
	"PartialOne":          {"EDGE_CASE", "y = 1, which every exponent fixes.", "A right answer for a thief without a PIN.", nil},
	"PartialNMinusOne":    {"EDGE_CASE", "y = n1-1, which every odd exponent fixes.", "A right answer for a thief without a PIN.", nil},
	"PartialEqualsN":      {"EDGE_CASE", "y = n1.", "Arithmetic on a number that is not reduced.", nil},
	"PartialGtN":          {"EDGE_CASE", "y > n1.", "Two encodings of one partial signature.", nil},
	"PartialShort":        {"MODIFIED_PARAMETER", "y has less than k1 bytes.", "Two encodings of one partial signature.", nil},
	"PartialLong":         {"MODIFIED_PARAMETER", "y has more than k1 bytes.", "Two encodings of one partial signature.", nil},
	"PartialSharesFactor": {"EDGE_CASE", "y has a factor in common with n1.", "A y without an inverse.", nil},
	"PartialModified":     {"MODIFIED_PARAMETER", "y is the right one, negated, inverted, squared, or with one bit changed.", "Forged partial signatures.", nil},
	"PartialSmall":        {"EDGE_CASE", "y = 2 or n1-2: the least and the largest that are looked at.", "A range check that is off by one.", nil},
	"ResultLeadingZero":   {"EDGE_CASE", "The signature begins with a zero byte.", "A signature without fixed width.", nil},
	"OrdinaryPrimes":      {"NORMAL", "A key whose primes are not l-safe, under additive sharing.", "", nil},
}

func complete() *file {
	f := &file{name: "complete", algorithm: "tandem-complete", schema: "complete", notes: completeNotes}
	for _, p := range twoPrime() {
		f.completions(p)
	}
	return f
}

func completeComposite() *file {
	f := &file{name: "complete_composite", algorithm: "tandem-complete-composite", schema: "complete", notes: map[string]note{
		"CompositeShort":  {"EDGE_CASE", "n1*n2 has one bit less than n1 and n2 together.", "A wrong emBits.", nil},
		"EmLenShort":      {"EDGE_CASE", "n has 1 bit more than a multiple of 8.", "An offset of one byte.", nil},
		"CrtFault1":       {"KNOWN_BUG", "The server key answers with a number that is wrong modulo p2 only.", "Whoever sees the signature factors n2 (Boneh, DeMillo, Lipton).", nil},
		"CrtFault2":       {"KNOWN_BUG", "The server key answers with a number that is wrong modulo q2 only.", "Whoever sees the signature factors n2 (Boneh, DeMillo, Lipton).", nil},
		"ServerKeyFault":  {"KNOWN_BUG", "The server key answers with a number that is wrong, not reduced or not as long as n2.", "An invalid signature is released.", nil},
		"CommonFactor":    {"WEAK_PARAMS", "n1 and n2 have a factor in common.", "No composition exists, and one key gives the other away.", nil},
		"ExponentsDiffer": {"MODIFIED_PARAMETER", "The server key has another e.", "No composition exists.", nil},
		"EvenModulus":     {"CAN_OF_WORMS", "n2 is even.", "Montgomery arithmetic gives nonsense.", nil},
		"SmallModulus":    {"WEAK_PARAMS", "n2 has less than 2048 bits.", "Weak keys.", nil},
		"LargeModulus":    {"CAN_OF_WORMS", "n2 has more than 8192 bits.", "Work for whoever verifies.", nil},
	}}
	for name, n := range completeNotes {
		f.notes[name] = n
	}
	for _, p := range composites() {
		f.completions(p)
	}
	f.refusedServerKeys()
	return f
}

// whole returns m^d mod n, with the exponent that only the vectors' author can know.
func (p pair) whole(m *big.Int) *big.Int {
	if p.own == nil {
		return p.key.exp(m, p.key.d)
	}
	// The Chinese remainder theorem over all four primes, in another form than section 3.3, step 5:
	// S = S1 * n2 * (n2^-1 mod n1) + S2 * n1 * (n1^-1 mod n2) mod n.
	s1 := p.key.exp(new(big.Int).Mod(m, p.key.n), p.key.d)
	s2 := p.own.exp(new(big.Int).Mod(m, p.own.n), p.own.d)
	s1.Mul(s1, p.own.n).Mul(s1, new(big.Int).ModInverse(p.own.n, p.key.n))
	s2.Mul(s2, p.key.n).Mul(s2, new(big.Int).ModInverse(p.key.n, p.own.n))
	return s1.Add(s1, s2).Mod(s1, p.n())
}

// verify is crypto/rsa's opinion of a signature.
func (p pair) verify(m message, sig []byte) {
	pub := &rsa.PublicKey{N: p.n(), E: int(p.key.e.Int64())}
	if m.padding == "PSS" {
		must(rsa.VerifyPSS(pub, m.hash.h, m.digest, sig, &rsa.PSSOptions{SaltLength: len(m.salt), Hash: m.hash.h}))
		return
	}
	must(rsa.VerifyPKCS1v15(pub, m.hash.h, m.digest, sig))
	if p.own == nil {
		want, err := rsa.SignPKCS1v15(nil, p.key.rsa(), m.hash.h, m.digest)
		must(err)
		if !bytes.Equal(want, sig) {
			panic("not the signature of crypto/rsa")
		}
	}
}

func (f *file) completions(p pair) {
	k1, n := p.key.k(), p.n()
	size := (n.BitLen() + 7) / 8
	x := stream("share/"+f.name+"/"+p.name()+"/x", k1+8)
	d := deal(p.sharing, p.key, x)
	fields := func() T {
		t := p.fields()
		t["x"], t["dc"], t["ds"] = hex.EncodeToString(x), d.dcHex(), fix(d.ds, k1)
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: int(p.key.e.Int64())})
		must(err)
		t["publicKeyPem"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		return t
	}

	g := f.group("Complete", fields())
	right := func(id int, comment string, m message, counter int, fl ...string) {
		em := m.int()
		y := d.partial(em)
		s1 := d.s1(y, em)
		s := p.whole(em)
		if new(big.Int).Mod(s, p.key.n).Cmp(s1) != 0 {
			panic("shares do not make the whole key's signature")
		}
		sig := i2osp(s, size)
		p.verify(m, sig)
		if leadingZeros(sig) > 0 {
			fl = append(fl, "ResultLeadingZero")
		}
		t := m.put(T{"yForm": "right", "m1": fix(new(big.Int).Mod(em, p.key.n), k1), "y": fix(y, k1), "s1": fix(s1, k1), "sig": hex.EncodeToString(sig)})
		if p.own != nil {
			k2 := p.own.k()
			t["m2"], t["s2"] = fix(new(big.Int).Mod(em, p.own.n), k2), fix(new(big.Int).Mod(s, p.own.n), k2)
		}
		if counter >= 0 {
			t["counter"] = counter
		}
		g.add(id, comment, flags(append(fl, p.flags()...)...), t)
	}
	for i := range 6 {
		id := f.next()
		right(id, "right share", f.message(id, i, n), -1)
	}
	if p.key == device(2048, 1) && p.sharing == "multiplicative" { // the search takes its time
		id := f.next()
		digest, counter := f.search(id, "digest", 32, func(b []byte) bool {
			return leadingZeros(i2osp(p.whole(encode(hashes[0], "PKCS1", b, nil, n).int()), size)) > 0
		})
		right(id, "the signature begins with a zero byte", encode(hashes[0], "PKCS1", digest, nil, n), counter)
	}

	// What no honest device sends.
	g = f.group("Malformed", fields())
	num := func(x *big.Int, delta int64) *big.Int { return new(big.Int).Add(x, big.NewInt(delta)) }
	ones := num(new(big.Int).Lsh(one, uint(8*k1)), -1)
	i := 0
	malformed := func(comment, form, flag string, enc func(y []byte) []byte) {
		id := f.next()
		m := f.message(id, i, n)
		i++
		y := i2osp(d.partial(m.int()), k1)
		t := m.put(T{"yForm": form, "yEnc": hex.EncodeToString(enc(y))})
		delete(t, "em")
		g.add(id, comment, flags(append(p.flags(), flag)...), refuse(t, "parse-partial", "ErrMalformedPartial"))
	}
	number := func(comment, form, flag string, v *big.Int) {
		malformed(comment, form, flag, func([]byte) []byte { return i2osp(v, k1) })
	}
	number("y = 0", "0", "PartialZero", new(big.Int))
	number("y = 1", "1", "PartialOne", one)
	number("y = n1-1", "n1-1", "PartialNMinusOne", num(p.key.n, -1))
	number("y = n1", "n1", "PartialEqualsN", p.key.n)
	number("y = n1+1", "n1+1", "PartialGtN", num(p.key.n, 1))
	number("y = n1+2", "n1+2", "PartialGtN", num(p.key.n, 2))
	number("y = 2^(8*k1)-1", "all-ones", "PartialGtN", ones)
	malformed("no bytes", "empty", "PartialShort", func(y []byte) []byte { return nil })
	malformed("one byte: 2", "one-byte", "PartialShort", func(y []byte) []byte { return []byte{2} })
	malformed("y without its first byte", "without-first", "PartialShort", func(y []byte) []byte { return y[1:] })
	malformed("y without its last byte", "without-last", "PartialShort", func(y []byte) []byte { return y[:k1-1] })
	malformed("a zero byte before y", "zero-before", "PartialLong", func(y []byte) []byte { return append([]byte{0}, y...) })
	malformed("a zero byte after y", "zero-after", "PartialLong", func(y []byte) []byte { return append(bytes.Clone(y), 0) })
	malformed("y+n1 in k1+1 bytes", "plus-n1", "PartialLong", func(y []byte) []byte { return i2osp(new(big.Int).Add(os2ip(y), p.key.n), k1+1) })
	malformed("y twice", "twice", "PartialLong", func(y []byte) []byte { return append(bytes.Clone(y), y...) })

	// What a wrong PIN gives, and everything that must not be told from it.
	t := fields()
	t["indistinguishable"] = true
	g = f.group("Wrong", t)
	wrong := func(comment, form, flag string, make func(id int, m message, y *big.Int) *big.Int) {
		id := f.next()
		m := f.message(id, i, n)
		i++
		bad := make(id, m, d.partial(m.int()))
		em := m.int()
		if s := d.s1(bad, em); new(big.Int).Exp(s, p.key.e, p.key.n).Cmp(new(big.Int).Mod(em, p.key.n)) == 0 {
			panic("this y is right")
		}
		t := m.put(T{"yForm": form, "y": fix(bad, k1)})
		delete(t, "em")
		g.add(id, comment, flags(append(p.flags(), flag)...), refuse(t, "check-partial", "ErrPartial"))
	}
	for range 4 {
		wrong("another share", "other-x", "WrongPin", func(id int, m message, _ *big.Int) *big.Int {
			return deal(p.sharing, p.key, f.derive(id, "otherX", k1+8)).partial(m.int())
		})
	}
	wrong("the share with one bit changed", "x-bit", "WrongPin", func(_ int, m message, _ *big.Int) *big.Int {
		z := bytes.Clone(x)
		z[0] ^= 0x80
		return deal(p.sharing, p.key, z).partial(m.int())
	})
	wrong("x and 2x+1 mistaken for one another", "other-exponent", "WrongExponent", func(_ int, m message, _ *big.Int) *big.Int {
		e := os2ip(x)
		if p.sharing == "additive" {
			e.Lsh(e, 1).Add(e, one)
		}
		return p.key.exp(new(big.Int).Mod(m.int(), p.key.n), e)
	})
	wrong("another digest", "other-digest", "OtherMessage", func(id int, m message, _ *big.Int) *big.Int {
		return d.partial(encode(m.hash, m.padding, f.derive(id, "otherDigest", len(m.digest)), m.salt, n).int())
	})
	wrong("the other padding", "other-padding", "OtherPadding", func(id int, m message, _ *big.Int) *big.Int {
		if m.padding == "PSS" {
			return d.partial(encode(m.hash, "PKCS1", m.digest, nil, n).int())
		}
		return d.partial(encode(m.hash, "PSS", m.digest, f.derive(id, "otherSalt", len(m.digest)), n).int())
	})
	wrong("y times m1", "times-m1", "WrongExponent", func(_ int, m message, y *big.Int) *big.Int {
		// y*m1 or y/m1: what a device and a server that disagree about a summand would send.
		return new(big.Int).Mod(new(big.Int).Mul(y, m.int()), p.key.n)
	})
	wrong("a partial signature by device-2048-3, reduced modulo n1", "other-key", "OtherKey", func(_ int, m message, _ *big.Int) *big.Int {
		y := deal(p.sharing, device(2048, 3), x[:264]).partial(m.int())
		if p.key == device(2048, 3) {
			y = deal(p.sharing, device(2048, 1), x[:264]).partial(m.int())
		}
		return y.Mod(y, p.key.n)
	})
	value := func(comment, form, flag string, v *big.Int) {
		wrong(comment, form, flag, func(int, message, *big.Int) *big.Int { return v })
	}
	value("y = p", "p", "PartialSharesFactor", p.key.p)
	value("y = q", "q", "PartialSharesFactor", p.key.q)
	value("y = n1-p", "n1-p", "PartialSharesFactor", new(big.Int).Sub(p.key.n, p.key.p))
	value("y = 2q", "2q", "PartialSharesFactor", new(big.Int).Lsh(p.key.q, 1))
	value("y = 2", "2", "PartialSmall", big.NewInt(2))
	value("y = n1-2", "n1-2", "PartialSmall", num(p.key.n, -2))
	wrong("n1-y", "negated", "PartialModified", func(_ int, _ message, y *big.Int) *big.Int { return new(big.Int).Sub(p.key.n, y) })
	wrong("y^-1 mod n1", "inverse", "PartialModified", func(_ int, _ message, y *big.Int) *big.Int { return new(big.Int).ModInverse(y, p.key.n) })
	wrong("y^2 mod n1", "square", "PartialModified", func(_ int, _ message, y *big.Int) *big.Int {
		return new(big.Int).Mod(new(big.Int).Mul(y, y), p.key.n)
	})
	wrong("y with its last bit changed", "last-bit", "PartialModified", func(_ int, _ message, y *big.Int) *big.Int {
		return new(big.Int).Xor(y, one)
	})
	wrong("m1", "m1", "PartialModified", func(_ int, m message, _ *big.Int) *big.Int { return new(big.Int).Mod(m.int(), p.key.n) })

	// Right partial signatures for messages that belong to another final key.
	g = f.group("OtherMessage", fields())
	for _, o := range []struct {
		comment, change string
		n               *big.Int
	}{
		{"encoded for n+2", "n+2", num(n, 2)},
		{"encoded for device-2048-3, or device-2048-1 where that is the key", "other-key", otherModulus(p.key)},
	} {
		id := f.next()
		m := f.messageAs(id, "digest", hashes[0], "PKCS1", o.n)
		t := m.put(T{"change": o.change, "yForm": "right", "y": fix(d.partial(m.int()), k1), "otherN": fix(o.n, (o.n.BitLen()+7)/8)})
		g.add(id, o.comment, flags(append(p.flags(), "OtherKey")...), refuse(t, "check-message", "ErrMessage"))
	}
	if p.own != nil {
		f.faults(p, d, fields())
	}
}

func otherModulus(k *key) *big.Int {
	if k == device(2048, 3) {
		return device(2048, 1).n
	}
	return device(2048, 3).n
}

// faults are wrong answers of a server key to a right partial signature.
func (f *file) faults(p pair, d dealt, fields T) {
	g := f.group("Fault", fields)
	n, n2, k1, k2 := p.n(), p.own.n, p.key.k(), p.own.k()
	mod := func(x *big.Int) []byte { return i2osp(x.Mod(x, n2), k2) }
	for i, c := range []struct {
		comment, form, flag string
		answer              func(s2, m2 *big.Int) []byte
	}{
		{"wrong modulo p2: s2+q2", "plus-q2", "CrtFault1", func(s2, _ *big.Int) []byte { return mod(s2.Add(s2, p.own.q)) }},
		{"wrong modulo q2: s2+p2", "plus-p2", "CrtFault2", func(s2, _ *big.Int) []byte { return mod(s2.Add(s2, p.own.p)) }},
		{"s2-q2", "minus-q2", "CrtFault1", func(s2, _ *big.Int) []byte { return mod(s2.Sub(s2, p.own.q)) }},
		{"s2-p2", "minus-p2", "CrtFault2", func(s2, _ *big.Int) []byte { return mod(s2.Sub(s2, p.own.p)) }},
		{"n2-s2", "negated", "ServerKeyFault", func(s2, _ *big.Int) []byte { return mod(s2.Neg(s2)) }},
		{"the message itself", "m2", "ServerKeyFault", func(_, m2 *big.Int) []byte { return i2osp(m2, k2) }},
		{"0", "0", "ServerKeyFault", func(_, _ *big.Int) []byte { return make([]byte, k2) }},
		{"n2", "n2", "ServerKeyFault", func(_, _ *big.Int) []byte { return i2osp(n2, k2) }},
		{"s2 with its last bit changed", "last-bit", "ServerKeyFault", func(s2, _ *big.Int) []byte { return i2osp(s2.Xor(s2, one), k2) }},
		{"s2 without its first byte", "without-first", "ServerKeyFault", func(s2, _ *big.Int) []byte { return i2osp(s2, k2)[1:] }},
		{"a zero byte before s2", "zero-before", "ServerKeyFault", func(s2, _ *big.Int) []byte { return i2osp(s2, k2+1) }},
		{"no bytes", "empty", "ServerKeyFault", func(_, _ *big.Int) []byte { return nil }},
	} {
		id := f.next()
		m := f.message(id, i, n)
		em := m.int()
		m2 := new(big.Int).Mod(em, n2)
		t := m.put(T{"yForm": "right", "y": fix(d.partial(em), k1), "s2Form": c.form, "s2Enc": hex.EncodeToString(c.answer(p.own.exp(m2, p.own.d), m2))})
		delete(t, "em")
		g.add(id, c.comment, flags(append(p.flags(), c.flag)...), refuse(t, "combine", "ErrServerKey"))
	}
}

// refusedServerKeys are server keys that make no composite with a device key.
func (f *file) refusedServerKeys() {
	for _, bits := range []int{2048, 3072} {
		k, s := device(bits, 1), server(bits, 1)
		d := deal("multiplicative", k, stream(fmt.Sprintf("share/%s/compose/%d/x", f.name, bits), k.k()+8))
		g := f.group("Compose", T{"sharing": "multiplicative", "key": k.object(), "serverKey": s.object(), "x": hex.EncodeToString(d.x), "ds": fix(d.ds, k.k())})
		g.add(f.next(), "the server key", flags(), T{"change": "none", "n2": fix(s.n, s.k()), "e2": s.e.Int64()})
		bad := func(comment, change, flag string, n *big.Int, e int64) {
			g.add(f.next(), comment, flags(flag), refuse(T{"change": change, "n2": fix(n, (n.BitLen()+7)/8), "e2": e}, "check-key", "ErrKey"))
		}
		bad("the device key itself", "n1", "CommonFactor", k.n, 65537)
		bad("p of the device key times p2", "p*p2", "CommonFactor", new(big.Int).Mul(k.p, s.p), 65537)
		bad("q of the device key times q2", "q*q2", "CommonFactor", new(big.Int).Mul(k.q, s.q), 65537)
		bad("e = 3", "none", "ExponentsDiffer", s.n, 3)
		bad("e = 65539", "none", "ExponentsDiffer", s.n, 65539)
		bad("n2-1", "n2-1", "EvenModulus", new(big.Int).Sub(s.n, one), 65537)
		for b, flag := range pairsOf(1024, "SmallModulus", 2047, "SmallModulus", 8193, "LargeModulus") {
			bad(fmt.Sprintf("an n2 of %d bits", b), fmt.Sprintf("modulus/%d", b), flag, os2ip(modulus(fmt.Sprintf("modulus/%d", b), b)), 65537)
		}
	}
}
