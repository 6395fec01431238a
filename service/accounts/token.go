package accounts

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenSize is the length of a device's token in bytes.
const tokenSize = 32

// NewToken draws a device's token: 43 characters, base64url of 32 random bytes. Phones
// that are not written in Go do the same.
func NewToken() string {
	b := make([]byte, tokenSize)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// checkToken refuses what NewToken does not draw.
func checkToken(token string) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != tokenSize || strings.ContainsAny(token, "\r\n") {
		return fmt.Errorf("%w: a token is base64url of 32 bytes", ErrRequest)
	}
	return nil
}

// Codes are typed by persons: 12 characters of an alphabet without I, L, O and U, in
// groups of four, which is 60 bits.
const (
	codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLength   = 12
	codeGroup    = 4
)

// newCode draws a code, as it is shown.
func newCode() string {
	b := make([]byte, codeLength)
	rand.Read(b)
	var out strings.Builder
	for i, c := range b {
		if i > 0 && i%codeGroup == 0 {
			out.WriteByte('-')
		}
		out.WriteByte(codeAlphabet[c%32])
	}
	return out.String()
}

// readCode returns the characters of a code as a person typed it: in either case, with or
// without separators, O for 0, and I or L for 1. ok is false for what is no code.
func readCode(typed string) (code string, ok bool) {
	if len(typed) > 4*codeLength {
		return "", false
	}
	var out strings.Builder
	for _, c := range strings.ToUpper(typed) {
		switch c {
		case '-', ' ':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		if !strings.ContainsRune(codeAlphabet, c) {
			return "", false
		}
		out.WriteRune(c)
	}
	return out.String(), out.Len() == codeLength
}

// maxLabel is how many characters a device's label has at most.
const maxLabel = 40

// checkLabel refuses a device's label that a person could be misled by.
func checkLabel(label string) error {
	if label == "" || !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel || strings.TrimSpace(label) != label ||
		strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return fmt.Errorf("%w: a device's label has 1 to %d characters that print", ErrRequest, maxLabel)
	}
	return nil
}
