package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
)

// Hidden keeps a value where no verb of package fmt finds it: in a closure. A Format method alone does not do, since
// fmt cannot call it in unexported fields, and a pointer alone does not either, since %s of one prints what it points to.
type Hidden[T any] func() T

func Hide[T any](v T) Hidden[T] { return func() T { return v } }

// SecretSize is the length of K_dev, a token, a reply's key and the challenge key in bytes.
const SecretSize = 32

// Secret is one of these.
type Secret Hidden[*[SecretSize]byte]

// NewSecret copies b, which has the right length.
func NewSecret(b []byte) Secret {
	v := new([SecretSize]byte)
	if copy(v[:], b) != SecretSize || len(b) != SecretSize {
		panic("protocol: secret of a wrong length")
	}
	return func() *[SecretSize]byte { return v }
}

// Format hides the value.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "wire.Secret(hidden)") }

// Bytes is the value itself, not a copy.
func (s Secret) Bytes() []byte { return s()[:] }

func (s Secret) Wipe() {
	if s != nil {
		clear(s()[:])
	}
}

// Commitment is what the server stores of a token: its SHA-256.
func (s Secret) Commitment() [sha256.Size]byte { return sha256.Sum256(s()[:]) }

func DrawSecret() Secret {
	var b [SecretSize]byte
	rand.Read(b[:])
	defer clear(b[:])
	return NewSecret(b[:])
}

// AllZero reports whether a key was never filled in.
func AllZero(key []byte) bool {
	return len(key) > 0 && subtle.ConstantTimeCompare(key, make([]byte, len(key))) == 1
}

// ErrNothing is what a nil receiver, a zero value and a nil context are refused with.
var ErrNothing = fmt.Errorf("%w: a nil or zero value, or no context", protocol.ErrConfig)
