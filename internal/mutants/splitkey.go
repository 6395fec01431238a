package main

var splitkeyMutants = []mutant{
	// The server's checks of a partial signature, and completion.
	{"skip the check of s1", "splitkey/complete.go", "if ct.RightOrWrong(right) == 0 {", "if ct.RightOrWrong(right) == 2 {", inSplitkey, completes},
	{"compare only the first byte of s1^e", "splitkey/complete.go", "right = subtle.ConstantTimeCompare(z, m1)", "right = subtle.ConstantTimeByteEq(z[0], m1[0])", inSplitkey, completes},
	{"accept y = n1", "splitkey/complete.go", "lessConstantTime(y, predecessor(p.n))", "(1 ^ lessConstantTime(p.n, y))", inSplitkey, completes},
	{"accept y = n1-1", "splitkey/complete.go", "lessConstantTime(y, predecessor(p.n))", "lessConstantTime(y, p.n)", inSplitkey, completes},
	{"accept y = 1", "splitkey/complete.go", "subtle.ConstantTimeLessOrEq(int(y[len(y)-1]), 1)", "subtle.ConstantTimeLessOrEq(int(y[len(y)-1]), 0)", inSplitkey, completes},
	{"accept y = 0", "splitkey/complete.go", "&^small) == 1", "&^(small&0)) == 1", inSplitkey, completes},
	{"refuse y = 2", "splitkey/complete.go", "subtle.ConstantTimeLessOrEq(int(y[len(y)-1]), 1)", "subtle.ConstantTimeLessOrEq(int(y[len(y)-1]), 2)", inSplitkey, completes},
	{"tell a wrong y from a wrong PIN", "splitkey/complete.go", "clear(s1)\n\t\treturn nil, ErrPartial", "clear(s1)\n\t\tif partial[0] == 0 {\n\t\t\treturn nil, ErrMalformedPartial\n\t\t}\n\t\treturn nil, ErrPartial", inSplitkey, completes},
	{"forget the second summand of an additive share", "splitkey/complete.go", "if c.share.sharing == Multiplicative {", "if c.share.sharing != 0 {", inSplitkey, completes},
	{"complete a message for another key", "splitkey/complete.go", "if m.e != c.final.E || !bytes.Equal(m.n, c.final.N.Bytes()) {", "if m.e != c.final.E {", inSplitkey, completes},
	{"skip the check of the server key's answer", "splitkey/complete.go", "if err := c.ownPub.verifyExponentiation(m2, s2); err != nil {", "if err := c.ownPub.verifyExponentiation(m2, s2); false && err != nil {", inSplitkey, completes},
	{"swap s1 and s2 in the composition", "splitkey/complete.go", "h, err := n2.Sub(s2, n2.Reduce(ch.s1()))", "h, err := n2.Sub(n2.Reduce(ch.s1()), s2)", inSplitkey, completes},
	{"compose keys of different exponents", "splitkey/complete.go", "if ownPub.e != share.pub.e {", "if ownPub.e == 0 {", inSplitkey, completes},
	{"finish what another completer checked", "splitkey/complete.go", " || ch.completer != c {", " {", inSplitkey, "TestPartialRefused"},
	{"trust a precomputed value", "splitkey/complete.go", "product, err := ownPub.mod.Mul(n1, n1Inv); err != nil || !bytes.Equal(product, one)", "product, err := ownPub.mod.Mul(n1, n1Inv); err != nil || len(product) != len(one)", inSplitkey, "TestRestoreCompleter"},

	// The device.
	{"drop the 1 of 2x+1", "splitkey/internal/deal/deal.go", "carry := byte(1)", "carry := byte(0)", inSplitkey, partials},
	{"drop the uppermost bit of 2x+1", "splitkey/internal/deal/deal.go", "dc[0] = carry", "dc[0] = 0", inSplitkey, partials},
	{"take x for 2x+1", "splitkey/partial.go", "if c.sharing == Multiplicative {", "if c.sharing == 0 {", inSplitkey, partials},
	{"sign for a key with another exponent", "splitkey/partial.go", "if uint(m.e) != p.e || !bytes", "if !bytes", inSplitkey, partials},
	{"sign for a key without n1", "splitkey/partial.go", "!bytes.Equal(p.mod.Reduce(m.n), make([]byte, p.mod.Size()))", "bytes.Equal(m.n, nil)", inSplitkey, partials},
	{"accept a share that is too long", "splitkey/share.go", "if len(x) != p.mod.Size()+blindingBytes {", "if len(x) < p.mod.Size()+blindingBytes {", inSplitkey, partials},
	{"accept a share that is too short", "splitkey/share.go", "if len(x) != p.mod.Size()+blindingBytes {", "if len(x) > p.mod.Size()+blindingBytes {", inSplitkey, partials},
	{"7 bytes more than n1 in place of 8", "splitkey/share.go", "const blindingBytes = 8", "const blindingBytes = 7", inSplitkey, partials},

	// Keys and the dealer.
	{"accept an even modulus", "splitkey/publickey.go", "if pub.N.Bit(0) == 0 {", "if pub.N.Sign() == 0 {", inSplitkey, encodes},
	{"accept e = 1", "splitkey/publickey.go", "if pub.E < 3 || pub.E&1 == 0", "if pub.E < 1 || pub.E&1 == 0", inSplitkey, encodes},
	{"accept an even e", "splitkey/publickey.go", "if pub.E < 3 || pub.E&1 == 0 ||", "if pub.E < 3 ||", inSplitkey, encodes},
	{"accept a modulus of any number of bits", "splitkey/publickey.go", "if p.mod.BitLen()%8 != 0 {", "if p.mod.BitLen() == 0 {", inSplitkey, partials},
	{"split ordinary primes", "splitkey/generate.go", "if s == Multiplicative && !(prime.IsLSafeVarTime(p) && prime.IsLSafeVarTime(q)) {", "if s == Multiplicative && !prime.IsLSafeVarTime(p) && !prime.IsLSafeVarTime(q) {", inSplitkey, splits + "/split_multiplicative_2048"},
	{"call p = 1 mod 4 l-safe", "splitkey/internal/prime/prime.go", "return len(p) > 0 && p[len(p)-1]&3 == 3 && !sieveFor", "return len(p) > 0 && p[len(p)-1]&1 == 1 && !sieveFor", inSplitkey, splits + "/split_multiplicative_2048"},
	{"call a factor 65537 l-safe", "splitkey/internal/prime/sieve.go", "const Bound = 65537", "const Bound = 65521", inSplitkey, splits + "/split_multiplicative_2048"},
	{"call a factor 65539 not l-safe", "splitkey/internal/prime/sieve.go", "const Bound = 65537", "const Bound = 65539", inSplitkey, splits + "/split_multiplicative_2048"},
	{"split a key that is inconsistent", "splitkey/generate.go", "if err := key.Validate(); err != nil {", "if err := key.Validate(); false && err != nil {", inSplitkey, splits + "/split_additive_2048"},
	{"split a key with a short factor", "splitkey/generate.go", "if least := pub.mod.BitLen() / 4;", "if least := pub.mod.BitLen() / 8;", inSplitkey, splits + "/split_additive_2048"},
	{"reduce the server's share modulo phi", "splitkey/internal/modexp/dealing.go", "if b.DivShortVarTime(g.Bits()[0]) != 0 {", "if b.DivShortVarTime(1) != 0 {", inSplitkey, splits + "/split_additive_2048"},
	{"allow p-1 and q-1 a large common divisor", "splitkey/internal/modexp/dealing.go", "if g.BitLenVarTime() > 32 {", "if g.BitLenVarTime() > 64 {", inSplitkey, splits + "/split_additive_2048"},
	{"subtract d from x", "splitkey/internal/deal/deal.go", "return modexp.SubModEven(priv, reduced, lambda), nil", "return modexp.SubModEven(reduced, priv, lambda), nil", inSplitkey, splits + "/split_additive_2048"},
	{"accept d_s = 0", "splitkey/share.go", "&^zero) == 0", "&^(zero&0)) == 0", inSplitkey, splits + "/split_additive_2048"},
	{"accept d_s = n1", "splitkey/share.go", "lessConstantTime(d, p.n)", "(1 ^ lessConstantTime(p.n, d))", inSplitkey, splits + "/split_additive_2048"},
	{"read a share with bytes after its end", "splitkey/encoding.go", " || !in.Empty() {", " {", inSplitkey, splits + "/split_additive_2048"},
	{"read a share of another version", "splitkey/encoding.go", "if version != serverShareVersion {", "if version == 0 {", inSplitkey, splits + "/split_additive_2048"},

	// Encoding.
	{"leave the upper bits of EM", "splitkey/internal/emsa/emsa.go", "em[0] &= 0xff >> (8*emLen - emBits)", "em[0] &= 0xff", inSplitkey, encodes},
	{"another trailer of PSS", "splitkey/internal/emsa/emsa.go", "em[emLen-1] = 0xbc", "em[emLen-1] = 0xcc", inSplitkey, encodes},
	{"count bits of PSS from the modulus", "splitkey/message.go", "m.em, err = emsa.PSS(h, digest, salt, pub.N.BitLen()-1)", "m.em, err = emsa.PSS(h, digest, salt, pub.N.BitLen())", inSplitkey, encodes},
	{"accept a salt that is a byte too long", "splitkey/internal/emsa/emsa.go", "if emLen < f.size+len(salt)+2 {", "if emLen < f.size+len(salt)+1 {", inSplitkey, encodes},
	{"accept a digest of another length", "splitkey/internal/emsa/emsa.go", "if len(digest) != f.size {", "if len(digest) > f.size {", inSplitkey, encodes},
	{"leave out the NULL of DigestInfo", "splitkey/internal/emsa/emsa.go", "info = append(info, 0x05, 0x00, 0x04, byte(f.size))", "info = append(info, 0x04, byte(f.size))", inSplitkey, encodes},
	{"give SHA3-512 the number of SHA3-384", "splitkey/internal/emsa/emsa.go", "size: 64, oid: nist(10)", "size: 64, oid: nist(9)", inSplitkey, encodes},
	{"sign SHA-1", "splitkey/internal/emsa/emsa.go", "if !ok || f.legacy && !legacy {", "if !ok {", inSplitkey, encodes},
}
