package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"math/big"
	"slices"
)

// orderL is the order of the base point of Ed25519: 2^252 + ...
var orderL, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// keyDocuments are signed key documents (docs/protocol.md, section 3), for a device that
// has used one with serial 7.
func keyDocuments() *file {
	f := &file{name: "key_document", algorithm: "tandem-key-document", schema: "key_document", notes: map[string]note{
		"Serial":         {"NORMAL", "A document with the serial that the device has used, or a larger one.", "A device that is left behind.", nil},
		"OlderSerial":    {"MODIFIED_PARAMETER", "A document with a lower serial than one that the device has used.", "A way back to a key that has leaked.", nil},
		"OtherAuthority": {"MODIFIED_PARAMETER", "Somebody else has signed.", "Anybody reads the partial signatures.", nil},
		"OtherText":      {"MODIFIED_PARAMETER", "The authority has signed the document without what is before it in the signed text.", "A signature that was made for another purpose.", nil},
		"OtherVersion":   {"MODIFIED_PARAMETER", "The authority has signed another version.", "Bytes that are taken for something else.", nil},
		"OtherLength":    {"MODIFIED_PARAMETER", "The document is too short or too long.", "Bytes that nobody signed.", nil},
		"BitFlipped":     {"MODIFIED_PARAMETER", "One bit of the document is another one.", "Bytes that nobody signed.", nil},
		"LargeS":         {"MODIFIED_PARAMETER", "S of the signature is not below the order of the base point (RFC 8032, section 5.1.7).", "Two signatures of one document.", nil},
		"NoKey":          {"MODIFIED_PARAMETER", "The authority has signed bytes that are no ML-KEM-768 key: a coefficient is not below the modulus (FIPS 203, section 7.2).", "A device that can send nothing any more.", nil},
	}}
	authority := ed25519.NewKeyFromSeed(stream("key_document/authority", 32))
	other := ed25519.NewKeyFromSeed(stream("key_document/otherAuthority", 32))
	hpke := newRecipient(stream("key_document/hpkePrivate", 32))
	g := f.group("KeyDocument", T{"authorityPrivate": hex.EncodeToString(authority.Seed()), "authorityPublic": hex.EncodeToString(authority.Public().(ed25519.PublicKey)),
		"hpkePrivate": hex.EncodeToString(hpke.seed), "hpkePublic": hex.EncodeToString(hpke.public()), "usedSerial": "0000000000000007"})

	document := func(serial uint64, change string) []byte {
		version, by, key, label := byte(2), authority, hpke.public(), "tandem v2 key document"
		switch change {
		case "other-authority":
			by = other
		case "no-label":
			label = ""
		case "version":
			version = 1
		case "no-key":
			key[0], key[1] = 0xff, key[1]|0x0f
		}
		body := cat([]byte{version}, u64(int64(serial)), key)
		sig := ed25519.Sign(by, cat([]byte(label), body))
		if change == "large-s" {
			s := slices.Clone(sig[32:])
			slices.Reverse(s)
			s = i2osp(new(big.Int).Add(os2ip(s), orderL), 32)
			slices.Reverse(s)
			copy(sig[32:], s)
		}
		return cat(body, sig)
	}
	none := edit{}
	good := document(8, "none")
	flip := func(at int) edit { return edit{at, 1, hex.EncodeToString([]byte{good[at] ^ 1})} }
	for _, c := range []struct {
		comment, flag string
		serial        uint64
		change        string
		edit          edit
		good          bool
	}{
		{"the next serial", "Serial", 8, "none", none, true},
		{"the same serial", "Serial", 7, "none", none, true},
		{"the largest serial", "Serial", 1<<64 - 1, "none", none, true},
		{"a serial one lower", "OlderSerial", 6, "none", none, false},
		{"serial 0", "OlderSerial", 0, "none", none, false},
		{"another authority", "OtherAuthority", 8, "other-authority", none, false},
		{"signed without the label", "OtherText", 8, "no-label", none, false},
		{"version 1", "OtherVersion", 8, "version", none, false},
		{"S is larger by the order", "LargeS", 8, "large-s", none, false},
		{"the first coefficient is 4095", "NoKey", 8, "no-key", none, false},
		{"no bytes", "OtherLength", 8, "none", edit{0, len(good), ""}, false},
		{"one byte short", "OtherLength", 8, "none", edit{len(good) - 1, 1, ""}, false},
		{"without the first byte", "OtherLength", 8, "none", edit{0, 1, ""}, false},
		{"one byte more", "OtherLength", 8, "none", edit{len(good), 0, "00"}, false},
		{"twice", "OtherLength", 8, "none", edit{len(good), 0, hex.EncodeToString(good)}, false},
		{"without the signature", "OtherLength", 8, "none", edit{len(good) - 64, 64, ""}, false},
		{"a bit of the version", "BitFlipped", 8, "none", flip(0), false},
		{"a bit of the serial", "BitFlipped", 8, "none", flip(8), false},
		{"a bit of the ML-KEM key's vector", "BitFlipped", 8, "none", flip(9), false},
		{"a bit of the ML-KEM key's seed", "BitFlipped", 8, "none", flip(9 + 1152), false},
		{"a bit of the X25519 key", "BitFlipped", 8, "none", flip(9 + 1215), false},
		{"a bit of R", "BitFlipped", 8, "none", flip(9 + 1216), false},
		{"a bit of S", "BitFlipped", 8, "none", flip(9 + 1216 + 32), false},
	} {
		b := document(c.serial, c.change)
		t := T{"serial": hex.EncodeToString(u64(int64(c.serial))), "change": c.change}
		if c.edit != none {
			b = c.edit.apply(b)
			t["edit"] = c.edit.object()
		}
		t["documentEnc"] = hex.EncodeToString(b)
		if !c.good {
			refuse(t, "key-document", "ErrKeyDocument")
		}
		g.add(f.next(), c.comment, flags(c.flag), t)
	}
	return f
}
