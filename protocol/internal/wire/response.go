package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
)

const responseSalt = 32

// ResponseKey is what both sides need to seal and open the answer to one request, and
// nothing else of the request: the device stores it while it waits.
type ResponseKey struct {
	Secret  Secret // exported from the request's HPKE context
	Request Hash   // of the request as it travels, by which both sides name it ever after
}

// aead is keyed as in RFC 9458, section 4.4, with the hash of the whole request (which
// contains enc) in the place of enc: each answer has a key of its own. The cipher keeps a
// copy of it, so that nothing is gained by clearing this one, or what it is made of.
func (k ResponseKey) aead(salt []byte) (cipher.AEAD, []byte, error) {
	prk, err := hkdf.Extract(sha256.New, k.Secret.Get(), append(k.Request[:], salt...))
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Expand(sha256.New, prk, "key", 32)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := hkdf.Expand(sha256.New, prk, "nonce", 12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	var gcm cipher.AEAD
	// crypto/cipher allows a nonce of the caller's in FIPS 140-only mode to nobody but
	// crypto/hpke, which derives one as it is done here. This key seals this message
	// only.
	fips140.WithoutEnforcement(func() { gcm, err = cipher.NewGCM(block) })
	return gcm, nonce, err
}

// Seal encrypts an answer: version byte, 32 random bytes, AES-256-GCM ciphertext.
func (k ResponseKey) Seal(plaintext []byte) ([]byte, error) {
	out := make([]byte, 1+responseSalt, 1+responseSalt+len(plaintext)+TagSize)
	out[0] = Version
	rand.Read(out[1:])
	gcm, nonce, err := k.aead(out[1:])
	if err != nil {
		return nil, err
	}
	return gcm.Seal(out, nonce, plaintext, nil), nil
}

// Open decrypts an answer. Whoever makes one that opens has the server's HPKE key, or a
// copy of the response key.
func (k ResponseKey) Open(response []byte) ([]byte, error) {
	if len(response) < 1+responseSalt+TagSize || len(response) > protocol.MaxResponse || response[0] != Version {
		return nil, fmt.Errorf("%w: answer of %d bytes", protocol.ErrMalformed, len(response))
	}
	gcm, nonce, err := k.aead(response[1 : 1+responseSalt])
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open(nil, nonce, response[1+responseSalt:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: an answer that is not the server's", protocol.ErrMalformed)
	}
	return plaintext, nil
}

// SealAnswer encodes and encrypts an answer.
func (k ResponseKey) SealAnswer(a *Answer) ([]byte, error) {
	plaintext, err := a.Encode()
	if err != nil {
		return nil, err
	}
	return k.Seal(plaintext)
}

// OpenAnswer decrypts and parses an answer. The error wraps [protocol.ErrMalformed].
func (k ResponseKey) OpenAnswer(response []byte) (*Answer, error) {
	plaintext, err := k.Open(response)
	if err != nil {
		return nil, err
	}
	return ParseAnswer(plaintext)
}
