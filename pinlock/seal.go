package pinlock

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tandem-rsa/tandem/splitkey"
)

// StorageKeySize is the length in bytes of the key for [Lockbox.Seal].
const StorageKeySize = chacha20poly1305.KeySize

const (
	sealedHeader = "TDsl\x01" // magic and version
	sealedDomain = "tandem sealed lockbox v1"
	sealedNonce  = len(sealedHeader) + chacha20poly1305.NonceSizeX
)

var (
	// ErrSealed is returned for a sealed lockbox that is damaged, or sealed under another
	// storage key: the two cannot be told apart. No PIN was tried, so no attempt counts.
	ErrSealed = errors.New("pinlock: sealed lockbox is damaged or under another storage key")

	// ErrStorageKey is returned for a storage key that is not [StorageKeySize] bytes.
	ErrStorageKey = errors.New("pinlock: storage key is not 32 bytes")
)

// Seal encrypts the lockbox under a storage key: 32 uniformly random bytes that the
// device keeps in its key store or secure element and uses for nothing else. They have
// nothing to do with the PIN. Store this form wherever such a key can be had.
//
//	offset   length   field
//	0        4        "TDsl"
//	4        1        version, 1
//	5        24       random nonce
//	29       47+2*k1  XChaCha20-Poly1305 of the form of MarshalBinary without SHA-256,
//	                  with the additional data "tandem sealed lockbox v1"
//	76+2*k1  16       its tag
//
// These are 92+2*k1 bytes (draft-irtf-cfrg-xchacha-03; RFC 8439, section 2.8). Seal
// returns [ErrStorageKey], and [splitkey.ErrFIPS] in FIPS 140-only mode.
func (b *Lockbox) Seal(storageKey []byte) ([]byte, error) {
	c, err := b.contents()
	if err != nil {
		return nil, err
	}
	aead, err := sealWith(storageKey)
	if err != nil {
		return nil, err
	}
	out := make([]byte, sealedNonce)
	copy(out, sealedHeader)
	rand.Read(out[len(sealedHeader):])
	return aead.Seal(out, out[len(sealedHeader):], c.encode(), []byte(sealedDomain)), nil
}

func sealWith(storageKey []byte) (cipher.AEAD, error) {
	if len(storageKey) != StorageKeySize {
		return nil, ErrStorageKey
	}
	aead, err := chacha20poly1305.NewX(storageKey)
	if err != nil { // the length is right, so it is the mode
		return nil, fmt.Errorf("pinlock: seal: %w: %w", splitkey.ErrFIPS, err)
	}
	return aead, nil
}

// OpenLockbox reads what [Lockbox.Seal] wrote under the same storage key. It returns
// [ErrSealed] for any truncated, extended or changed byte and for another key,
// [ErrStorageKey] for a key of another length, [splitkey.ErrFIPS] in FIPS 140-only mode,
// and [ErrLockbox] if the seal is right but does not hold a lockbox of this version.
func OpenLockbox(sealed, storageKey []byte) (*Lockbox, error) {
	aead, err := sealWith(storageKey)
	if err != nil {
		return nil, err
	}
	if len(sealed) < sealedNonce || !strings.HasPrefix(string(sealed), sealedHeader) {
		return nil, fmt.Errorf("%w: not a sealed lockbox of version 1", ErrSealed)
	}
	body, err := aead.Open(nil, sealed[len(sealedHeader):sealedNonce], sealed[sealedNonce:], []byte(sealedDomain))
	if err != nil {
		return nil, ErrSealed
	}
	return decode(body)
}
