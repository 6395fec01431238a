package hsm

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Sealer encrypts small secrets under an AES-256 key of the token, for storage elsewhere.
// It is safe for concurrent use.
//
// Each secret is encrypted here, with AES-256-GCM under a random key of its own. The
// token encrypts that key with AES-CBC, and HMAC-SHA256 covers all of it, the associated
// data too. So the token and its module see 32 bytes of no use without the blob, and no
// secret stays in memory that the module or miekg/pkcs11 freed without wiping it.
type Sealer struct {
	keys   *keySet
	proven bool // it was seen to work
}

// MaxSealed is the longest plaintext and the longest associated data, in bytes.
const MaxSealed = 64 << 10

// A sealed body is IV and AES-CBC ciphertext of the key, two blocks, without padding;
// then nonce, ciphertext and tag of AES-GCM.
const (
	secretKeyBytes = 32
	boxedKeyBytes  = aes.BlockSize + secretKeyBytes
	gcmExtraBytes  = 12 + 16
)

// GenerateSealingKey makes version 1 of a sealing key under a label that has no AES key
// yet, and returns its Sealer.
//
// Errors: ErrKeyExists and those of Sealer.
func (t *Token) GenerateSealingKey(ctx context.Context, label string) (*Sealer, error) {
	return t.sealer(ctx, label, true)
}

// Sealer returns the sealer of all versions of the key with this label.
//
// Errors: ErrKeyNotFound and ErrExposed.
func (t *Token) Sealer(ctx context.Context, label string) (*Sealer, error) {
	return t.sealer(ctx, label, false)
}

// sealer uses the key once before it gives the sealer out.
func (t *Token) sealer(ctx context.Context, label string, first bool) (*Sealer, error) {
	ks, err := t.keySet(ctx, label, roleSeal, first)
	if err != nil {
		return nil, err
	}
	s := &Sealer{keys: ks}
	b, err := s.Seal(ctx, nil, []byte("tandem"))
	if err == nil {
		_, err = s.Open(ctx, nil, b)
	}
	if err != nil {
		return nil, err
	}
	s.proven = true
	return s, nil
}

// Rotate makes a new version of the key, which seals in this process at once, in others
// when they open the sealer anew. Blobs of older versions stay readable, everywhere, as
// long as their keys are in the token.
//
// Errors: those of Token.Sealer.
func (s *Sealer) Rotate(ctx context.Context) error {
	if !s.made() || ctx == nil {
		return errNothing
	}
	return s.keys.generate(ctx, false)
}

// Seal encrypts a plaintext of at most MaxSealed bytes. The result is 126 bytes longer,
// names the key's version and can only be opened with the same associated data.
func (s *Sealer) Seal(ctx context.Context, aad, plaintext []byte) ([]byte, error) {
	if !s.made() || ctx == nil {
		return nil, errNothing
	}
	if len(plaintext) > MaxSealed || len(aad) > MaxSealed {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrInput, MaxSealed)
	}
	key := s.keys.current()
	secret := make([]byte, secretKeyBytes)
	rand.Read(secret)
	box, err := newBox(secret)
	if err != nil {
		return nil, err
	}
	boxed, err := runOn(ctx, s.keys.t, operation{name: "seal", proven: s.proven}, key.aes, func(ss *session, h handle) ([]byte, error) {
		return ss.encryptKey(h, secret)
	})
	if err != nil {
		return nil, err // and a call that goes on still uses the secret
	}
	clear(secret)
	return key.blob(sealedBlob, aad, box.Seal(boxed, nil, plaintext, nil))
}

// Open decrypts what Seal made, under whatever version of the key.
//
// Errors: ErrBlob, together with ErrKeyNotFound when the token has no key of the version
// that the blob names.
func (s *Sealer) Open(ctx context.Context, aad, sealed []byte) ([]byte, error) {
	if !s.made() || ctx == nil {
		return nil, errNothing
	}
	if len(aad) > MaxSealed {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrInput, MaxSealed)
	}
	b, key, err := s.keys.authentic(ctx, sealedBlob, aad, sealed)
	if err == nil && len(b.body) < boxedKeyBytes+gcmExtraBytes {
		err = fmt.Errorf("%w: too short", ErrBlob)
	}
	if err != nil {
		return nil, err
	}
	t, boxed := s.keys.t, append([]byte(nil), b.body[:boxedKeyBytes]...)
	secret, err := runOn(ctx, t, operation{name: "open", proven: s.proven}, key.aes, func(ss *session, h handle) ([]byte, error) {
		return ss.decryptKey(h, boxed)
	})
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	box, err := newBox(secret)
	var plaintext []byte
	if err == nil {
		plaintext, err = box.Open(nil, nil, b.body[boxedKeyBytes:], nil)
	}
	if err != nil {
		return nil, t.fault("open") // the blob is authentic, so the secret is not
	}
	return plaintext, nil
}

// newBox returns AES-256-GCM, the key of which is used once.
func newBox(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// encryptKey returns IV and ciphertext of two blocks.
func (s *session) encryptKey(key handle, secret []byte) ([]byte, error) {
	iv := make([]byte, aes.BlockSize, boxedKeyBytes)
	rand.Read(iv)
	out, err := s.mod.Use(byEncrypt, s.h, mechanism{pkcs11.CKM_AES_CBC, iv}, key, secret)
	if err != nil {
		return nil, err
	}
	if len(out) != secretKeyBytes {
		return nil, s.t.fault("seal")
	}
	return append(iv, out...), nil
}

func (s *session) decryptKey(key handle, boxed []byte) ([]byte, error) {
	return s.mod.Use(byDecrypt, s.h, mechanism{pkcs11.CKM_AES_CBC, boxed[:aes.BlockSize]}, key, boxed[aes.BlockSize:])
}
