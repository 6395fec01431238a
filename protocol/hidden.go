package protocol

import (
	"crypto/sha256"
	"fmt"
)

// hidden keeps a value where no verb of package fmt finds it: in a closure. A Format method alone does not do, since
// fmt cannot call it in unexported fields, and a pointer alone does not either, since %s of one prints what it points to.
type hidden[T any] func() T

func hide[T any](v T) hidden[T] { return func() T { return v } }

// secretSize is the length of K_dev, a token, a reply's key and the challenge key in bytes.
const secretSize = 32

// secret is one of these.
type secret hidden[*[secretSize]byte]

// newSecret copies b, which has the right length.
func newSecret(b []byte) secret {
	v := new([secretSize]byte)
	if copy(v[:], b) != secretSize || len(b) != secretSize {
		panic("protocol: secret of a wrong length")
	}
	return func() *[secretSize]byte { return v }
}

// Format hides the value.
func (s secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.secret(hidden)") }

// bytes is the value itself, not a copy.
func (s secret) bytes() []byte { return s()[:] }

func (s secret) wipe() {
	if s != nil {
		clear(s()[:])
	}
}

// commitment is what the server stores of a token: its SHA-256.
func (s secret) commitment() [sha256.Size]byte { return sha256.Sum256(s()[:]) }
