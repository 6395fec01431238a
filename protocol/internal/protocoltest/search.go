package protocoltest

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
)

// Contains looks for a secret as it is, reversed, in hexadecimal of both cases, in base64
// and base32 at each alignment, and in decimal; for a long one it looks for 32 bytes from
// its middle. The shortest are PINs of 9 digits, which no random bytes contain by chance.
func Contains(haystack, secret []byte) bool {
	reversed := bytes.Clone(secret)
	slices.Reverse(reversed)
	lower := bytes.ToLower(haystack)
	for _, v := range [][]byte{secret, reversed} {
		if len(v) > 48 {
			v = v[16:48]
		}
		if bytes.Contains(haystack, v) || bytes.Contains(lower, []byte(hex.EncodeToString(v))) ||
			bytes.Contains(haystack, []byte(new(big.Int).SetBytes(v).String())) {
			return true
		}
		// At each end, cut off the letter that the neighbours of v share.
		for shift := range 5 {
			shifted := append(make([]byte, shift), v...)
			for _, e := range []interface{ EncodeToString([]byte) string }{base64.RawStdEncoding, base64.RawURLEncoding} {
				text := e.EncodeToString(shifted)
				if bytes.Contains(haystack, []byte(text[(8*shift+5)/6:8*len(shifted)/6])) {
					return true
				}
			}
			for _, e := range []interface{ EncodeToString([]byte) string }{base32.StdEncoding, base32.HexEncoding} {
				text := e.EncodeToString(shifted)
				if bytes.Contains(haystack, []byte(text[(8*shift+4)/5:8*len(shifted)/5])) {
					return true
				}
			}
		}
	}
	return false
}
