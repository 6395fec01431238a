package splitkey

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/tandem-rsa/tandem/splitkey/internal/emsa"
)

// Message is a digest encoded for one final key, by EMSA-PKCS1-v1_5 or EMSA-PSS (RFC
// 8017, section 9). Each party makes it from the digest (and the salt), so that neither
// raises a number of unknown origin to its share. It is public and immutable.
type Message struct {
	key    *FinalKey
	hash   crypto.Hash
	digest []byte
	pss    bool
	salt   []byte
	em     []byte
}

// Encode encodes a digest for the key. As in [crypto.Signer], opts says how: an
// *[rsa.PSSOptions] means EMSA-PSS and anything else EMSA-PKCS1-v1_5, with
// opts.HashFunc() one of SHA-256, SHA-384, SHA-512, SHA3-256, SHA3-384, SHA3-512.
//
// The salt of EMSA-PSS is drawn at random. Its length is opts.SaltLength where that
// is positive, else the hash's: [rsa.PSSSaltLengthAuto] means the same as
// [rsa.PSSSaltLengthEqualsHash].
//
// Encode returns [ErrKey] for a nil or zero key and [ErrMessage] for everything else that
// it refuses; in FIPS 140-only mode that is also a salt longer than the hash, with
// [ErrFIPS].
func (k *FinalKey) Encode(digest []byte, opts crypto.SignerOpts) (*Message, error) {
	pss, ok := opts.(*rsa.PSSOptions)
	if !ok {
		return k.encode(digest, opts, nil)
	}
	if pss == nil {
		return nil, fmt.Errorf("%w: no options", ErrMessage)
	}
	size, err := k.saltLength(pss)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, size)
	rand.Read(salt)
	return k.encode(digest, opts, salt)
}

// EncodeWithSalt is [FinalKey.Encode] with a given salt: the server rebuilds with it what
// the client encoded. With EMSA-PSS and a SaltLength of [rsa.PSSSaltLengthAuto] the salt
// may have any length that fits (at most emLen - hLen - 2 bytes), or none; else it must
// have the length that the options ask for. With EMSA-PKCS1-v1_5 it must be empty.
func (k *FinalKey) EncodeWithSalt(digest []byte, opts crypto.SignerOpts, salt []byte) (*Message, error) {
	if pss, ok := opts.(*rsa.PSSOptions); ok && pss != nil && pss.SaltLength != rsa.PSSSaltLengthAuto {
		want, err := k.saltLength(pss)
		if err != nil {
			return nil, err
		}
		if len(salt) != want {
			return nil, fmt.Errorf("%w: a salt of %d bytes, want %d", ErrMessage, len(salt), want)
		}
	}
	return k.encode(digest, opts, salt)
}

// saltLength returns the length of the salt that the options ask for, or an error if it
// does not fit.
func (k *FinalKey) saltLength(opts *rsa.PSSOptions) (int, error) {
	if !k.valid() {
		return 0, errNoFinalKey()
	}
	if opts.SaltLength < rsa.PSSSaltLengthEqualsHash {
		return 0, fmt.Errorf("%w: negative salt length", ErrMessage)
	}
	if err := emsa.CheckHash(opts.Hash); err != nil {
		return 0, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	size := opts.SaltLength
	if size <= 0 {
		size = opts.Hash.Size()
	}
	if err := fipsSalt(size, opts.Hash.Size()); err != nil {
		return 0, err
	}
	if size > emsa.MaxSaltLength(opts.Hash, k.pub.N.BitLen()-1) {
		return 0, fmt.Errorf("%w: %v", ErrMessage, emsa.ErrTooLong)
	}
	return size, nil
}

func errNoFinalKey() error { return fmt.Errorf("%w: no final key", ErrKey) }

func (k *FinalKey) encode(digest []byte, opts crypto.SignerOpts, salt []byte) (*Message, error) {
	if !k.valid() {
		return nil, errNoFinalKey()
	}
	if opts == nil {
		return nil, fmt.Errorf("%w: no options", ErrMessage)
	}
	pss, isPSS := opts.(*rsa.PSSOptions)
	if isPSS && pss == nil {
		return nil, fmt.Errorf("%w: no options", ErrMessage)
	}
	h := opts.HashFunc()
	if err := emsa.CheckDigest(h, digest); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	if !isPSS && len(salt) != 0 {
		return nil, fmt.Errorf("%w: a salt without EMSA-PSS", ErrMessage)
	}
	if err := fipsSalt(len(salt), len(digest)); err != nil {
		return nil, err
	}
	m := &Message{key: k, hash: h, digest: bytes.Clone(digest), pss: isPSS, salt: bytes.Clone(salt)}
	var err error
	if isPSS {
		m.em, err = emsa.PSS(h, digest, salt, k.pub.N.BitLen()-1)
	} else {
		m.em, err = emsa.PKCS1v15(h, digest, k.pub.Size())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	return m, nil
}

// Salt returns a copy of the salt of EMSA-PSS, empty for EMSA-PKCS1-v1_5.
func (m *Message) Salt() []byte {
	if m == nil {
		return nil
	}
	return bytes.Clone(m.salt)
}

// Bytes returns a copy of the encoded message EM, in the length that RFC 8017 gives it:
// that of the modulus, or for EMSA-PSS one byte less where the modulus has 1 bit more
// than a multiple of 8.
func (m *Message) Bytes() []byte {
	if m == nil {
		return nil
	}
	return bytes.Clone(m.em)
}

// FinalKey returns the key that the message was encoded for.
func (m *Message) FinalKey() *FinalKey {
	if m == nil {
		return nil
	}
	return m.key
}

// Verify checks a complete signature over the message, and returns [ErrSignature] if it
// is wrong. Since the encoded message is known, salt included, this is one exponentiation
// and a comparison for both paddings (RFC 8017, section 8.2.2).
func (m *Message) Verify(sig []byte) error {
	if m == nil || m.em == nil {
		return fmt.Errorf("%w: zero value", ErrMessage)
	}
	mod := m.key.verify()
	s, err := mod.Elem(sig)
	if err != nil {
		return ErrSignature
	}
	// EM is as long as n, or a byte shorter.
	em := s.ExpShortVarTime(uint(m.key.pub.E)).Bytes()
	short := len(em) - len(m.em)
	if !bytes.Equal(em[short:], m.em) || short > 0 && em[0] != 0 {
		return ErrSignature
	}
	return nil
}

// verifyCryptoRSA is Verify by crypto/rsa: code written by others to verify, whose
// arithmetic is not this package's kernels (bigmod, which serves where there is no
// kernel, has the same origin). It is the last guard before a signature leaves.
func (m *Message) verifyCryptoRSA(sig []byte) error {
	pub := m.key.pub
	var err error
	if m.pss {
		opts := &rsa.PSSOptions{SaltLength: len(m.salt), Hash: m.hash}
		if len(m.salt) == 0 {
			opts.SaltLength = rsa.PSSSaltLengthAuto // crypto/rsa's zero means "find out"
		}
		err = rsa.VerifyPSS(pub, m.hash, m.digest, sig, opts)
	} else {
		err = rsa.VerifyPKCS1v15(pub, m.hash, m.digest, sig)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}
