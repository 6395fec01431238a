package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
)

// SecretSize is the length of a [Secret] in bytes.
const SecretSize = 32

// Secret is K_dev, a token, a response key or the challenge key.
type Secret struct{ secret.Bytes }

// NewSecret copies b, which has the right length.
func NewSecret(b []byte) Secret {
	if len(b) != SecretSize {
		panic("protocol: secret of a wrong length")
	}
	return Secret{secret.Copy(b)}
}

// DrawSecret draws one.
func DrawSecret() Secret {
	b := make([]byte, SecretSize)
	rand.Read(b)
	return Secret{secret.Own(b)}
}

// Commitment is what the server stores of a token: its SHA-256.
func (s Secret) Commitment() [sha256.Size]byte { return sha256.Sum256(s.Get()) }

// sumAndForget returns the hash of what was written. A hash keeps up to a block of what
// came last, here of partial signatures: a block of zeros takes its place.
func sumAndForget(h hash.Hash) []byte {
	sum := h.Sum(nil)
	h.Write(make([]byte, sha256.BlockSize))
	return sum
}

// AllZero reports whether a key was never filled in.
func AllZero(key []byte) bool {
	return len(key) > 0 && subtle.ConstantTimeCompare(key, make([]byte, len(key))) == 1
}

// ErrNothing is what a nil receiver, a zero value and a nil context are refused with.
var ErrNothing = fmt.Errorf("%w: a nil or zero value, or no context", protocol.ErrConfig)
