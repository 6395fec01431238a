package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
)

// dealt is one split of a key.
type dealt struct {
	sharing string
	key     *key
	x       []byte
	dc, ds  *big.Int
}

// deal computes the server's share; ds is nil or zero where x must be drawn again.
func deal(sharing string, k *key, x []byte) dealt {
	d := dealt{sharing: sharing, key: k, x: x, dc: os2ip(x)}
	if sharing == "multiplicative" {
		d.dc.Lsh(d.dc, 1).Add(d.dc, one)
		d.ds = new(big.Int).ModInverse(new(big.Int).Mul(k.e, d.dc), k.l)
	} else {
		d.ds = new(big.Int).Sub(k.d, d.dc)
		d.ds.Mod(d.ds, k.l)
	}
	return d
}

func (d dealt) partial(em *big.Int) *big.Int { return d.key.exp(new(big.Int).Mod(em, d.key.n), d.dc) }

// s1 is what the server's share makes of a partial signature.
func (d dealt) s1(y, em *big.Int) *big.Int {
	if d.sharing == "multiplicative" {
		return d.key.exp(y, d.ds)
	}
	s := d.key.exp(new(big.Int).Mod(em, d.key.n), d.ds)
	return s.Mul(s, y).Mod(s, d.key.n)
}

// dcHex is d_c in the width that it has in the files: 2x+1 has one bit more than x.
func (d dealt) dcHex() string {
	if d.sharing == "multiplicative" {
		return fix(d.dc, len(d.x)+1)
	}
	return fix(d.dc, len(d.x))
}

var sharingByte = map[string]byte{"multiplicative": 1, "additive": 2}

func (d dealt) shareEnc() []byte {
	b := append([]byte("TDss\x01"), sharingByte[d.sharing])
	b = binary.BigEndian.AppendUint32(b, uint32(d.key.e.Int64()))
	b = binary.BigEndian.AppendUint16(b, uint16(d.key.k()))
	b = append(b, d.key.n.Bytes()...)
	return append(b, i2osp(d.ds, d.key.k())...)
}

var splitNotes = map[string]note{
	"ShareLeadingZero":    {"EDGE_CASE", "A share begins with zero bytes: x with eight of them, x all zero, or d_s with one, where the test was chosen for it.", "A share that is not kept in its full length signs wrongly.", nil},
	"OrdinaryPrimes":      {"KNOWN_BUG", "A prime is not l-safe. Additive sharing accepts it, multiplicative sharing must refuse.", "A thief of the lockbox drops the PINs under which 2x+1 has a factor in common with lambda.", nil},
	"LSafeBound":          {"EDGE_CASE", "(p-1)/2 has the factor 65539, the least that an l-safe prime may have.", "A bound of another size.", nil},
	"RedrawX":             {"EDGE_CASE", "This x has no d_s: 2x+1 has a factor in common with lambda, or d_s would be zero.", "A share that is no share.", nil},
	"UnequalFactors":      {"EDGE_CASE", "The factors are not of equal length. If neither is shorter than a quarter of n, the key is split all the same.", "A share or a factor of another length than expected.", nil},
	"OddBytes":            {"EDGE_CASE", "n1 has an odd number of bytes.", "Half of the modulus' length is no whole number of bytes.", nil},
	"FactorsMismatch":     {"CAN_OF_WORMS", "p*q is not n.", "Shares that fit no key.", nil},
	"FactorComposite":     {"CAN_OF_WORMS", "A factor is a product of two primes, and all else fits.", "A modulus that is easier to factor.", nil},
	"PrimesClose":         {"WEAK_PARAMS", "|p-q| < 2^(L-100), with L half the length of n.", "Methods like Fermat's begin to be of use (FIPS 186-5, A.1.3).", nil},
	"PrimesApart":         {"EDGE_CASE", "|p-q| is hardly more than 2^(L-100), the least that is accepted.", "A bound of another size, where L is not a number of whole bytes.", nil},
	"NearlyEqual":         {"WEAK_PARAMS", "Fermat's method finds the factors in a hundred steps at most: n shows it by itself.", "Anybody factors n.", []string{"CVE-2022-26320"}},
	"ROCA":                {"WEAK_PARAMS", "p and q are powers of 65537 modulo the product of the primes up to 701: n shows it by itself.", "Coppersmith's method factors n.", []string{"CVE-2017-15361"}},
	"PEqualsQ":            {"WEAK_PARAMS", "n is a square.", "Anybody factors n.", nil},
	"SmallCommonDivisor":  {"EDGE_CASE", "gcd(p-1, q-1) = 2*65539: lambda is not (p-1)*(q-1)/2.", "d_s reduced modulo another number than lambda.", nil},
	"CommonDivisor":       {"WEAK_PARAMS", "gcd(p-1, q-1) >= 2^32.", "The common divisor divides n-1.", nil},
	"ExponentsMismatch":   {"CAN_OF_WORMS", "e*d is not 1 modulo p-1 and q-1.", "Shares that fit no key.", nil},
	"ServerShareZero":     {"EDGE_CASE", "d_s = 0.", "s1 is 1, or y itself.", nil},
	"ServerShareTooBig":   {"EDGE_CASE", "d_s >= n1.", "A share that the dealer never made.", nil},
	"ServerShareEdge":     {"EDGE_CASE", "The least and the largest d_s that a reader accepts.", "A reader that is too strict or too lax.", nil},
	"ServerShareEncoding": {"MODIFIED_PARAMETER", "The binary form has a wrong magic, version, sharing, length or end.", "A share of one form taken for another.", nil},
}

func split(sharing string, bits int) *file {
	f := &file{name: fmt.Sprintf("split_%s_%d", sharing, bits), algorithm: "tandem-split-" + sharing, schema: "split", notes: splitNotes}
	keys := []*key{device(bits, 1), device(bits, 2), device(bits, 3)}
	if sharing == "additive" {
		keys = append(keys, ordinaryKey(bits, 1), ordinaryKey(bits, 2))
	}
	for _, k := range keys {
		f.splits(sharing, k)
	}
	f.splits(sharing, newKey(fmt.Sprintf("bound-%d", bits), factor65539, lSafe, bits/2, bits/2, 65537))
	f.splits(sharing, newKey(fmt.Sprintf("unequal-%d", bits), lSafe, lSafe, bits/2+8, bits/2-8, 65537))
	f.splits(sharing, newKey(fmt.Sprintf("quarter-%d", bits), lSafe, lSafe, bits/4, bits/4*3, 65537))
	f.splits(sharing, newKey(fmt.Sprintf("longer-%d", bits+8), lSafe, lSafe, bits/2+4, bits/2+4, 65537))
	f.badKeys(sharing, bits)
	f.serverShares(sharing, device(bits, 1))
	f.splits(sharing, newKey(fmt.Sprintf("common-%d", bits), factor65539, factor65539, bits/2, bits/2, 65537))
	// lambda has a word of 64 bits less than n1.
	f.splits(sharing, newKey(fmt.Sprintf("common-%d", bits+8), factor65539, factor65539, bits/2+4, bits/2+4, 65537))
	for _, b := range []int{bits, bits + 8} {
		f.splits(sharing, newKey(fmt.Sprintf("apart-%d", b), lSafe, apartLSafe, b/2, b/2, 65537))
	}
	f.weakKeys(sharing, bits)
	f.severalDefects(sharing, bits)
	return f
}

// splits are the splits of one key.
func (f *file) splits(sharing string, k *key) {
	g := f.group("Split", T{"sharing": sharing, "key": k.object()})
	put := func(id int, comment string, d dealt, form string, counter int, fl ...string) {
		if k.kindP == factor65539 {
			fl = append(fl, "LSafeBound")
		}
		if k.kindP == factor65539 && k.kindQ == factor65539 {
			fl = append(fl, "SmallCommonDivisor")
		}
		if k.kindP == ordinary {
			fl = append(fl, "OrdinaryPrimes")
		}
		if k.pBits != k.qBits {
			fl = append(fl, "UnequalFactors")
		}
		if k.n.BitLen()%16 != 0 {
			fl = append(fl, "OddBytes")
		}
		if k.kindQ == apartLSafe {
			fl = append(fl, "PrimesApart")
		}
		t := T{"xForm": form, "x": hex.EncodeToString(d.x), "dc": d.dcHex()}
		if counter >= 0 {
			t["counter"] = counter
		}
		if d.ds == nil || d.ds.Sign() == 0 {
			g.add(id, comment, flags(append(fl, "RedrawX")...), refuse(t, "deal", "Redraw"))
			return
		}
		// The invariants of sections 2.2 and 2.3.
		check := new(big.Int).Add(d.dc, d.ds)
		if sharing == "multiplicative" {
			check.Mul(d.dc, d.ds)
		}
		check.Mul(check, k.e).Mod(check, k.l)
		if check.Cmp(one) != 0 || d.ds.Cmp(k.l) >= 0 {
			panic("shares do not fit")
		}
		t["ds"], t["serverShareEnc"] = fix(d.ds, k.k()), hex.EncodeToString(d.shareEnc())
		g.add(id, comment, flags(fl...), t)
	}
	size := k.k() + 8
	for range 4 {
		id := f.next()
		put(id, "random share", deal(sharing, k, f.derive(id, "x", size)), "derived", -1)
	}
	id := f.next()
	x := f.derive(id, "x", size)
	clear(x[:8])
	put(id, "x begins with eight zero bytes", deal(sharing, k, x), "eight-zero-bytes", -1, "ShareLeadingZero")
	put(f.next(), "x is zero", deal(sharing, k, make([]byte, size)), "zero", -1, "ShareLeadingZero")
	ones := make([]byte, size)
	for i := range ones {
		ones[i] = 0xff
	}
	put(f.next(), "x is the largest there is", deal(sharing, k, ones), "ones", -1, "ShareAllOnes")
	id = f.next()
	x, counter := f.search(id, "x", size, func(x []byte) bool {
		d := deal(sharing, k, x)
		return d.ds != nil && leadingZeros(i2osp(d.ds, k.k())) >= 1
	})
	put(id, "d_s begins with a zero byte", deal(sharing, k, x), "derived", counter, "ShareLeadingZero")

	if sharing == "additive" {
		// d itself, and d + lambda: the server's share would be zero.
		put(f.next(), "x is d", deal(sharing, k, i2osp(k.d, size)), "d", -1)
		put(f.next(), "x is d + lambda", deal(sharing, k, i2osp(new(big.Int).Add(k.d, k.l), size)), "d-plus-lambda", -1)
	}
	if sharing == "multiplicative" && k.kindP == factor65539 {
		// The next x at which 2x+1 is a multiple of 65539.
		id := f.next()
		r := big.NewInt(65539)
		v := os2ip(f.derive(id, "x", size))
		v.Add(v, new(big.Int).Mod(new(big.Int).Sub(big.NewInt((65539-1)/2), v), r))
		put(id, "2x+1 is a multiple of 65539", deal(sharing, k, i2osp(v, size)), "next-multiple-of-65539", -1)
	}
}

// badKeys are keys that must not be split. Each has one defect.
func (f *file) badKeys(sharing string, bits int) {
	g := f.group("Key", T{"sharing": sharing})
	h := bits / 2
	add := func(comment, change, flag, class string, base *key, n, e, d, p, q *big.Int) {
		f.badKey(g, comment, change, flag, class, base, n, e, d, p, q)
	}
	whole := func(comment, flag, class string, k *key) {
		add(comment, "none", flag, class, k, k.n, k.e, k.d, k.p, k.q)
	}
	k, other := device(bits, 1), device(bits, 3)
	num := func(x *big.Int, delta int64) *big.Int { return new(big.Int).Add(x, big.NewInt(delta)) }
	if sharing == "multiplicative" {
		named := func(name, kindP, kindQ string, e int64) *key {
			return newKey(fmt.Sprintf("%s-%d", name, bits), kindP, kindQ, h, h, e)
		}
		for _, c := range []struct {
			comment string
			key     *key
		}{
			{"neither prime is l-safe", ordinaryKey(bits, 1)},
			{"neither prime is l-safe, e = 3", ordinaryKey(bits, 2)},
			{"q is not l-safe", named("mixed-pq", lSafe, ordinary, 65537)},
			{"p is not l-safe", named("mixed-qp", ordinary, lSafe, 65537)},
			{"p = 1 mod 4", named("p1mod4", oneModFour, lSafe, 65537)},
			{"q = 1 mod 4", named("q1mod4", lSafe, oneModFour, 65537)},
			{"(p-1)/2 has the factor 65537", named("near-p", factor65537, lSafe, 3)},
			{"(q-1)/2 has the factor 65537", named("near-q", lSafe, factor65537, 3)},
		} {
			whole(c.comment, "OrdinaryPrimes", "ErrOrdinaryPrimes", c.key)
		}
	}
	add("n-1 in place of n", "n-1", "EvenModulus", "ErrKey", k, num(k.n, -1), k.e, k.d, k.p, k.q)
	add("q+1 in place of q, n = p*(q+1)", "q+1", "EvenModulus", "ErrKey", k, new(big.Int).Mul(k.p, num(k.q, 1)), k.e, k.d, k.p, num(k.q, 1))
	add("n+2 in place of n", "n+2", "FactorsMismatch", "ErrKey", k, num(k.n, 2), k.e, k.d, k.p, k.q)
	add("the n of device-"+fmt.Sprint(bits)+"-3", "other-n", "FactorsMismatch", "ErrKey", k, other.n, k.e, k.d, k.p, k.q)
	add("the q of device-"+fmt.Sprint(bits)+"-3", "other-q", "FactorsMismatch", "ErrKey", k, k.n, k.e, k.d, k.p, other.q)
	add("p twice", "p-twice", "FactorsMismatch", "ErrKey", k, k.n, k.e, k.d, k.p, k.p)
	whole("p is shorter than a quarter of n", "UnequalFactors", "ErrKey", newKey(fmt.Sprintf("too-unequal-%d", bits), lSafe, lSafe, h/2-8, h/2*3+8, 65537))
	{
		a := newKey(fmt.Sprintf("quarters-%d", bits), lSafe, lSafe, h/2, h/2, 65537)
		q := a.n // 2 primes of a quarter of the length
		n := new(big.Int).Mul(k.p, q)
		d := new(big.Int).ModInverse(k.e, lcm(num(k.p, -1), num(q, -1)))
		if d == nil || n.BitLen() != bits {
			panic("choose other quarters")
		}
		g.add(f.next(), "q is the n of quarters-"+fmt.Sprint(bits)+", d fits p-1 and q-1", flags("FactorComposite"), refuse(T{
			"key": k.object(), "factor": a.object(), "change": "q-composite",
			"n": fix(n, bits/8), "e": k.e.Int64(), "d": fix(d, bits/8), "p": fix(k.p, h/8), "q": fix(q, h/8),
		}, "check-key", "ErrKey"))
	}
	whole("q is the next l-safe prime after p", "NearlyEqual", "ErrKey", newKey(fmt.Sprintf("close-%d", bits), lSafe, nextLSafe, h, h, 65537))
	{
		n := new(big.Int).Mul(k.p, k.p)
		add("q = p, n = p^2", "q=p", "PEqualsQ", "ErrKey", k, n, k.e, k.d, k.p, k.p)
	}
	whole("gcd(p-1, q-1) has the factor 4294967311", "CommonDivisor", "ErrKey", newKey(fmt.Sprintf("divisor-%d", bits), factor33bits, factor33bits, h, h, 65537))
	whole("1024 bits", "SmallModulus", "ErrKey", newKey("small-1024", lSafe, lSafe, 512, 512, 65537))
	whole("2032 bits", "SmallModulus", "ErrKey", newKey("small-2032", lSafe, lSafe, 1016, 1016, 65537))
	for _, extra := range []int{2, 14} {
		whole(fmt.Sprintf("%d bits", bits+extra), "OddModulusBits", "ErrKey",
			newKey(fmt.Sprintf("odd-%d", bits+extra), lSafe, lSafe, h+extra/2, h+extra/2, 65537))
	}
	add("e = 1, d = 1", "e=1", "ExponentOne", "ErrKey", k, k.n, one, one, k.p, k.q)
	add("e = 2", "e=2", "ExponentEven", "ErrKey", k, k.n, big.NewInt(2), k.d, k.p, k.q)
	add("e = 65536", "e=65536", "ExponentEven", "ErrKey", k, k.n, big.NewInt(65536), k.d, k.p, k.q)
	add("e = 2^31+11, d fits", "e=2147483659", "ExponentTooBig", "ErrKey", k, k.n, big.NewInt(2147483659),
		new(big.Int).ModInverse(big.NewInt(2147483659), k.l), k.p, k.q)
	add("d+2 in place of d", "d+2", "ExponentsMismatch", "ErrKey", k, k.n, k.e, num(k.d, 2), k.p, k.q)
	add("e = 3, d of 65537", "e=3", "ExponentsMismatch", "ErrKey", k, k.n, big.NewInt(3), k.d, k.p, k.q)
}

// badKey is the key base with one change, or weak as it is.
func (f *file) badKey(g *group, comment, change, flag, class string, base *key, n, e, d, p, q *big.Int) {
	size := (max(n.BitLen(), d.BitLen()) + 7) / 8
	half := (max(p.BitLen(), q.BitLen()) + 7) / 8
	g.add(f.next(), comment, flags(flag), refuse(T{
		"key": base.object(), "change": change,
		"n": fix(n, size), "e": e.Int64(), "d": fix(d, size), "p": fix(p, half), "q": fix(q, half),
	}, "check-key", class))
}

// weakKeys are more keys that must not be split: weak in a way that a caller cannot see.
func (f *file) weakKeys(sharing string, bits int) {
	g := f.group("Key", T{"sharing": sharing})
	h := bits / 2
	whole := func(comment, flag, class string, k *key) {
		f.badKey(g, comment, "none", flag, class, k, k.n, k.e, k.d, k.p, k.q)
	}
	whole("gcd(p-1, q-1) has 40 factors two", "CommonDivisor", "ErrKey", newKey(fmt.Sprintf("twos-%d", bits), factor2to40, factor2to40, h, h, 65537))
	for _, b := range []int{bits, bits + 8} {
		whole(fmt.Sprintf("%d bits, |p-q| is barely less than 2^(L-100)", b), "PrimesClose", "ErrKey",
			newKey(fmt.Sprintf("within-%d", b), lSafe, withinLSafe, b/2, b/2, 65537))
		whole(fmt.Sprintf("%d bits, p is above 2^L, q is below, |p-q| < 2^(L-100)", b), "PrimesClose", "ErrKey",
			newKey(fmt.Sprintf("across-%d", b), abovePower, belowPower, b/2+1, b/2, 65537))
	}
	whole("Fermat's method takes about 35 steps", "NearlyEqual", "ErrKey", newKey(fmt.Sprintf("fermat-%d", bits), lSafe, fermatLSafe, h, h, 65537))
	whole("p and q as RSALib makes them", "ROCA", "ErrKey", newKey(fmt.Sprintf("roca-%d", bits), roca, roca, h, h, 65537))
}

// severalDefects are keys and shares with two defects each, and say which is named.
func (f *file) severalDefects(sharing string, bits int) {
	k, d := ordinaryKey(bits, 1), big.NewInt(2)
	g := f.group("Key", T{"sharing": sharing})
	f.badKey(g, "neither prime is l-safe, and d+2 in place of d", "d+2", "ExponentsMismatch", "ErrKey", k, k.n, k.e, d.Add(d, k.d), k.p, k.q)
	g, base := f.shareGroup(sharing, device(bits, 1))
	kb := base.key.k()
	for _, c := range []struct{ comment, flag, class, put string }{
		{"the first byte of n1 is zero", "ServerShareEncoding", "ErrShare", fmt.Sprintf("00010001%04x00", kb)},
		{"the first byte of n1 is zero, and e = 1", "ServerShareEncoding", "ErrShare", fmt.Sprintf("00000001%04x00", kb)},
		{"e = 1, and d_s = 0", "ExponentOne", "ErrKey", fmt.Sprintf("00000001%04x%s%s", kb, fix(base.key.n, kb), fix(new(big.Int), kb))},
	} {
		e := edit{6, len(c.put) / 2, c.put}
		g.add(f.next(), c.comment, flags(c.flag), refuse(T{"edit": e.object(), "serverShareEnc": hex.EncodeToString(e.apply(base.shareEnc()))}, "parse-share", c.class))
	}
}

// edit is one change of a byte string: at offset at, cut bytes are replaced by put.
type edit struct {
	at, cut int
	put     string // hex
}

func (e edit) apply(b []byte) []byte {
	put, err := hex.DecodeString(e.put)
	must(err)
	return append(append(append([]byte{}, b[:e.at]...), put...), b[e.at+e.cut:]...)
}

func (e edit) object() T { return T{"at": e.at, "cut": e.cut, "put": e.put} }

// shareGroup is a group of tests that change one server's share.
func (f *file) shareGroup(sharing string, k *key) (*group, dealt) {
	base := deal(sharing, k, stream("share/"+f.name+"/x", k.k()+8))
	return f.group("ServerShare", T{"sharing": sharing, "key": k.object(), "x": hex.EncodeToString(base.x), "baseEnc": hex.EncodeToString(base.shareEnc())}), base
}

// serverShares are binary forms of the server's share, right and wrong.
func (f *file) serverShares(sharing string, k *key) {
	g, base := f.shareGroup(sharing, k)
	enc, kb := base.shareEnc(), k.k()
	n := i2osp(k.n, kb)
	at := 12 + kb
	share := func(d *big.Int) edit { return edit{at, kb, fix(d, kb)} }
	num := func(delta int64) *big.Int { return new(big.Int).Add(k.n, big.NewInt(delta)) }
	for _, c := range []struct {
		comment string
		e       edit
		flag    string
		class   string
	}{
		{"d_s = 1", share(one), "ServerShareEdge", ""},
		{"d_s = n1-1", share(num(-1)), "ServerShareEdge", ""},
		{"d_s = 0", share(new(big.Int)), "ServerShareZero", "ErrShare"},
		{"d_s = n1", share(k.n), "ServerShareTooBig", "ErrShare"},
		{"d_s = n1+1", share(num(1)), "ServerShareTooBig", "ErrShare"},
		{"d_s = 2^(8*k1)-1", share(new(big.Int).Sub(new(big.Int).Lsh(one, uint(8*kb)), one)), "ServerShareTooBig", "ErrShare"},
		{"empty", edit{0, len(enc), ""}, "ServerShareEncoding", "ErrShare"},
		{"another magic", edit{3, 1, "78"}, "ServerShareEncoding", "ErrShare"},
		{"the magic of a lockbox", edit{2, 2, "6c62"}, "ServerShareEncoding", "ErrShare"},
		{"version 0", edit{4, 1, "00"}, "ServerShareEncoding", "ErrShare"},
		{"version 2", edit{4, 1, "02"}, "ServerShareEncoding", "ErrShare"},
		{"sharing 0", edit{5, 1, "00"}, "ServerShareEncoding", "ErrShare"},
		{"sharing 3", edit{5, 1, "03"}, "ServerShareEncoding", "ErrShare"},
		{"only the magic", edit{4, len(enc) - 4, ""}, "ServerShareEncoding", "ErrShare"},
		{"only the header", edit{12, len(enc) - 12, ""}, "ServerShareEncoding", "ErrShare"},
		{"without d_s", edit{at, kb, ""}, "ServerShareEncoding", "ErrShare"},
		{"one byte short", edit{len(enc) - 1, 1, ""}, "ServerShareEncoding", "ErrShare"},
		{"a byte more", edit{len(enc), 0, "00"}, "ServerShareEncoding", "ErrShare"},
		{"k1 is one less", edit{10, 2, fmt.Sprintf("%04x", kb-1)}, "ServerShareEncoding", "ErrShare"},
		{"k1 is one more", edit{10, 2, fmt.Sprintf("%04x", kb+1)}, "ServerShareEncoding", "ErrShare"},
		{"k1 is zero, and no n1 and d_s", edit{10, len(enc) - 10, "0000"}, "ServerShareEncoding", "ErrShare"},
		{"n1 and d_s with a zero byte before each", edit{10, 2 + 2*kb, fmt.Sprintf("%04x00%x00%x", kb+1, n, i2osp(base.ds, kb))}, "ServerShareEncoding", "ErrShare"},
		{"n1-1 in place of n1", edit{12, kb, fix(num(-1), kb)}, "EvenModulus", "ErrKey"},
		{"e = 1", edit{6, 4, "00000001"}, "ExponentOne", "ErrKey"},
		{"e = 0", edit{6, 4, "00000000"}, "ExponentEven", "ErrKey"},
		{"e = 65536", edit{6, 4, "00010000"}, "ExponentEven", "ErrKey"},
		{"e = 2^31+1", edit{6, 4, "80000001"}, "ExponentTooBig", "ErrKey"},
		{"e = 2^32-1", edit{6, 4, "ffffffff"}, "ExponentTooBig", "ErrKey"},
	} {
		t := T{"edit": c.e.object(), "serverShareEnc": hex.EncodeToString(c.e.apply(enc))}
		if c.class != "" {
			refuse(t, "parse-share", c.class)
		}
		g.add(f.next(), c.comment, flags(c.flag), t)
	}
	// Odd moduli of lengths that are not accepted, with shares that would fit.
	for _, c := range []length{{1024, "SmallModulus"}, {2040, "SmallModulus"}, {2047, "SmallModulus"}, {2049, "OddModulusBits"}, {2052, "OddModulusBits"}} {
		id := f.next()
		m := modulus(f.label(id, "n"), c.bits)
		e := edit{10, 2 + 2*kb, fmt.Sprintf("%04x%x%s", (c.bits+7)/8, m, fix(one, (c.bits+7)/8))}
		g.add(id, fmt.Sprintf("n1 of %d bits, d_s = 1", c.bits), flags(c.flag),
			refuse(T{"edit": e.object(), "serverShareEnc": hex.EncodeToString(e.apply(enc))}, "parse-share", "ErrKey"))
	}
}

// modulus is a derived odd number of a given length, for where nobody computes with it.
func modulus(label string, bits int) []byte {
	n := os2ip(stream(label, (bits+7)/8))
	n.And(n, new(big.Int).Sub(new(big.Int).Lsh(one, uint(bits)), one))
	n.SetBit(n, bits-1, 1).SetBit(n, 0, 1)
	return n.Bytes()
}
