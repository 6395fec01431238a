package server

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Sealer encrypts what the server stores, and authenticates it together with aad. It
// stands for the HSM's AES key: package hsm has one, and [SoftwareSealer] is one without
// an HSM.
//
// Whoever can use the Sealer and read the store has every server share. Its errors go
// into the log, and hold no secret. It is used from many goroutines at once.
type Sealer interface {
	// Seal returns plaintext encrypted, with whatever it needs to open it again.
	Seal(ctx context.Context, aad, plaintext []byte) ([]byte, error)
	// Open reverses Seal. It returns an error for anything else, or another aad. The
	// result is the caller's, who wipes it.
	Open(ctx context.Context, aad, sealed []byte) ([]byte, error)
}

// SealerKeySize is the length of a [SoftwareSealer]'s keys in bytes.
const SealerKeySize = 32

// SoftwareSealer is a [Sealer] with AES-256-GCM keys in memory. Whoever reads the keys
// can open every record of the server.
//
//	offset  length  content
//	0       1       version: 2
//	1       8       key id: the first 8 bytes of SHA-256 of a label and the key
//	9       12      nonce, random
//	21      n+16    AES-256-GCM (NIST SP 800-38D) with its tag
//
// Nonces are random: NIST SP 800-38D, section 8.3, allows 2^32 of them for a key. A key
// seals once for each enrolment and each Reseal, once or so for each node, and never for
// a signature.
type SoftwareSealer struct {
	current sealerKeyID
	keys    secret.Value[map[sealerKeyID]cipher.AEAD]
}

type sealerKeyID [8]byte

var _ Sealer = (*SoftwareSealer)(nil)

// NewSoftwareSealer returns a Sealer that seals with the key current and opens with
// current and all retired keys. A key is retired, and not thrown away, as long as records
// sealed under it exist. The error wraps [protocol.ErrConfig].
func NewSoftwareSealer(current []byte, retired ...[]byte) (*SoftwareSealer, error) {
	keys := make(map[sealerKeyID]cipher.AEAD)
	s := &SoftwareSealer{keys: secret.Hide(keys)}
	for i, key := range append([][]byte{current}, retired...) {
		if len(key) != SealerKeySize {
			return nil, fmt.Errorf("%w: sealer key of %d bytes, want %d", protocol.ErrConfig, len(key), SealerKeySize)
		}
		if wire.AllZero(key) {
			return nil, fmt.Errorf("%w: a sealer key of zeros", protocol.ErrConfig)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte("tandem v1 sealer key id"), key...))
		id := sealerKeyID(sum[:8])
		keys[id] = gcm
		if i == 0 {
			s.current = id
		}
	}
	return s, nil
}

func (s *SoftwareSealer) made() bool { return s != nil && s.keys.Get() != nil }

// Format hides the keys.
func (s SoftwareSealer) Format(f fmt.State, _ rune) {
	if s.keys.Get() == nil {
		fmt.Fprint(f, "server.SoftwareSealer(invalid)")
		return
	}
	fmt.Fprintf(f, "server.SoftwareSealer(key %x, %d keys, hidden)", s.current, len(s.keys.Get()))
}

const sealedHeader = 1 + 8

// Seal implements [Sealer].
func (s *SoftwareSealer) Seal(_ context.Context, aad, plaintext []byte) ([]byte, error) {
	if !s.made() {
		return nil, wire.ErrNothing
	}
	out := append([]byte{wire.Version}, s.current[:]...)
	return s.keys.Get()[s.current].Seal(out, nil, plaintext, aad), nil
}

// Open implements [Sealer]. It returns [ErrSealed] for everything that Seal did not make
// with one of the keys and this aad.
func (s *SoftwareSealer) Open(_ context.Context, aad, sealed []byte) ([]byte, error) {
	if !s.made() {
		return nil, wire.ErrNothing
	}
	if len(sealed) < sealedHeader+12+wire.TagSize || sealed[0] != wire.Version {
		return nil, ErrSealed
	}
	gcm := s.keys.Get()[sealerKeyID(sealed[1:sealedHeader])]
	if gcm == nil {
		return nil, fmt.Errorf("%w: no such key", ErrSealed)
	}
	plaintext, err := gcm.Open(nil, nil, sealed[sealedHeader:], aad)
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}
