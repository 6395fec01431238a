package protocol

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
)

// VerificationCode returns the 4 digits that the service and the device both show for a
// digest, so that the user can see that both mean the same transaction: the last two
// bytes of SHA-256 of the digest, big-endian, modulo 10000, zero-padded (as in the
// deployed Smart-ID system). It does not protect against somebody who can choose digests
// until one has the code he wants.
func VerificationCode(digest []byte) string {
	sum := sha256.Sum256(digest)
	return formatCode(int(binary.BigEndian.Uint16(sum[sha256.Size-2:])) % codes)
}

const codes = 10000

func formatCode(n int) string { return fmt.Sprintf("%04d", n) }

// CodeChoice returns the verification code of a digest and two other ones, all different,
// in random order. The device shows the three and the user picks the one that the service
// shows; with any other pick the transaction ends, and the PIN is not asked for.
func CodeChoice(digest []byte) [3]string { return choice(VerificationCode(digest)) }

// CodeChoiceOf is [CodeChoice] for a code that does not follow from the digest: that of a
// challenge, or one that the service drew. The error is ErrMalformed for a code that does
// not have 4 digits.
func CodeChoiceOf(code string) ([3]string, error) {
	if len(code) != 4 || strings.Trim(code, "0123456789") != "" {
		return [3]string{}, ErrMalformed
	}
	return choice(code), nil
}

// RandomCode returns a verification code that nobody can foresee: of all 10,000 each is
// as probable as any other.
func RandomCode() string { return formatCode(draw(codes)) }

func choice(code string) [3]string {
	choice := [3]string{code}
	for i := 1; i < len(choice); {
		choice[i] = RandomCode()
		if choice[i] != choice[0] && (i == 1 || choice[i] != choice[1]) {
			i++
		}
	}
	for i := len(choice) - 1; i > 0; i-- { // Fisher and Yates
		j := draw(i + 1)
		choice[i], choice[j] = choice[j], choice[i]
	}
	return choice
}

// draw returns a uniform number below n.
func draw(n int) int {
	v, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return int(v.Int64())
}
