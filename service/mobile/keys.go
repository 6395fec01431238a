package mobile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"errors"
	"fmt"
	"io"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/splitkey"
)

// PlatformKeys are what the platform keeps better than a file: Android's Keystore, the
// Keychain and Secure Enclave of iOS, keys of WebCrypto.
type PlatformKeys interface {
	// StorageKey returns 32 bytes, always the same, which seal what is stored.
	StorageKey() ([]byte, error)

	// RequestKey returns the public key of P-256 that signs the phone's requests in
	// hardware, as 65 bytes (SEC 1, uncompressed); none where there is no such hardware.
	RequestKey() ([]byte, error)

	// SignRequest signs a message with that key: ECDSA with SHA-256 of the message, which
	// the platform computes, in ASN.1. The message holds secrets and is not kept.
	SignRequest(message []byte) ([]byte, error)
}

// requestKey is a crypto.Signer of messages.
type requestKey struct {
	keys   PlatformKeys
	public *ecdsa.PublicKey
}

var _ crypto.MessageSigner = (*requestKey)(nil)

func (k *requestKey) Public() crypto.PublicKey { return k.public }

func (k *requestKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("mobile: the platform signs messages, not digests")
}

func (k *requestKey) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil || opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("mobile: the platform signs with SHA-256")
	}
	signature, err := k.keys.SignRequest(message)
	return bytes.Clone(signature), called(err)
}

// platformKeys are what the platform said. Zero is a phone without keys.
type platformKeys struct {
	storage  secret.Bytes
	hardware crypto.Signer
}

// askPlatform asks the platform for its keys, if it has some.
func askPlatform(keys PlatformKeys) (*platformKeys, error) {
	out := new(platformKeys)
	if keys == nil {
		return out, nil
	}
	storageKey, err := keys.StorageKey()
	if err != nil {
		return nil, called(err)
	}
	if len(storageKey) != 32 {
		return nil, fmt.Errorf("%w: a storage key of %d bytes, want 32", errConfig, len(storageKey))
	}
	if fips140.Enforced() {
		return nil, fmt.Errorf("%w: the storage is sealed with XChaCha20-Poly1305: %w", errConfig, splitkey.ErrFIPS)
	}
	out.storage = secret.Copy(storageKey)
	public, err := keys.RequestKey()
	if err != nil {
		return nil, called(err)
	}
	if len(public) == 0 {
		return out, nil
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), public)
	if err != nil {
		return nil, fmt.Errorf("%w: request key: %w", errConfig, err)
	}
	out.hardware = &requestKey{keys, key}
	return out, nil
}
