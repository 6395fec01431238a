package protocol

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/tandem-rsa/tandem/splitkey"
)

// MaxDocuments is how many digests one request may sign.
const MaxDocuments = 64

// hash is SHA-256 of something.
type hash = [sha256.Size]byte

// padding as it stands on the wire.
type padding uint8

const (
	noPadding padding = 0 // of a request that has no digest
	pkcs1v15  padding = 1
	pss       padding = 2
)

// hashes are numbered for the wire. The numbers are this protocol's own.
var hashes = [...]crypto.Hash{
	1: crypto.SHA256, 2: crypto.SHA384, 3: crypto.SHA512,
	4: crypto.SHA3_256, 5: crypto.SHA3_384, 6: crypto.SHA3_512,
}

// messages are what one request signs, short of the salts: 1 to MaxDocuments digests of one
// hash function, all with the same padding. The zero value signs nothing.
type messages struct {
	hash    uint8
	padding padding
	digests [][]byte
}

func newMessages(digests [][]byte, opts crypto.SignerOpts) (messages, error) {
	p, isPSS := opts.(*rsa.PSSOptions)
	if opts == nil || isPSS && p == nil {
		return messages{}, fmt.Errorf("%w: no options", splitkey.ErrMessage)
	}
	if len(digests) < 1 || len(digests) > MaxDocuments {
		return messages{}, fmt.Errorf("%w: %d digests, want 1 to %d", splitkey.ErrMessage, len(digests), MaxDocuments)
	}
	m := messages{padding: pkcs1v15}
	if isPSS {
		m.padding = pss
	}
	h := opts.HashFunc()
	if i := slices.Index(hashes[1:], h); i >= 0 {
		m.hash = uint8(i + 1)
	} else {
		return messages{}, fmt.Errorf("%w: unsupported hash function %v", splitkey.ErrMessage, h)
	}
	for _, d := range digests {
		if len(d) != h.Size() {
			return messages{}, fmt.Errorf("%w: digest of %d bytes, want %d", splitkey.ErrMessage, len(d), h.Size())
		}
		m.digests = append(m.digests, slices.Clone(d))
	}
	return m, nil
}

// valid reports whether the numbers name something and go together.
func (m messages) valid() bool {
	if m.hash == 0 {
		return m.padding == noPadding
	}
	return int(m.hash) < len(hashes) && (m.padding == pkcs1v15 || m.padding == pss)
}

// digestSize is 0 for a request that has no digests.
func (m messages) digestSize() int {
	if m.hash == 0 {
		return 0
	}
	return hashes[m.hash].Size()
}

// options returns what package splitkey wants, for a salt of that many bytes. 0 is any length.
func (m messages) options(salt int) crypto.SignerOpts {
	h := hashes[m.hash]
	if m.padding == pss {
		return &rsa.PSSOptions{Hash: h, SaltLength: salt}
	}
	return h
}

// binding is what a challenge for a transaction names. It covers the whole list, in order.
func (m messages) binding() hash {
	sum := sha256.New()
	sum.Write([]byte("tandem v2 transaction"))
	sum.Write([]byte{m.hash, byte(m.padding), byte(len(m.digests))})
	for _, d := range m.digests {
		sum.Write(d)
	}
	return hash(sum.Sum(nil))
}

func (m messages) equal(other messages) bool {
	return m.hash == other.hash && m.padding == other.padding && slices.EqualFunc(m.digests, other.digests, slices.Equal)
}

// saltFits reports whether a salt of that length is what opts asks for. It is true for every
// padding without a salt.
func saltFits(opts crypto.SignerOpts, length int) bool {
	p, ok := opts.(*rsa.PSSOptions)
	if !ok {
		return true
	}
	switch p.SaltLength {
	case rsa.PSSSaltLengthAuto:
		return true
	case rsa.PSSSaltLengthEqualsHash:
		return length == p.Hash.Size()
	}
	return length == p.SaltLength
}

// ownMessage is what Confirm and ChangePIN sign: nothing that anybody chose, so it is no
// signature of any document.
func ownMessage(op Operation, challenge []byte) messages {
	sum := sha256.New()
	sum.Write([]byte("tandem v2 " + op.String()))
	sum.Write(challenge)
	return messages{hash: 1, padding: pkcs1v15, digests: [][]byte{sum.Sum(nil)}}
}
