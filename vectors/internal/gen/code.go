package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

func verificationCode() *file {
	f := &file{name: "verification_code", algorithm: "tandem-verification-code", schema: "verification_code", notes: map[string]note{
		"Example":     {"NORMAL", "The example of section 9.", "", nil},
		"LeadingZero": {"EDGE_CASE", "The code begins with a zero digit.", "A code of three digits.", nil},
		"Wrapped":     {"EDGE_CASE", "The last two bytes of the hash are above 9999.", "A code of five digits.", nil},
	}}
	g := f.group("VerificationCode", nil)
	put := func(id int, comment, form string, digest []byte, counter int) {
		h := sha256.Sum256(digest)
		v := int(h[30])<<8 | int(h[31])
		var fl []string
		if form == "hello" {
			fl = append(fl, "Example")
		}
		if v%10000 < 1000 {
			fl = append(fl, "LeadingZero")
		}
		if v > 9999 {
			fl = append(fl, "Wrapped")
		}
		t := T{"digestForm": form, "digest": hex.EncodeToString(digest), "h": hex.EncodeToString(h[:]), "code": fmt.Sprintf("%04d", v%10000)}
		if counter >= 0 {
			t["counter"] = counter
		}
		g.add(id, comment, flags(fl...), t)
	}
	hello := sha256.Sum256([]byte("hello\n"))
	put(f.next(), "SHA-256 of hello and a newline", "hello", hello[:], -1)
	for i := range 30 {
		id := f.next()
		put(id, "random digest", "derived", f.derive(id, "digest", []int{32, 48, 64}[i%3]), -1)
	}
	for _, want := range []int{0, 1, 9, 10, 99, 100, 999, 1000, 9999, 10000, 19999, 60000, 65535, 2, 11} {
		id := f.next()
		digest, counter := f.search(id, "digest", 32, func(b []byte) bool {
			h := sha256.Sum256(b)
			return int(h[30])<<8|int(h[31]) == want
		})
		put(id, fmt.Sprintf("the last two bytes of the hash are %d", want), "derived", digest, counter)
	}
	return f
}
