package wire

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/splitkey"
)

// Hash is SHA-256 of something.
type Hash = [sha256.Size]byte

// Padding as it stands on the wire.
type Padding uint8

const (
	NoPadding Padding = 0 // of a request that has no digest
	PKCS1v15  Padding = 1
	PSS       Padding = 2
)

// hashes are numbered for the wire. The numbers are this protocol's own.
var hashes = [...]crypto.Hash{
	1: crypto.SHA256, 2: crypto.SHA384, 3: crypto.SHA512,
	4: crypto.SHA3_256, 5: crypto.SHA3_384, 6: crypto.SHA3_512,
}

// Messages are what one request signs: 1 to MaxDocuments digests of one hash function,
// all with the same padding and the same length of a PSS salt. The zero value signs
// nothing.
type Messages struct {
	Hash       uint8
	Padding    Padding
	Digests    [][]byte
	SaltLength int // as rsa.PSSOptions has it; 0 except for PSS
}

// NewMessages checks the digests against the options, and copies them. The error wraps
// splitkey.ErrMessage.
func NewMessages(digests [][]byte, opts crypto.SignerOpts) (Messages, error) {
	h, err := HashOf(opts)
	if err != nil {
		return Messages{}, err
	}
	if len(digests) < 1 || len(digests) > protocol.MaxDocuments {
		return Messages{}, fmt.Errorf("%w: %d digests, want 1 to %d", splitkey.ErrMessage, len(digests), protocol.MaxDocuments)
	}
	m := Messages{Hash: uint8(slices.Index(hashes[:], h)), Padding: PKCS1v15}
	if p, ok := opts.(*rsa.PSSOptions); ok {
		m.Padding, m.SaltLength = PSS, p.SaltLength
	}
	for _, d := range digests {
		if len(d) != h.Size() {
			return Messages{}, fmt.Errorf("%w: digest of %d bytes, want %d", splitkey.ErrMessage, len(d), h.Size())
		}
		m.Digests = append(m.Digests, slices.Clone(d))
	}
	return m, nil
}

// HashOf returns the hash function of options that sign. The error wraps
// splitkey.ErrMessage.
func HashOf(opts crypto.SignerOpts) (crypto.Hash, error) {
	if p, isPSS := opts.(*rsa.PSSOptions); opts == nil || isPSS && p == nil {
		return 0, fmt.Errorf("%w: no options", splitkey.ErrMessage)
	}
	h := opts.HashFunc()
	if !slices.Contains(hashes[1:], h) {
		return 0, fmt.Errorf("%w: unsupported hash function %v", splitkey.ErrMessage, h)
	}
	return h, nil
}

// Valid reports whether the numbers name something and go together.
func (m Messages) Valid() bool {
	if m.Hash == 0 {
		return m.Padding == NoPadding
	}
	return int(m.Hash) < len(hashes) && (m.Padding == PKCS1v15 || m.Padding == PSS)
}

// DigestSize is 0 for a request that has no digests.
func (m Messages) DigestSize() int {
	if m.Hash == 0 {
		return 0
	}
	return hashes[m.Hash].Size()
}

// Options returns what package splitkey wants.
func (m Messages) Options() crypto.SignerOpts {
	h := hashes[m.Hash]
	if m.Padding == PSS {
		return &rsa.PSSOptions{Hash: h, SaltLength: m.SaltLength}
	}
	return h
}

// Binding is what a challenge for a transaction names. It covers the hash function, the
// padding and the whole list, in order, and leaves the salts to the device.
func (m Messages) Binding() Hash {
	sum := sha256.New()
	sum.Write([]byte("tandem v2 transaction"))
	sum.Write([]byte{m.Hash, byte(m.Padding), byte(len(m.Digests))})
	for _, d := range m.Digests {
		sum.Write(d)
	}
	return Hash(sum.Sum(nil))
}

// AskFor reports whether m, which may leave the length of the salts open, asks for the
// signatures of sent, which has the length that was drawn.
func (m Messages) AskFor(sent Messages) bool {
	return m.Hash == sent.Hash && m.Padding == sent.Padding && m.takesSalt(sent.SaltLength) &&
		slices.EqualFunc(m.Digests, sent.Digests, slices.Equal)
}

func (m Messages) takesSalt(length int) bool {
	switch m.SaltLength {
	case rsa.PSSSaltLengthAuto:
		return true
	case rsa.PSSSaltLengthEqualsHash:
		return length == m.DigestSize()
	}
	return length == m.SaltLength
}

// ToSign is what a request signs: its messages. What Confirm and ChangePIN sign nobody
// chose, so it is no signature of any document.
func ToSign(op protocol.Operation, c *Challenge, m Messages) Messages {
	if op != protocol.OpConfirm && op != protocol.OpChangePIN {
		return m
	}
	sum := sha256.New()
	sum.Write([]byte("tandem v2 " + op.String()))
	sum.Write(c.Raw[:])
	return Messages{Hash: 1, Padding: PKCS1v15, Digests: [][]byte{sum.Sum(nil)}}
}
