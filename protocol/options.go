package protocol

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/splitkey"
)

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

// text is what is to be signed, short of the salt.
type text struct {
	hash    uint8
	padding padding
	digest  []byte
}

func newText(digest []byte, opts crypto.SignerOpts) (text, error) {
	if opts == nil {
		return text{}, fmt.Errorf("%w: no options", splitkey.ErrMessage)
	}
	t := text{padding: pkcs1v15, digest: append([]byte(nil), digest...)}
	if p, ok := opts.(*rsa.PSSOptions); ok {
		if p == nil {
			return text{}, fmt.Errorf("%w: no options", splitkey.ErrMessage)
		}
		t.padding = pss
	}
	h := opts.HashFunc()
	for i, known := range hashes {
		if i > 0 && h == known {
			t.hash = uint8(i)
		}
	}
	if t.hash == 0 {
		return text{}, fmt.Errorf("%w: unsupported hash function: %v", splitkey.ErrMessage, h)
	}
	if len(digest) != h.Size() {
		return text{}, fmt.Errorf("%w: digest of %d bytes, want %d", splitkey.ErrMessage, len(digest), h.Size())
	}
	return t, nil
}

// options returns what package splitkey wants, for any length of salt.
func (t text) options() crypto.SignerOpts {
	h := hashes[t.hash]
	if t.padding == pss {
		return &rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthAuto}
	}
	return h
}

// binding is what a challenge for a transaction covers.
func (t text) binding() []byte {
	sum := sha256.New()
	sum.Write([]byte("tandem v1 transaction"))
	sum.Write([]byte{t.hash, byte(t.padding)})
	sum.Write(t.digest)
	return sum.Sum(nil)
}

func (t text) equal(u text) bool {
	return t.hash == u.hash && t.padding == u.padding && string(t.digest) == string(u.digest)
}

// saltFits reports whether a salt of that length is what opts asks for, which are nil or not for PSS where there is none.
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

// ownText is what Confirm and ChangePIN sign: nothing that anybody chose, so that it is no signature
// of any document.
func ownText(op Operation, challenge []byte) text {
	sum := sha256.New()
	sum.Write([]byte("tandem v1 " + op.String()))
	sum.Write(challenge)
	return text{hash: 1, padding: pkcs1v15, digest: sum.Sum(nil)}
}

func (t text) append(b *cryptobyte.Builder) {
	b.AddUint8(t.hash)
	b.AddUint8(uint8(t.padding))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(t.digest) })
}

func (t *text) read(s *cryptobyte.String) bool {
	var p uint8
	var digest cryptobyte.String
	if !s.ReadUint8(&t.hash) || !s.ReadUint8(&p) || !s.ReadUint8LengthPrefixed(&digest) {
		return false
	}
	t.padding, t.digest = padding(p), append([]byte(nil), digest...)
	if t.hash == 0 {
		return t.padding == noPadding && len(digest) == 0
	}
	return int(t.hash) < len(hashes) && (t.padding == pkcs1v15 || t.padding == pss) && len(digest) == hashes[t.hash].Size()
}

// optionsWith is options for a salt of known length.
func (t text) optionsWith(salt int) crypto.SignerOpts {
	opts := t.options()
	if p, ok := opts.(*rsa.PSSOptions); ok && salt > 0 {
		p.SaltLength = salt
	}
	return opts
}
