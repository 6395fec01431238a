package main

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/bits"

	"golang.org/x/crypto/argon2"
)

// cost is the cost of Argon2id.
type cost struct {
	t, m uint32
	p    uint8
}

var (
	defaultCost = cost{3, 65536, 4}
	leastCost   = cost{1, 8, 1}
)

func (c cost) object() T { return T{"t": c.t, "m": c.m, "p": c.p} }

// box is a lockbox.
type box struct {
	sharing string
	n, e    *big.Int
	cost    cost
	salt    []byte
	ct      []byte
}

func (c cost) key(pin string, salt []byte) []byte {
	return argon2.IDKey([]byte(pin), salt, c.t, c.m, c.p, 32)
}

// keystream is ChaCha20's (RFC 8439, section 2.3 and 2.4) with a nonce of zeros, from
// block 0.
func keystream(key []byte, n int) []byte {
	var out []byte
	for block := uint32(0); len(out) < n; block++ {
		var s, w [16]uint32
		copy(s[:], []uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574})
		for i := range 8 {
			s[4+i] = binary.LittleEndian.Uint32(key[4*i:])
		}
		s[12] = block
		w = s
		quarter := func(a, b, c, d int) {
			w[a] += w[b]
			w[d] = bits.RotateLeft32(w[d]^w[a], 16)
			w[c] += w[d]
			w[b] = bits.RotateLeft32(w[b]^w[c], 12)
			w[a] += w[b]
			w[d] = bits.RotateLeft32(w[d]^w[a], 8)
			w[c] += w[d]
			w[b] = bits.RotateLeft32(w[b]^w[c], 7)
		}
		for range 10 {
			for i := range 4 {
				quarter(i, 4+i, 8+i, 12+i)
			}
			for i := range 4 {
				quarter(i, 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4)
			}
		}
		for i := range w {
			out = binary.LittleEndian.AppendUint32(out, w[i]+s[i])
		}
	}
	return out[:n]
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// body is the lockbox without its checksum.
func (b box) body() []byte {
	out := append([]byte("TDlb\x01"), sharingByte[b.sharing])
	out = binary.BigEndian.AppendUint32(out, b.cost.t)
	out = binary.BigEndian.AppendUint32(out, b.cost.m)
	out = append(append(out, b.cost.p), b.salt...)
	n := b.n.Bytes()
	out = append(binary.BigEndian.AppendUint16(out, uint16(len(n))), n...)
	out = binary.BigEndian.AppendUint32(out, uint32(b.e.Int64()))
	return append(binary.BigEndian.AppendUint16(out, uint16(len(b.ct))), b.ct...)
}

func checksummed(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(append([]byte{}, body...), sum[:]...)
}

func lockbox() *file {
	f := &file{name: "lockbox", algorithm: "tandem-lockbox", schema: "lockbox", notes: map[string]note{
		"RightPin":       {"NORMAL", "Opened with the PIN that it was locked under.", "", nil},
		"WrongPin":       {"NORMAL", "Opened with another PIN: it opens all the same, to another share.", "An offline test of PINs, if it does not.", nil},
		"PinLeadingZero": {"EDGE_CASE", "The PIN begins with 0: 0012 is not 12.", "A PIN that is read as a number.", nil},
		"PinWeak":        {"EDGE_CASE", "A PIN that is refused when a lockbox is made opens one all the same.", "An unlock that tells something.", nil},
	}}
	for n := 4; n <= 12; n++ {
		f.notes[fmt.Sprintf("PinLength%d", n)] = note{"NORMAL", fmt.Sprintf("A PIN of %d digits.", n), "", nil}
	}
	for i, c := range []struct {
		sharing string
		key     *key
		cost    cost
	}{
		{"multiplicative", device(2048, 1), defaultCost}, {"multiplicative", device(2048, 1), leastCost},
		{"additive", device(2048, 2), cost{2, 32, 2}}, {"additive", ordinaryKey(3072, 1), cost{1, 64, 4}},
		{"multiplicative", device(3072, 1), cost{3, 8, 1}}, {"multiplicative", device(2048, 3), cost{1, 19, 1}},
	} {
		g := f.group("Lockbox", T{"sharing": c.sharing, "key": c.key.object(), "params": c.cost.object()})
		var fl []string
		if c.cost != defaultCost {
			fl = append(fl, "ReducedCostKdf")
		}
		lock := func(id int, pin string, x []byte) box {
			b := box{c.sharing, c.key.n, c.key.e, c.cost, f.derive(id, "salt", 16), nil}
			b.ct = xor(x, keystream(c.cost.key(pin, b.salt), len(x)))
			return b
		}
		put := func(id, of int, comment, pin, form, xForm string, b box, extra ...string) {
			kdf := c.cost.key(pin, b.salt)
			ks := keystream(kdf, len(b.ct))
			extra = append(append(extra, fmt.Sprintf("PinLength%d", len(pin))), fl...)
			if pin[0] == '0' {
				extra = append(extra, "PinLeadingZero")
			}
			if rule, _ := weakRule(pin); rule != "" {
				extra = append(extra, "PinWeak")
			}
			g.add(id, comment, flags(extra...), T{"of": of, "pinForm": form, "pin": pin, "salt": hex.EncodeToString(b.salt), "kdfKey": hex.EncodeToString(kdf),
				"keystream": hex.EncodeToString(ks), "xForm": xForm, "x": hex.EncodeToString(xor(b.ct, ks)), "ct": hex.EncodeToString(b.ct),
				"lockboxEnc": hex.EncodeToString(checksummed(b.body()))})
		}
		size := c.key.k() + 8
		lengths := []int{4, 5, 6, 7, 8, 9, 10, 11, 12}
		if i == 0 {
			lengths = []int{4, 6, 12} // the default cost
		}
		for _, l := range lengths {
			id := f.next()
			pin := derivedPIN(f.label(id, "pin"), l)
			b := lock(id, pin, f.derive(id, "x", size))
			put(id, id, fmt.Sprintf("the right PIN, %d digits", l), pin, "derived", "derived", b, "RightPin")
			wrong := f.next()
			other := derivedPIN(f.label(wrong, "pin"), l)
			put(wrong, id, "another PIN", other, "derived", "opened", b, "WrongPin")
		}
		var base box
		for _, pin := range []string{"0012", "0000", "012345678901", "000000000000"} {
			id := f.next()
			base = lock(id, pin, f.derive(id, "x", size))
			put(id, id, "the right PIN", pin, "fixed", "derived", base, "RightPin")
			if i == 0 {
				break // the default cost
			}
			for _, other := range []string{"00012", "0012", "1200"} {
				if other != pin {
					put(f.next(), id, "another PIN", other, "fixed", "opened", base, "WrongPin")
				}
			}
		}
		id := f.next()
		put(id, id, "x is zero: the ciphertext is the keystream", "2749", "fixed", "zero", lock(id, "2749", make([]byte, size)), "RightPin")
		if i == 0 {
			continue
		}
		g = f.group("MalformedPIN", T{"sharing": c.sharing, "key": c.key.object(), "params": c.cost.object(),
			"salt": hex.EncodeToString(base.salt), "ct": hex.EncodeToString(base.ct), "lockboxEnc": hex.EncodeToString(checksummed(base.body())), "of": g.tests[len(g.tests)-2]["of"]})
		for _, m := range malformedPINs {
			g.add(f.next(), m.comment, flags(append(fl, m.flag)...), refuse(T{"pinEnc": hex.EncodeToString([]byte(m.pin))}, "check-pin", "ErrPINFormat"))
		}
	}
	return f
}

// lockboxExhaustive is one lockbox under all 10,000 PINs of four digits.
func lockboxExhaustive() *file {
	f := &file{name: "lockbox_exhaustive_4", algorithm: "tandem-lockbox", schema: "lockbox_exhaustive", notes: map[string]note{
		"EveryPinWellFormed": {"NORMAL", "Every PIN opens the lockbox, to a share of the same length, each to another one.", "An offline test of PINs, if one does not.", nil},
		"RightPin":           {"NORMAL", "The PIN that the lockbox was locked under is among these.", "", nil},
	}}
	k, c := device(2048, 1), leastCost
	x := stream("lockbox_exhaustive_4/x", 264)
	pin := derivedPIN("lockbox_exhaustive_4/pin", 4)
	b := box{"multiplicative", k.n, k.e, c, stream("lockbox_exhaustive_4/salt", 16), nil}
	b.ct = xor(x, keystream(c.key(pin, b.salt), len(x)))
	g := f.group("AllPINs", T{"sharing": b.sharing, "key": k.object(), "params": c.object(), "pin": pin, "x": hex.EncodeToString(x),
		"salt": hex.EncodeToString(b.salt), "ct": hex.EncodeToString(b.ct), "lockboxEnc": hex.EncodeToString(checksummed(b.body()))})
	all := sha3.NewSHAKE256()
	seen := map[string]bool{}
	for thousand := range 10 {
		var keys []byte
		fl := []string{"EveryPinWellFormed", "ReducedCostKdf"}
		for i := range 1000 {
			p := fmt.Sprintf("%04d", 1000*thousand+i)
			kdf := c.key(p, b.salt)
			keys = append(keys, kdf...)
			opened := xor(b.ct, keystream(kdf, len(b.ct)))
			seen[string(opened)] = true
			all.Write(opened)
			if p == pin {
				fl = append(fl, "RightPin")
				if string(opened) != string(x) {
					panic("the right PIN does not open the lockbox")
				}
			}
		}
		soFar := *all // the state so far: Read ends the writing
		digest := make([]byte, 32)
		soFar.Read(digest)
		g.add(f.next(), fmt.Sprintf("PINs %04d to %04d", 1000*thousand, 1000*thousand+999), flags(fl...), T{
			"firstPin": fmt.Sprintf("%04d", 1000*thousand), "lastPin": fmt.Sprintf("%04d", 1000*thousand+999),
			"kdfKeys": hex.EncodeToString(keys), "shake256": hex.EncodeToString(digest),
			"shareLength": len(x), "sharesSoFar": 1000 * (thousand + 1), "distinctSoFar": len(seen)})
	}
	return f
}

func lockboxMalformed() *file {
	f := &file{name: "lockbox_malformed", algorithm: "tandem-lockbox", schema: "lockbox_malformed", notes: map[string]note{
		"BadMagic":          {"MODIFIED_PARAMETER", "Another magic.", "One file taken for another.", nil},
		"UnknownVersion":    {"MODIFIED_PARAMETER", "A version that is not known.", "A later form read as this one.", nil},
		"Truncated":         {"MODIFIED_PARAMETER", "Bytes are missing at the end.", "Reading past the end.", nil},
		"TrailingBytes":     {"MODIFIED_PARAMETER", "Bytes after the end.", "Two forms of one lockbox.", nil},
		"KdfCostZero":       {"CAN_OF_WORMS", "Less passes, memory or lanes than Argon2id takes.", "A crash, or a cost that is no cost.", nil},
		"KdfCostHuge":       {"CAN_OF_WORMS", "More passes, memory or lanes than the reader allows.", "A file that stops the device.", nil},
		"ShareLength":       {"MODIFIED_PARAMETER", "The ciphertext has not k1+8 bytes.", "A share of another key.", nil},
		"BitFlipCiphertext": {"MODIFIED_PARAMETER", "One bit of the ciphertext is changed. With the checksum made anew it opens, to another share.", "An offline test of PINs, if that depends on the PIN.", nil},
		"BitFlipHeader":     {"MODIFIED_PARAMETER", "One bit before the ciphertext is changed.", "Damage that costs attempts.", nil},
		"BadChecksum":       {"MODIFIED_PARAMETER", "The checksum is changed.", "Damage that costs attempts.", nil},
		"UnknownSharing":    {"MODIFIED_PARAMETER", "A sharing that is neither 1 nor 2.", "A share of the wrong kind.", nil},
		"ModulusZeros":      {"MODIFIED_PARAMETER", "n1 begins with a zero byte, or is not there.", "Two forms of one lockbox.", nil},
	}}
	for _, k := range []*key{device(2048, 1), device(3072, 1)} {
		f.malformedLockboxes(k)
	}
	return f
}

func (f *file) malformedLockboxes(k *key) {
	kb := k.k()
	name := fmt.Sprintf("lockbox_malformed/%s/", k.name)
	b := box{"multiplicative", k.n, k.e, leastCost, stream(name+"salt", 16), nil}
	pin := derivedPIN(name+"pin", 6)
	x := stream(name+"x", kb+8)
	b.ct = xor(x, keystream(b.cost.key(pin, b.salt), len(x)))
	enc := checksummed(b.body())
	g := f.group("Malformed", T{"sharing": b.sharing, "key": k.object(), "limit": defaultCost.object(), "pin": pin, "x": hex.EncodeToString(x), "baseEnc": hex.EncodeToString(enc)})
	// apply edits the body and makes the checksum anew, or edits all.
	apply := func(e edit, rehash bool) []byte {
		if rehash {
			return checksummed(e.apply(enc[:len(enc)-32]))
		}
		return e.apply(enc)
	}
	bad := func(comment, flag, class string, e edit, rehash bool) {
		g.add(f.next(), comment, flags(flag), refuse(T{"edit": e.object(), "rehash": rehash, "lockboxEnc": hex.EncodeToString(apply(e, rehash))},
			map[string]string{"ErrLockbox": "parse-lockbox", "ErrParams": "unlock"}[class], class))
	}
	opens := func(comment, flag string, e edit) {
		data := apply(e, true)
		body := data[:len(data)-32]
		// Read again what the edit changed.
		salt, ct, c := body[15:31], body[len(body)-kb-8:], cost{binary.BigEndian.Uint32(body[6:]), binary.BigEndian.Uint32(body[10:]), body[14]}
		kdf := c.key(pin, salt)
		g.add(f.next(), comment, flags(flag), T{"edit": e.object(), "rehash": true, "lockboxEnc": hex.EncodeToString(data),
			"kdfKey": hex.EncodeToString(kdf), "x": hex.EncodeToString(xor(ct, keystream(kdf, len(ct))))})
	}
	put := func(at int, hexes string) edit { return edit{at, len(hexes) / 2, hexes} }
	const lb = "ErrLockbox"
	bad("another magic", "BadMagic", lb, put(3, "63"), true)
	bad("the magic of a server's share", "BadMagic", lb, put(2, "7373"), true)
	bad("the magic of a sealed lockbox", "BadMagic", lb, put(2, "736c"), true)
	bad("a magic in capitals", "BadMagic", lb, put(2, "4c42"), true)
	for _, v := range []string{"00", "02", "81", "ff"} {
		bad("version "+v, "UnknownVersion", lb, put(4, v), true)
	}
	for _, v := range []string{"00", "03", "81", "ff"} {
		bad("sharing "+v, "UnknownSharing", lb, put(5, v), true)
	}
	opens("additive in place of multiplicative", "BitFlipHeader", put(5, "02"))
	for _, n := range []int{0, 1, 4, 5, 6, 14, 15, 30, 31, 33, 33 + kb, 37 + kb, 39 + kb, 46 + 2*kb, 47 + 2*kb} {
		bad(fmt.Sprintf("the first %d bytes", n), "Truncated", lb, edit{n, len(enc) - n, ""}, false)
		if n < 47+2*kb {
			bad(fmt.Sprintf("the first %d bytes and their checksum", n), "Truncated", lb, edit{n, len(enc) - 32 - n, ""}, true)
		}
	}
	for _, n := range []int{1, 31, 32} {
		bad(fmt.Sprintf("without the last %d bytes", n), "Truncated", lb, edit{len(enc) - n, n, ""}, false)
	}
	for _, h := range []string{"00", "ff", "0000000000000000"} {
		bad("more bytes at the end: "+h, "TrailingBytes", lb, edit{len(enc), 0, h}, false)
		bad("more bytes before the checksum: "+h, "TrailingBytes", lb, edit{len(enc) - 32, 0, h}, true)
	}
	bad("the lockbox twice", "TrailingBytes", lb, edit{len(enc), 0, hex.EncodeToString(enc)}, false)
	bad("t = 0", "KdfCostZero", lb, put(6, "00000000"), true)
	bad("m = 0", "KdfCostZero", lb, put(10, "00000000"), true)
	bad("m = 7", "KdfCostZero", lb, put(10, "00000007"), true)
	bad("p = 0", "KdfCostZero", lb, put(14, "00"), true)
	bad("p = 2 with m = 8", "KdfCostZero", lb, put(14, "02"), true)
	bad("p = 255 with m = 2039", "KdfCostZero", lb, put(10, "000007f7ff"), true)
	bad("m = 2^32-1", "KdfCostHuge", lb, put(10, "ffffffff"), true)
	bad("m = 2^22+1", "KdfCostHuge", lb, put(10, "00400001"), true)
	bad("t = 4", "KdfCostHuge", "ErrParams", put(6, "00000004"), true)
	bad("t = 2^32-1", "KdfCostHuge", "ErrParams", put(6, "ffffffff"), true)
	bad("m = 65537", "KdfCostHuge", "ErrParams", put(10, "00010001"), true)
	bad("m = 2^20", "KdfCostHuge", "ErrParams", put(10, "00100000"), true)
	bad("p = 5 with m = 40", "KdfCostHuge", "ErrParams", put(10, "0000002805"), true)
	bad("p = 255 with m = 2040", "KdfCostHuge", "ErrParams", put(10, "000007f8ff"), true)
	opens("t = 3", "BitFlipHeader", put(6, "00000003"))
	opens("m = 16", "BitFlipHeader", put(10, "00000010"))
	opens("p = 4 with m = 32", "BitFlipHeader", put(10, "0000002004"))

	ct := 39 + kb
	bad("a ciphertext of k1 bytes", "ShareLength", lb, edit{ct - 2, kb + 10, fmt.Sprintf("%04x%x", kb, b.ct[:kb])}, true)
	bad("a ciphertext one byte short", "ShareLength", lb, edit{ct - 2, kb + 10, fmt.Sprintf("%04x%x", kb+7, b.ct[:kb+7])}, true)
	bad("a ciphertext of one byte more", "ShareLength", lb, edit{ct - 2, kb + 10, fmt.Sprintf("%04x%x00", kb+9, b.ct)}, true)
	bad("no ciphertext", "ShareLength", lb, edit{ct - 2, kb + 10, "0000"}, true)
	bad("a length that is one less than the ciphertext", "ShareLength", lb, put(ct-2, fmt.Sprintf("%04x", kb+7)), true)
	bad("a length that is one more than the ciphertext", "ShareLength", lb, put(ct-2, fmt.Sprintf("%04x", kb+9)), true)
	bad("the length ffff", "ShareLength", lb, put(ct-2, "ffff"), true)

	bad("n1-1 in place of n1", "EvenModulus", lb, edit{33 + kb - 1, 1, fmt.Sprintf("%02x", i2osp(k.n, kb)[kb-1]-1)}, true)
	bad("no n1", "ModulusZeros", lb, edit{31, 2 + kb, "0000"}, true)
	bad("a zero byte before n1", "ModulusZeros", lb, edit{31, 2, fmt.Sprintf("%04x00", kb+1)}, true)
	bad("the first byte of n1 is zero", "ModulusZeros", lb, edit{33, 1, "00"}, true)
	for _, l := range []length{{1024, "SmallModulus"}, {2040, "SmallModulus"}, {2047, "SmallModulus"}, {2049, "OddModulusBits"}, {2055, "OddModulusBits"}} {
		id := f.id + 1
		m := modulus(f.label(id, "n"), l.bits)
		share := f.derive(id, "ct", len(m)+8)
		bad(fmt.Sprintf("an n1 of %d bits", l.bits), l.flag, lb, edit{31, 16 + 2*kb, fmt.Sprintf("%04x%x%08x%04x%x", len(m), m, 65537, len(m)+8, share)}, true)
	}
	bad("e = 1", "ExponentOne", lb, put(33+kb, "00000001"), true)
	bad("e = 0", "ExponentEven", lb, put(33+kb, "00000000"), true)
	bad("e = 65536", "ExponentEven", lb, put(33+kb, "00010000"), true)
	bad("e = 2^31+1", "ExponentTooBig", lb, put(33+kb, "80000001"), true)
	bad("e = 2^32-1", "ExponentTooBig", lb, put(33+kb, "ffffffff"), true)
	opens("e = 3", "BitFlipHeader", put(33+kb, "00000003"))
	opens("e = 2^31-1", "BitFlipHeader", put(33+kb, "7fffffff"))

	flip := func(at int, bit byte) edit { return put(at, fmt.Sprintf("%02x", enc[at]^1<<bit)) }
	which := stream(name+"bits", len(enc))
	for at := range 33 {
		bad(fmt.Sprintf("bit %d of byte %d", which[at]%8, at), "BitFlipHeader", lb, flip(at, which[at]%8), false)
	}
	for at := 33; at < 39+kb; at += 16 {
		bad(fmt.Sprintf("bit %d of byte %d", which[at]%8, at), "BitFlipHeader", lb, flip(at, which[at]%8), false)
	}
	for at := ct; at < ct+kb+8; at += 12 {
		bad(fmt.Sprintf("bit %d of byte %d", which[at]%8, at), "BitFlipCiphertext", lb, flip(at, which[at]%8), false)
		opens(fmt.Sprintf("bit %d of byte %d, and a right checksum", which[at]%8, at), "BitFlipCiphertext", flip(at, which[at]%8))
	}
	for at := 15; at < 31; at += 5 {
		opens(fmt.Sprintf("bit %d of byte %d of the salt, and a right checksum", which[at]%8, at), "BitFlipHeader", flip(at, which[at]%8))
	}
	for at := ct + kb + 8; at < len(enc); at += 4 {
		bad(fmt.Sprintf("bit %d of byte %d", which[at]%8, at), "BadChecksum", lb, flip(at, which[at]%8), false)
	}
}
