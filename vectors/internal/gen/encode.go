package main

import (
	"crypto"
	_ "crypto/sha256" // so that crypto.Hash.New works
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/hex"
	"fmt"
	"math/big"
)

type hashFunc struct {
	name string
	h    crypto.Hash
	arc  byte // the last of the object identifier 2.16.840.1.101.3.4.2.N
}

var hashes = []hashFunc{
	{"SHA-256", crypto.SHA256, 1}, {"SHA-384", crypto.SHA384, 2}, {"SHA-512", crypto.SHA512, 3},
	{"SHA3-256", crypto.SHA3_256, 8}, {"SHA3-384", crypto.SHA3_384, 9}, {"SHA3-512", crypto.SHA3_512, 10},
}

func (h hashFunc) sum(parts ...[]byte) []byte {
	hh := h.h.New()
	for _, p := range parts {
		hh.Write(p)
	}
	return hh.Sum(nil)
}

// pkcs1 is EMSA-PKCS1-v1_5 (RFC 8017, section 9.2).
func (h hashFunc) pkcs1(digest []byte, emLen int) []byte {
	info, err := hex.DecodeString(fmt.Sprintf("30%02x300d0609608648016503040200050004%02x", 17+len(digest), len(digest)))
	must(err)
	info[14] = h.arc
	info = append(info, digest...)
	em := []byte{0, 1}
	for len(em) < emLen-len(info)-1 {
		em = append(em, 0xff)
	}
	return append(append(em, 0), info...)
}

// pss is EMSA-PSS (RFC 8017, section 9.1.1), with its step numbers. It also returns H.
func (h hashFunc) pss(digest, salt []byte, emBits int) (em, hash []byte) {
	emLen, hLen := (emBits+7)/8, h.h.Size()
	hash = h.sum(make([]byte, 8), digest, salt) // 5, 6
	db := make([]byte, emLen-hLen-1)            // 7, 8
	db[len(db)-len(salt)-1] = 1
	copy(db[len(db)-len(salt):], salt)
	var mask []byte // 9: MGF1
	for c := byte(0); len(mask) < len(db); c++ {
		mask = append(mask, h.sum(hash, []byte{0, 0, 0, c})...)
		if c == 255 {
			panic("MGF1 counter")
		}
	}
	for i := range db { // 10
		db[i] ^= mask[i]
	}
	em = append(append(db, hash...), 0xbc)   // 12
	if x := os2ip(em); x.BitLen() > emBits { // 11
		x.And(x, new(big.Int).Sub(new(big.Int).Lsh(one, uint(emBits)), one))
		em = i2osp(x, emLen)
	}
	return em, hash
}

// message is one digest, encoded for a final modulus.
type message struct {
	hash    hashFunc
	padding string
	digest  []byte
	salt    []byte
	em      []byte
}

func encode(h hashFunc, padding string, digest, salt []byte, n *big.Int) message {
	m := message{h, padding, digest, salt, nil}
	if padding == "PSS" {
		m.em, _ = h.pss(digest, salt, n.BitLen()-1)
	} else {
		m.em = h.pkcs1(digest, (n.BitLen()+7)/8)
	}
	return m
}

func (m message) put(t T) T {
	t["hash"], t["padding"] = m.hash.name, m.padding
	t["digest"], t["salt"], t["em"] = hex.EncodeToString(m.digest), hex.EncodeToString(m.salt), hex.EncodeToString(m.em)
	return t
}

func (m message) int() *big.Int { return os2ip(m.em) }

// message derives a message for a test, of each hash and padding in turn.
func (f *file) message(id, variant int, n *big.Int) message {
	return f.messageAs(id, "digest", hashes[variant%len(hashes)], []string{"PKCS1", "PSS"}[variant%2], n)
}

func (f *file) messageAs(id int, field string, h hashFunc, padding string, n *big.Int) message {
	var salt []byte
	if padding == "PSS" {
		salt = f.derive(id, "salt", h.h.Size())
	}
	return encode(h, padding, f.derive(id, field, h.h.Size()), salt, n)
}

var wrongLengths = []int{0, 1, 20, 28, 31, 33, 47, 49, 63, 65, 128}

func encodePKCS1() *file {
	f := &file{name: "encode_pkcs1", algorithm: "EMSA-PKCS1-v1_5", schema: "encode", notes: map[string]note{
		"DigestEdge":   {"EDGE_CASE", "A digest of zero bytes or of ff bytes.", "Numbers without fixed width.", nil},
		"LargeModulus": {"CAN_OF_WORMS", "The modulus has more than 16384 bits.", "Work for whoever verifies.", nil},
	}}
	for _, bits := range []int{2048, 2049, 2055, 2056, 3072, 4095, 4096, 4097, 8192, 16384} {
		for _, h := range hashes {
			g := f.encodeGroup(bits, h)
			n := len(g.n) // k
			for i := range 2 {
				id := f.next()
				fl, digest := g.flags, f.derive(id, "digest", h.h.Size())
				form := "derived"
				if i == 1 {
					fl, form = append(flags("DigestEdge"), fl...), "zero"
					clear(digest)
					if bits%2 == 1 {
						form = "ones"
						for i := range digest {
							digest[i] = 0xff
						}
					}
				}
				g.add(id, "digest "+form, flags(fl...), T{"digestForm": form, "digest": hex.EncodeToString(digest), "em": hex.EncodeToString(h.pkcs1(digest, n))})
			}
			if bits == 2048 || bits == 4097 {
				f.wrongDigests(g, h)
			}
		}
	}
	f.refusedModuli()
	return f
}

type encodeGroup struct {
	*group
	n     []byte
	flags []string
}

func (f *file) encodeGroup(bits int, h hashFunc) encodeGroup {
	n := modulus(fmt.Sprintf("modulus/%d", bits), bits)
	g := encodeGroup{f.group("Encode", T{"hash": h.name, "e": 65537, "bits": bits, "n": hex.EncodeToString(n)}), n, []string{}}
	if bits%8 != 0 {
		g.flags = append(g.flags, "ModulusUnusual")
	}
	return g
}

func (f *file) wrongDigests(g encodeGroup, h hashFunc) {
	for _, l := range wrongLengths {
		id := f.next()
		g.add(id, fmt.Sprintf("digest of %d bytes", l), flags(append([]string{"DigestLength"}, g.flags...)...), refuse(T{
			"digestForm": "derived", "digestEnc": hex.EncodeToString(f.derive(id, "digest", l))}, "encode", "ErrMessage"))
	}
}

// refusedModuli are final keys that nothing may be encoded for.
func (f *file) refusedModuli() {
	h := hashes[0]
	for _, bits := range []int{512, 1024, 2047, 16385, 32768} {
		flag := "SmallModulus"
		if bits > 16384 {
			flag = "LargeModulus"
		}
		n := modulus(fmt.Sprintf("modulus/%d", bits), bits)
		f.refusedModulus(h, bits, 65537, "none", n, flag)
	}
	n := modulus("modulus/2048", 2048)
	even := append([]byte{}, n...)
	even[len(even)-1] &^= 1
	f.refusedModulus(h, 2048, 65537, "n-1", even, "EvenModulus")
	for e, flag := range map[int]string{1: "ExponentOne"} {
		f.refusedModulus(h, 2048, e, "none", n, flag)
	}
	for _, e := range []int{0, 2, 65536} {
		f.refusedModulus(h, 2048, e, "none", n, "ExponentEven")
	}
	for _, name := range []string{"MD5", "SHA-1", "SHA-224", "SHA-512/224", "SHA-512/256", "SHA3-224"} {
		size := map[string]int{"MD5": 16, "SHA-1": 20, "SHA-224": 28, "SHA-512/224": 28, "SHA-512/256": 32, "SHA3-224": 28}[name]
		g := f.group("Encode", T{"hash": name, "e": 65537, "bits": 2048, "n": hex.EncodeToString(n)})
		id := f.next()
		g.add(id, name+" is not in the list", flags("UnknownHash"), refuse(T{
			"digestForm": "derived", "digestEnc": hex.EncodeToString(f.derive(id, "digest", size))}, "encode", "ErrMessage"))
	}
}

func (f *file) refusedModulus(h hashFunc, bits, e int, change string, n []byte, flag string) {
	g := f.group("Encode", T{"hash": h.name, "e": e, "bits": bits, "n": hex.EncodeToString(n), "change": change})
	id := f.next()
	g.add(id, fmt.Sprintf("a modulus of %d bits (%s), e = %d", bits, change, e), flags(flag), refuse(T{
		"digestForm": "derived", "digestEnc": hex.EncodeToString(f.derive(id, "digest", h.h.Size()))}, "check-key", "ErrKey"))
}

func encodePSS() *file {
	f := &file{name: "encode_pss", algorithm: "EMSA-PSS", schema: "encode", notes: map[string]note{
		"SaltZero":      {"EDGE_CASE", "The salt is empty.", "A verifier takes 0 for 'any length'.", nil},
		"SaltZeroBytes": {"EDGE_CASE", "The salt is as long as the hash, all zero bytes.", "A number without fixed width.", nil},
		"SaltHashLen":   {"NORMAL", "The salt is as long as the hash: the default.", "", nil},
		"SaltMax":       {"EDGE_CASE", "The longest salt: emLen - hLen - 2 bytes.", "No padding is left.", nil},
		"SaltTooLong":   {"EDGE_CASE", "A salt that does not fit.", "A negative length.", nil},
		"LargeModulus":  {"CAN_OF_WORMS", "The modulus has more than 16384 bits.", "Work for whoever verifies.", nil},
	}}
	for _, bits := range []int{2048, 2049, 2055, 3072, 4095, 4097} {
		for _, h := range hashes {
			g := f.encodeGroup(bits, h)
			if bits%8 == 1 {
				g.flags = append(g.flags, "EmLenShort")
			}
			emBits, hLen := bits-1, h.h.Size()
			longest := (emBits+7)/8 - hLen - 2
			for _, c := range []struct {
				comment, flag string
				size          int
			}{
				{"no salt", "SaltZero", 0}, {"salt of 1 byte", "", 1}, {"salt as long as the hash", "SaltHashLen", hLen},
				{"salt of zero bytes", "SaltZeroBytes", hLen}, {"longest salt", "SaltMax", longest},
			} {
				id := f.next()
				digest, salt := f.derive(id, "digest", hLen), f.derive(id, "salt", c.size)
				fl := append([]string{}, g.flags...)
				if c.flag != "" {
					fl = append(fl, c.flag)
				}
				saltForm := "derived"
				if c.flag == "SaltZeroBytes" {
					saltForm = "zero"
					clear(salt)
				}
				em, hh := h.pss(digest, salt, emBits)
				g.add(id, c.comment, flags(fl...), T{"digestForm": "derived", "digest": hex.EncodeToString(digest),
					"saltForm": saltForm, "salt": hex.EncodeToString(salt), "h": hex.EncodeToString(hh), "em": hex.EncodeToString(em)})
			}
			for _, extra := range []int{1, 2, hLen + 2, 1000} {
				id := f.next()
				g.add(id, fmt.Sprintf("salt %d bytes longer than fits", extra), flags(append([]string{"SaltTooLong"}, g.flags...)...), refuse(T{
					"digestForm": "derived", "digest": hex.EncodeToString(f.derive(id, "digest", hLen)),
					"saltForm": "derived", "saltEnc": hex.EncodeToString(f.derive(id, "salt", longest+extra))}, "encode", "ErrMessage"))
			}
			if bits == 2048 || bits == 4097 {
				f.wrongDigests(g, h)
			}
		}
	}
	f.refusedModuli()
	return f
}
