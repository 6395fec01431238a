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
	"CrtFault1":           {"KNOWN_BUG", "The server key answers with a number that is wrong modulo p2 only.", "Whoever sees the signature factors n2 (Boneh, DeMillo, Lipton).", nil},
	"CrtFault2":           {"KNOWN_BUG", "The server key answers with a number that is wrong modulo q2 only.", "Whoever sees the signature factors n2 (Boneh, DeMillo, Lipton).", nil},
	"ServerKeyFault":      {"KNOWN_BUG", "The server key answers with a number that is wrong, not reduced or not as long as n2.", "An invalid signature is released.", nil},
	"CommonFactor":        {"WEAK_PARAMS", "n1 and n2 have a factor in common.", "No composition exists, and one key gives the other away.", nil},
	"ExponentsDiffer":     {"MODIFIED_PARAMETER", "The server key has another e.", "No composition exists.", nil},
	"LargeModulus":        {"CAN_OF_WORMS", "n2 has more than 8192 bits.", "Work for whoever verifies.", nil},
}

func complete() *file {
	f := &file{name: "complete", algorithm: "tandem-complete", schema: "complete", notes: completeNotes}
	for _, p := range twoPrime() {
		f.completions(p)
	}
	return f
}

func completeComposite() *file {
	f := &file{name: "complete_composite", algorithm: "tandem-complete-composite", schema: "complete", notes: completeNotes}
	for _, p := range composites() {
		f.completions(p)
	}
	f.refusedServerKeys()
	return f
}

// whole returns m^d mod n, with the exponent that only the author of the vectors knows.
func (p pair) whole(m *big.Int) *big.Int {
	if p.server == nil {
		return p.key.exp(m, p.key.d)
	}
	// The Chinese remainder theorem over all four primes, in another form than section
	// 3.3, step 5: S = S1 * n2 * (n2^-1 mod n1) + S2 * n1 * (n1^-1 mod n2) mod n.
	s1 := p.key.exp(new(big.Int).Mod(m, p.key.n), p.key.d)
	s2 := p.server.exp(new(big.Int).Mod(m, p.server.n), p.server.d)
	s1.Mul(s1, p.server.n).Mul(s1, new(big.Int).ModInverse(p.server.n, p.key.n))
	s2.Mul(s2, p.key.n).Mul(s2, new(big.Int).ModInverse(p.key.n, p.server.n))
	return s1.Add(s1, s2).Mod(s1, p.n())
}

// verify panics unless crypto/rsa verifies the signature.
func (p pair) verify(m message, sig []byte) {
	pub := &rsa.PublicKey{N: p.n(), E: int(p.key.e.Int64())}
	if m.padding == "PSS" {
		must(rsa.VerifyPSS(pub, m.hash.h, m.digest, sig, &rsa.PSSOptions{SaltLength: len(m.salt), Hash: m.hash.h}))
		return
	}
	must(rsa.VerifyPKCS1v15(pub, m.hash.h, m.digest, sig))
	if p.server == nil {
		want, err := rsa.SignPKCS1v15(nil, p.key.rsa(), m.hash.h, m.digest)
		must(err)
		if !bytes.Equal(want, sig) {
			panic("not the signature of crypto/rsa")
		}
	}
}

// completion is what the groups of one pair share.
type completion struct {
	f       *file
	p       pair
	d       dealt
	variant int // of the next message: its hash and padding
}

// num is n1 plus delta.
func (c *completion) num(delta int64) *big.Int { return new(big.Int).Add(c.p.key.n, big.NewInt(delta)) }

func (c *completion) group(kind string) *group {
	p, k1 := c.p, c.p.key.k()
	t := p.fields()
	t["x"], t["dc"], t["ds"] = hex.EncodeToString(c.d.x), c.d.dcHex(), fix(c.d.ds, k1)
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: p.n(), E: int(p.key.e.Int64())})
	must(err)
	t["publicKeyPem"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return c.f.group(kind, t)
}

// message is a message for the next test, of each hash and padding in turn.
func (c *completion) message(id int) message {
	c.variant++
	return c.f.message(id, c.variant-1, c.p.n())
}

func (f *file) completions(p pair) {
	c := &completion{f: f, p: p, d: deal(p.sharing, p.key, stream("share/"+f.name+"/"+p.name()+"/x", p.key.k()+8))}
	c.right(c.group("Complete"))
	c.malformed(c.group("Malformed"))
	g := c.group("Wrong")
	g.fields["indistinguishable"] = true
	c.wrong(g)
	c.otherMessages(c.group("OtherMessage"))
	if p.server != nil {
		c.faults(c.group("Fault"))
	}
}

// right are right partial signatures, with all that follows from them.
func (c *completion) right(g *group) {
	n := c.p.n()
	for range 6 {
		id := c.f.next()
		c.complete(g, id, "right share", c.message(id), -1)
	}
	c.variant = 0
	// The search is slow, so it is made for one pair.
	if c.p.key == device(2048, 1) && c.p.sharing == "multiplicative" {
		id := c.f.next()
		digest, counter := c.f.search(id, "digest", 32, func(b []byte) bool {
			return leadingZeros(i2osp(c.p.whole(encode(hashes[0], "PKCS1", b, nil, n).int()), (n.BitLen()+7)/8)) > 0
		})
		c.complete(g, id, "the signature begins with a zero byte", encode(hashes[0], "PKCS1", digest, nil, n), counter)
	}
}

func (c *completion) complete(g *group, id int, comment string, m message, counter int) {
	p, k1, em, fl := c.p, c.p.key.k(), m.int(), c.p.flags()
	y := c.d.partial(em)
	s1, s := c.d.s1(y, em), p.whole(em)
	if new(big.Int).Mod(s, p.key.n).Cmp(s1) != 0 {
		panic("shares do not make the whole key's signature")
	}
	sig := i2osp(s, (p.n().BitLen()+7)/8)
	p.verify(m, sig)
	if leadingZeros(sig) > 0 {
		fl = append(fl, "ResultLeadingZero")
	}
	t := m.put(T{"yForm": "right", "m1": fix(new(big.Int).Mod(em, p.key.n), k1), "y": fix(y, k1), "s1": fix(s1, k1), "sig": hex.EncodeToString(sig)})
	if p.server != nil {
		k2 := p.server.k()
		t["m2"], t["s2"] = fix(new(big.Int).Mod(em, p.server.n), k2), fix(new(big.Int).Mod(s, p.server.n), k2)
	}
	if counter >= 0 {
		t["counter"] = counter
	}
	g.add(id, comment, flags(fl...), t)
}

// malformedForms are partial signatures that no honest device sends: numbers, or changes
// of the right y.
var malformedForms = []struct {
	comment, form, flag string
	number              func(c *completion) *big.Int
	bytes               func(c *completion, y []byte) []byte
}{
	{"y = 0", "0", "PartialZero", func(*completion) *big.Int { return new(big.Int) }, nil},
	{"y = 1", "1", "PartialOne", func(*completion) *big.Int { return one }, nil},
	{"y = n1-1", "n1-1", "PartialNMinusOne", func(c *completion) *big.Int { return c.num(-1) }, nil},
	{"y = n1", "n1", "PartialEqualsN", func(c *completion) *big.Int { return c.p.key.n }, nil},
	{"y = n1+1", "n1+1", "PartialGtN", func(c *completion) *big.Int { return c.num(1) }, nil},
	{"y = n1+2", "n1+2", "PartialGtN", func(c *completion) *big.Int { return c.num(2) }, nil},
	{"y = 2^(8*k1)-1", "all-ones", "PartialGtN", func(c *completion) *big.Int { return new(big.Int).Sub(power(8*c.p.key.k()), one) }, nil},
	{"no bytes", "empty", "PartialShort", nil, func(_ *completion, _ []byte) []byte { return nil }},
	{"one byte: 2", "one-byte", "PartialShort", nil, func(_ *completion, _ []byte) []byte { return []byte{2} }},
	{"y without its first byte", "without-first", "PartialShort", nil, func(_ *completion, y []byte) []byte { return y[1:] }},
	{"y without its last byte", "without-last", "PartialShort", nil, func(_ *completion, y []byte) []byte { return y[:len(y)-1] }},
	{"a zero byte before y", "zero-before", "PartialLong", nil, func(_ *completion, y []byte) []byte { return cat([]byte{0}, y) }},
	{"a zero byte after y", "zero-after", "PartialLong", nil, func(_ *completion, y []byte) []byte { return cat(y, []byte{0}) }},
	{"y+n1 in k1+1 bytes", "plus-n1", "PartialLong", nil, func(c *completion, y []byte) []byte {
		return i2osp(new(big.Int).Add(os2ip(y), c.p.key.n), len(y)+1)
	}},
	{"y twice", "twice", "PartialLong", nil, func(_ *completion, y []byte) []byte { return cat(y, y) }},
}

func (c *completion) malformed(g *group) {
	for _, form := range malformedForms {
		id := c.f.next()
		m := c.message(id)
		var enc []byte
		if form.number != nil {
			enc = i2osp(form.number(c), c.p.key.k())
		} else {
			enc = form.bytes(c, i2osp(c.d.partial(m.int()), c.p.key.k()))
		}
		t := m.put(T{"yForm": form.form, "yEnc": hex.EncodeToString(enc)})
		delete(t, "em")
		g.add(id, form.comment, flags(append(c.p.flags(), form.flag)...), refuse(t, "parse-partial", "ErrMalformedPartial"))
	}
}

// wrongForms are what a wrong PIN gives, and everything that must look the same. make
// gets the right y.
var wrongForms = []struct {
	comment, form, flag string
	make                func(c *completion, id int, m message, y *big.Int) *big.Int
}{
	{"another share", "other-x", "WrongPin", otherX},
	{"another share", "other-x", "WrongPin", otherX},
	{"another share", "other-x", "WrongPin", otherX},
	{"another share", "other-x", "WrongPin", otherX},
	{"the share with one bit changed", "x-bit", "WrongPin", func(c *completion, _ int, m message, _ *big.Int) *big.Int {
		x := bytes.Clone(c.d.x)
		x[0] ^= 0x80
		return deal(c.p.sharing, c.p.key, x).partial(m.int())
	}},
	{"x and 2x+1 mistaken for one another", "other-exponent", "WrongExponent", func(c *completion, _ int, m message, _ *big.Int) *big.Int {
		e := os2ip(c.d.x)
		if c.p.sharing == "additive" {
			e.Lsh(e, 1).Add(e, one)
		}
		return c.p.key.exp(c.m1(m), e)
	}},
	{"another digest", "other-digest", "OtherMessage", func(c *completion, id int, m message, _ *big.Int) *big.Int {
		return c.d.partial(encode(m.hash, m.padding, c.f.derive(id, "otherDigest", len(m.digest)), m.salt, c.p.n()).int())
	}},
	{"the other padding", "other-padding", "OtherPadding", func(c *completion, id int, m message, _ *big.Int) *big.Int {
		if m.padding == "PSS" {
			return c.d.partial(encode(m.hash, "PKCS1", m.digest, nil, c.p.n()).int())
		}
		return c.d.partial(encode(m.hash, "PSS", m.digest, c.f.derive(id, "otherSalt", len(m.digest)), c.p.n()).int())
	}},
	{"y times m1", "times-m1", "WrongExponent", func(c *completion, _ int, m message, y *big.Int) *big.Int {
		// y*m1 or y/m1: what a device and a server that disagree about a summand would
		// send.
		return new(big.Int).Mod(new(big.Int).Mul(y, m.int()), c.p.key.n)
	}},
	{"a partial signature by device-2048-3, reduced modulo n1", "other-key", "OtherKey", func(c *completion, _ int, m message, _ *big.Int) *big.Int {
		y := deal(c.p.sharing, otherKey(c.p.key), c.d.x[:264]).partial(m.int())
		return y.Mod(y, c.p.key.n)
	}},
	{"y = p", "p", "PartialSharesFactor", func(c *completion, _ int, _ message, _ *big.Int) *big.Int { return c.p.key.p }},
	{"y = q", "q", "PartialSharesFactor", func(c *completion, _ int, _ message, _ *big.Int) *big.Int { return c.p.key.q }},
	{"y = n1-p", "n1-p", "PartialSharesFactor", func(c *completion, _ int, _ message, _ *big.Int) *big.Int {
		return new(big.Int).Sub(c.p.key.n, c.p.key.p)
	}},
	{"y = 2q", "2q", "PartialSharesFactor", func(c *completion, _ int, _ message, _ *big.Int) *big.Int {
		return new(big.Int).Lsh(c.p.key.q, 1)
	}},
	{"y = 2", "2", "PartialSmall", func(*completion, int, message, *big.Int) *big.Int { return big.NewInt(2) }},
	{"y = n1-2", "n1-2", "PartialSmall", func(c *completion, _ int, _ message, _ *big.Int) *big.Int { return c.num(-2) }},
	{"n1-y", "negated", "PartialModified", func(c *completion, _ int, _ message, y *big.Int) *big.Int {
		return new(big.Int).Sub(c.p.key.n, y)
	}},
	{"y^-1 mod n1", "inverse", "PartialModified", func(c *completion, _ int, _ message, y *big.Int) *big.Int {
		return new(big.Int).ModInverse(y, c.p.key.n)
	}},
	{"y^2 mod n1", "square", "PartialModified", func(c *completion, _ int, _ message, y *big.Int) *big.Int {
		return new(big.Int).Mod(new(big.Int).Mul(y, y), c.p.key.n)
	}},
	{"y with its last bit changed", "last-bit", "PartialModified", func(_ *completion, _ int, _ message, y *big.Int) *big.Int {
		return new(big.Int).Xor(y, one)
	}},
	{"m1", "m1", "PartialModified", func(c *completion, _ int, m message, _ *big.Int) *big.Int { return c.m1(m) }},
}

func otherX(c *completion, id int, m message, _ *big.Int) *big.Int {
	return deal(c.p.sharing, c.p.key, c.f.derive(id, "otherX", len(c.d.x))).partial(m.int())
}

func (c *completion) m1(m message) *big.Int { return new(big.Int).Mod(m.int(), c.p.key.n) }

func (c *completion) wrong(g *group) {
	key := c.p.key
	for _, form := range wrongForms {
		id := c.f.next()
		m := c.message(id)
		y := form.make(c, id, m, c.d.partial(m.int()))
		if new(big.Int).Exp(c.d.s1(y, m.int()), key.e, key.n).Cmp(c.m1(m)) == 0 {
			panic("this y is right")
		}
		t := m.put(T{"yForm": form.form, "y": fix(y, key.k())})
		delete(t, "em")
		g.add(id, form.comment, flags(append(c.p.flags(), form.flag)...), refuse(t, "check-partial", "ErrPartial"))
	}
}

// otherMessages are right partial signatures for messages of another final key.
func (c *completion) otherMessages(g *group) {
	for _, o := range []struct {
		comment, change string
		n               *big.Int
	}{
		{"encoded for n+2", "n+2", new(big.Int).Add(c.p.n(), big.NewInt(2))},
		{"encoded for device-2048-3, or device-2048-1 where that is the key", "other-key", otherKey(c.p.key).n},
	} {
		id := c.f.next()
		m := c.f.messageAs(id, "digest", hashes[0], "PKCS1", o.n)
		t := m.put(T{"change": o.change, "yForm": "right", "y": fix(c.d.partial(m.int()), c.p.key.k()), "otherN": fix(o.n, (o.n.BitLen()+7)/8)})
		g.add(id, o.comment, flags(append(c.p.flags(), "OtherKey")...), refuse(t, "check-message", "ErrMessage"))
	}
}

func otherKey(k *key) *key {
	if k == device(2048, 3) {
		return device(2048, 1)
	}
	return device(2048, 3)
}

// serverFaults are wrong answers of a server key to a right partial signature: a number
// modulo n2, or bytes.
var serverFaults = []struct {
	comment, form, flag string
	number              func(server *key, s2, m2 *big.Int) *big.Int
	bytes               func(s2 []byte) []byte
}{
	{"wrong modulo p2: s2+q2", "plus-q2", "CrtFault1", func(k *key, s2, _ *big.Int) *big.Int { return s2.Add(s2, k.q).Mod(s2, k.n) }, nil},
	{"wrong modulo q2: s2+p2", "plus-p2", "CrtFault2", func(k *key, s2, _ *big.Int) *big.Int { return s2.Add(s2, k.p).Mod(s2, k.n) }, nil},
	{"s2-q2", "minus-q2", "CrtFault1", func(k *key, s2, _ *big.Int) *big.Int { return s2.Sub(s2, k.q).Mod(s2, k.n) }, nil},
	{"s2-p2", "minus-p2", "CrtFault2", func(k *key, s2, _ *big.Int) *big.Int { return s2.Sub(s2, k.p).Mod(s2, k.n) }, nil},
	{"n2-s2", "negated", "ServerKeyFault", func(k *key, s2, _ *big.Int) *big.Int { return s2.Sub(k.n, s2) }, nil},
	{"the message itself", "m2", "ServerKeyFault", func(_ *key, _, m2 *big.Int) *big.Int { return m2 }, nil},
	{"0", "0", "ServerKeyFault", func(*key, *big.Int, *big.Int) *big.Int { return new(big.Int) }, nil},
	{"n2", "n2", "ServerKeyFault", func(k *key, _, _ *big.Int) *big.Int { return k.n }, nil},
	{"s2 with its last bit changed", "last-bit", "ServerKeyFault", func(_ *key, s2, _ *big.Int) *big.Int { return s2.Xor(s2, one) }, nil},
	{"s2 without its first byte", "without-first", "ServerKeyFault", nil, func(s2 []byte) []byte { return s2[1:] }},
	{"a zero byte before s2", "zero-before", "ServerKeyFault", nil, func(s2 []byte) []byte { return cat([]byte{0}, s2) }},
	{"no bytes", "empty", "ServerKeyFault", nil, func([]byte) []byte { return nil }},
}

func (c *completion) faults(g *group) {
	server := c.p.server
	c.variant = 0
	for _, fault := range serverFaults {
		id := c.f.next()
		m := c.message(id)
		m2 := new(big.Int).Mod(m.int(), server.n)
		s2 := server.exp(m2, server.d)
		var enc []byte
		if fault.number != nil {
			enc = i2osp(fault.number(server, s2, m2), server.k())
		} else {
			enc = fault.bytes(i2osp(s2, server.k()))
		}
		t := m.put(T{"yForm": "right", "y": fix(c.d.partial(m.int()), c.p.key.k()), "s2Form": fault.form, "s2Enc": hex.EncodeToString(enc)})
		delete(t, "em")
		g.add(id, fault.comment, flags(append(c.p.flags(), fault.flag)...), refuse(t, "combine", "ErrServerKey"))
	}
}

// refusedServerKeys are server keys that make no composite with a client key.
func (f *file) refusedServerKeys() {
	for _, bits := range []int{2048, 3072} {
		k, s := device(bits, 1), server(bits, 1)
		d := deal("multiplicative", k, stream(fmt.Sprintf("share/%s/compose/%d/x", f.name, bits), k.k()+8))
		g := f.group("Compose", T{"sharing": "multiplicative", "key": k.object(), "serverKey": s.object(), "x": hex.EncodeToString(d.x), "ds": fix(d.ds, k.k())})
		g.add(f.next(), "the server key", flags(), T{"change": "none", "n2": fix(s.n, s.k()), "e2": s.e.Int64()})
		bad := func(comment, change, flag string, n *big.Int, e int64) {
			g.add(f.next(), comment, flags(flag), refuse(T{"change": change, "n2": fix(n, (n.BitLen()+7)/8), "e2": e}, "check-key", "ErrKey"))
		}
		bad("the client key itself", "n1", "CommonFactor", k.n, 65537)
		bad("p of the client key times p2", "p*p2", "CommonFactor", new(big.Int).Mul(k.p, s.p), 65537)
		bad("q of the client key times q2", "q*q2", "CommonFactor", new(big.Int).Mul(k.q, s.q), 65537)
		bad("e = 3", "none", "ExponentsDiffer", s.n, 3)
		bad("e = 65539", "none", "ExponentsDiffer", s.n, 65539)
		bad("n2-1", "n2-1", "EvenModulus", new(big.Int).Sub(s.n, one), 65537)
		for _, l := range []length{{1024, "SmallModulus"}, {2047, "SmallModulus"}, {8193, "LargeModulus"}} {
			name := fmt.Sprintf("modulus/%d", l.bits)
			bad(fmt.Sprintf("an n2 of %d bits", l.bits), name, l.flag, os2ip(modulus(name, l.bits)), 65537)
		}
	}
}
