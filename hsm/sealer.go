package hsm

import (
	"context"
	"crypto/aes"
	"crypto/rand"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Sealer encrypts small secrets under an AES-256 key of the token, for storage elsewhere.
// It uses AES-GCM where the module has it, else AES-CBC and HMAC-SHA256 over the
// ciphertext. It is safe for concurrent use.
type Sealer struct {
	keys *keySet
}

// MaxSealed is the longest plaintext and the longest associated data, in bytes.
const MaxSealed = 64 << 10

const (
	gcmIVBytes  = 12
	gcmTagBytes = 16
)

// GenerateSealingKey makes version 1 of a sealing key under a label that has no
// AES key yet, and returns its Sealer.
//
// Errors: ErrKeyExists and those of Sealer.
func (t *Token) GenerateSealingKey(ctx context.Context, label string) (*Sealer, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	if t.caps.Seal == "" {
		return nil, fmt.Errorf("%w: sealing", ErrUnsupported)
	}
	ks, err := t.generateKeySet(ctx, label, roleSeal)
	if err != nil {
		return nil, err
	}
	return t.newSealer(ctx, ks)
}

// Sealer returns the sealer of all versions of the key with this label.
//
// Errors: ErrInput, ErrKeyNotFound, ErrExposed, ErrUnsupported, ErrUnavailable,
// ErrFault, ErrPIN and ErrClosed.
func (t *Token) Sealer(ctx context.Context, label string) (*Sealer, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	if t.caps.Seal == "" {
		return nil, fmt.Errorf("%w: sealing", ErrUnsupported)
	}
	ks, err := t.openKeySet(ctx, label, roleSeal)
	if err != nil {
		return nil, err
	}
	return t.newSealer(ctx, ks)
}

// newSealer uses the key once before it gives the sealer out.
func (t *Token) newSealer(ctx context.Context, ks *keySet) (*Sealer, error) {
	s := &Sealer{keys: ks}
	b, err := s.Seal(ctx, nil, []byte("tandem"))
	if err != nil {
		return nil, err
	}
	if p, err := s.Open(ctx, nil, b); err != nil {
		return nil, err
	} else if string(p) != "tandem" {
		return nil, t.fault("sealing")
	}
	return s, nil
}

// Rotate makes a new version of the key. What is sealed from now on is sealed
// under it, in this process at once, in others when they open the sealer anew;
// blobs of older versions stay readable, everywhere, as long as their keys are
// in the token. Rotate well before 2^32 blobs (NIST SP 800-38D, section 8.3).
//
// Errors: those of Token.Sealer.
func (s *Sealer) Rotate(ctx context.Context) error {
	if !s.made() || ctx == nil {
		return errNothing
	}
	return s.keys.rotate(ctx)
}

// Destroy removes an old version of the key from the token. Everything sealed under it is
// lost for good, in every backup too: a store that is restored from such a backup cannot
// be used. BlobVersion tells what must be sealed anew first.
//
// Errors: ErrInput for the version that seals, ErrKeyNotFound, and those of
// Token.Sealer.
func (s *Sealer) Destroy(ctx context.Context, version uint32) error {
	if !s.made() || ctx == nil {
		return errNothing
	}
	return s.keys.destroy(ctx, version)
}

// Version returns the version of the key that seals, from 1.
func (s *Sealer) Version() uint32 {
	if !s.made() {
		return 0
	}
	return s.keys.current().id.version()
}

// BlobVersion returns the version of the key that a blob names, so that old
// ones can be sealed anew. The blob is not checked. It returns ErrBlob.
func BlobVersion(sealed []byte) (uint32, error) {
	b, err := parseBlob(sealed)
	if err != nil {
		return 0, err
	}
	return b.id.version(), nil
}

// Seal encrypts a plaintext of at most MaxSealed bytes. The result is 78 bytes
// longer (with AES-CBC, 67 to 82), names the key's version and can only be
// opened with the same associated data.
//
// Errors: ErrInput, ErrUnavailable (with the context's error if that ended the
// wait), ErrUnsupported, ErrPIN and ErrClosed.
func (s *Sealer) Seal(ctx context.Context, aad, plaintext []byte) ([]byte, error) {
	if !s.made() || ctx == nil {
		return nil, errNothing
	}
	if len(plaintext) > MaxSealed || len(aad) > MaxSealed {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrInput, MaxSealed)
	}
	t, key := s.keys.t, s.keys.current()
	kind := sealedGCM
	if t.caps.Seal == sealCBC {
		kind = sealedCBC
	}
	header := blobHeader(kind, key.id)
	// The call may outlive this function, so it gets copies.
	aad = append([]byte(nil), aad...)
	in := append([]byte(nil), plaintext...)
	sealed, err := run(ctx, t, "seal", func(ss *session) ([]byte, error) {
		h, err := ss.find(key.aes)
		if err != nil {
			return nil, err
		}
		body, err := ss.encrypt(kind, h, joined(header, aad), in)
		if err != nil {
			return nil, err
		}
		tag, err := key.mac.sum(header, aad, body)
		if err != nil {
			return nil, err
		}
		return append(append(header[:headerBytes:headerBytes], body...), tag...), nil
	})
	if err == nil {
		clear(in)
	}
	return sealed, err
}

// Open decrypts what Seal made, under whatever version of the key.
//
// Errors: ErrBlob (together with ErrKeyNotFound when the token has no key of
// the version that the blob names), ErrInput, ErrUnavailable, ErrUnsupported,
// ErrFault, ErrPIN and ErrClosed.
func (s *Sealer) Open(ctx context.Context, aad, sealed []byte) ([]byte, error) {
	if !s.made() || ctx == nil {
		return nil, errNothing
	}
	if len(aad) > MaxSealed {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrInput, MaxSealed)
	}
	b, err := parseBlob(sealed)
	if err != nil {
		return nil, err
	}
	if err := b.checkSealed(); err != nil {
		return nil, err
	}
	key, err := s.keys.lookup(ctx, b.id)
	if err != nil {
		return nil, err
	}
	if err := key.mac.check(b, aad); err != nil {
		return nil, err
	}
	bound, body := joined(b.header, aad), append([]byte(nil), b.body...)
	return run(ctx, s.keys.t, "open", func(ss *session) ([]byte, error) {
		h, err := ss.find(key.aes)
		if err != nil {
			return nil, err
		}
		return ss.decrypt(b.kind, h, bound, body)
	})
}

func joined(header, aad []byte) []byte {
	return append(header[:len(header):len(header)], aad...)
}

// checkSealed checks the lengths that the modules trip over: opencryptoki's
// session hangs after a ciphertext shorter than its tag.
func (b *blob) checkSealed() error {
	n := len(b.body)
	switch {
	case b.kind == sealedGCM && n >= gcmIVBytes+gcmTagBytes:
	case b.kind == sealedCBC && n >= 2*aes.BlockSize && n%aes.BlockSize == 0:
	default:
		return fmt.Errorf("%w: kind %d with a body of %d bytes", ErrBlob, b.kind, n)
	}
	return nil
}

// encrypt returns IV and ciphertext.
func (s *session) encrypt(kind blobKind, key handle, aad, in []byte) ([]byte, error) {
	m, ivBytes := mechanism{kind: pkcs11.CKM_AES_GCM, aad: aad}, gcmIVBytes
	if kind == sealedCBC {
		m, ivBytes = mechanism{kind: pkcs11.CKM_AES_CBC_PAD}, aes.BlockSize
	}
	body := make([]byte, ivBytes+len(in)+aes.BlockSize, ivBytes+len(in)+aes.BlockSize+tagBytes)
	m.param = make([]byte, ivBytes)
	rand.Read(m.param)
	n, err := s.mod.Encrypt(s.h, m, key, in, body[ivBytes:])
	if err != nil {
		return nil, err
	}
	copy(body, m.param) // read after the call: some HSMs choose their own IV
	return body[:ivBytes+n], nil
}

func (s *session) decrypt(kind blobKind, key handle, aad, body []byte) ([]byte, error) {
	m, ivBytes := mechanism{kind: pkcs11.CKM_AES_GCM, aad: aad}, gcmIVBytes
	if kind == sealedCBC {
		m, ivBytes = mechanism{kind: pkcs11.CKM_AES_CBC_PAD}, aes.BlockSize
	}
	m.param = append([]byte(nil), body[:ivBytes]...)
	out := make([]byte, len(body)-ivBytes)
	n, err := s.mod.Decrypt(s.h, m, key, body[ivBytes:], out)
	if err != nil {
		clear(out)
		return nil, err
	}
	return out[:n], nil
}
