package device

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// Storage keeps what a device must not forget: one value of up to 256 KiB, mostly of 4 to
// 8.
//
// It is trusted to be durable and not to go back in time: a value that an earlier Save
// wrote, put back from a backup say, is a copy of the device, and the server will take it
// for a clone and destroy the key. It is not trusted with the PIN or the share: a thief
// who reads it cannot sign (docs/protocol.md, "What the device keeps").
type Storage interface {
	// Load returns what the last successful Save wrote, or nil if there was none. The
	// device clears the slice when it has read it.
	Load() ([]byte, error)

	// Save replaces the value as one atomic step and returns nil when the new one is
	// durable: a crash of the process or the machine at any time leaves the old value or
	// the new one, and the new one once Save has returned nil. After an error it is not
	// known which of the two Load will return. Save does not keep data, which is cleared
	// afterwards.
	Save(data []byte) error

	// Lock returns ErrBusy if somebody else holds the lock, and else a function that
	// gives it back. A process that ends gives it back too. A device holds it for each
	// operation, the exchange with the server included: two that used one value at a time
	// would be clones. Where no other process can reach the value Lock has nothing to do.
	Lock() (unlock func(), err error)
}

const (
	storageMagic   = "TDds"
	storageChecked = 1  // with a checksum
	storageSealed  = 2  // under the storage key
	storageKeySize = 32 // of the platform's key store
	storageHeader  = len(storageMagic) + 2

	// maxStorage bounds what a device reads; a value has about 8 KiB with a request
	// pending, and the most with one of 64 documents with long salts.
	maxStorage = 256 << 10
)

// encode writes the state: sealed under the storage key if there is one, and else with a
// checksum, which finds damage and tells nothing about the PIN.
//
//	offset  length  content
//	0       4       "TDds"
//	4       1       version: 2
//	5       1       form: 1 checksum, 2 sealed
//	6       -       form 1: the state, SHA-256 of all before it
//	                form 2: 24 bytes of nonce, the state under XChaCha20-Poly1305 with
//	                bytes 0 to 5 as additional data and a key that HKDF-SHA256 derives
//	                from the storage key
func (s *state) encode(storageKey []byte) ([]byte, error) {
	body, err := s.body()
	if err != nil {
		return nil, err
	}
	defer clear(body)
	out := append(make([]byte, 0, len(body)+128), storageMagic...)
	if storageKey == nil {
		out = append(append(out, wire.Version, storageChecked), body...)
		sum := sha256.Sum256(out)
		return append(out, sum[:]...), nil
	}
	out = append(out, wire.Version, storageSealed)
	aead, err := storageAEAD(storageKey)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce)
	header := bytes.Clone(out)
	return aead.Seal(append(out, nonce...), nonce, body, header), nil
}

// storageAEAD returns the cipher of the storage. It keeps a copy of its key, as the
// device keeps the storage key that it is derived from.
func storageAEAD(storageKey []byte) (aead interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}, err error) {
	key, err := hkdf.Key(sha256.New, storageKey, nil, "tandem v2 device state", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.NewX(key)
}

// parseState reads what encode wrote. The error is ErrStorage.
func parseState(data, storageKey []byte) (*state, error) {
	if len(data) < storageHeader || len(data) > maxStorage || string(data[:len(storageMagic)]) != storageMagic ||
		data[storageHeader-2] != wire.Version {
		return nil, ErrStorage
	}
	header, body := data[:storageHeader], data[storageHeader:]
	switch form := header[storageHeader-1]; {
	case form == storageChecked && storageKey == nil && len(body) >= sha256.Size:
		end := len(data) - sha256.Size
		sum := sha256.Sum256(data[:end])
		if !bytes.Equal(sum[:], data[end:]) {
			return nil, ErrStorage
		}
		body = data[storageHeader:end]
	case form == storageSealed && storageKey != nil && len(body) >= chacha20poly1305.NonceSizeX:
		aead, err := storageAEAD(storageKey)
		if err != nil {
			return nil, err
		}
		body, err = aead.Open(nil, body[:chacha20poly1305.NonceSizeX], body[chacha20poly1305.NonceSizeX:], header)
		if err != nil {
			return nil, ErrStorage
		}
		defer clear(body)
	default:
		return nil, ErrStorage
	}
	s := new(state)
	if !s.read(body) {
		s.wipe()
		return nil, ErrStorage
	}
	return s, nil
}

// body writes all that a device keeps.
func (s *state) body() ([]byte, error) {
	room := 16 << 10 // for all but what is counted here: what grows leaves secrets behind
	if p := s.pending; p != nil {
		room += len(p.request) + len(p.messages.Digests)*(p.messages.DigestSize()+p.messages.SaltLength)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, room))
	b.AddUint8(uint8(s.phase))
	b.AddUint8(uint8(s.reason))
	b.AddBytes(s.shipped[:])
	b.AddBytes(s.hpkeKey)
	b.AddUint64(s.serial)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		k := s.key
		if k == nil {
			return
		}
		b.AddBytes(k.id[:])
		b.AddBytes(k.authKey.Get())
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.hardware) })
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			if k.challenge != nil {
				b.AddBytes(k.challenge.Raw[:])
			}
		})
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.lockbox) })
		b.AddUint64(k.number)
		b.AddBytes(k.token.Get())
		b.AddBytes(k.chain[:])
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			if k.public.N != nil {
				wire.AppendPublicKey(b, &k.public)
			}
		})
	})
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		p := s.pending
		if p == nil {
			return
		}
		var cancel uint8
		if p.cancel {
			cancel = 1
		}
		b.AddUint8(uint8(p.op))
		b.AddUint8(cancel)
		b.AddBytes(p.challenge.Raw[:])
		b.AddUint8(p.messages.Hash)
		b.AddUint8(uint8(p.messages.Padding))
		b.AddUint8(uint8(len(p.messages.Digests)))
		b.AddUint16(uint16(p.messages.SaltLength))
		for i, d := range p.messages.Digests {
			b.AddBytes(d)
			b.AddBytes(p.salts[i])
		}
		b.AddBytes(p.next.Get())
		b.AddBytes(p.secret.Get())
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(p.request) })
	})
	return b.Bytes()
}

// read reads what body writes, and nothing else.
func (s *state) read(body cryptobyte.String) bool {
	var phase, reason uint8
	var key cryptobyte.String
	var length uint32
	var waiting []byte
	if !body.ReadUint8(&phase) || !body.ReadUint8(&reason) || !body.CopyBytes(s.shipped[:]) ||
		!body.ReadBytes(&s.hpkeKey, wire.HPKEKeySize) || !body.ReadUint64(&s.serial) ||
		!body.ReadUint16LengthPrefixed(&key) || !body.ReadUint24(&length) ||
		!body.ReadBytes(&waiting, int(length)) || !body.Empty() {
		return false
	}
	s.hpkeKey = bytes.Clone(s.hpkeKey)
	s.phase, s.reason = Phase(phase), protocol.Reason(reason)
	return (key.Empty() || s.readKey(key)) && (len(waiting) == 0 || s.readPending(waiting)) && s.consistent()
}

func (s *state) readKey(data cryptobyte.String) bool {
	k := new(enrolledKey)
	s.key = k
	var hardware, challenge, lockbox, public cryptobyte.String
	var authKey, token []byte
	if !data.CopyBytes(k.id[:]) || !data.ReadBytes(&authKey, wire.SecretSize) || !data.ReadUint8LengthPrefixed(&hardware) ||
		!data.ReadUint8LengthPrefixed(&challenge) || !data.ReadUint16LengthPrefixed(&lockbox) || !data.ReadUint64(&k.number) ||
		!data.ReadBytes(&token, wire.SecretSize) || !data.CopyBytes(k.chain[:]) || !data.ReadUint16LengthPrefixed(&public) || !data.Empty() {
		return false
	}
	k.authKey, k.token = s.hold(wire.NewSecret(authKey)), s.hold(wire.NewSecret(token))
	k.hardware, k.lockbox = bytes.Clone(hardware), bytes.Clone(lockbox)
	if len(challenge) > 0 {
		c, err := wire.ParseChallenge(challenge)
		if err != nil || c.Purpose != wire.ForOwnUse && (s.phase != Superseded || c.Purpose != wire.ForTransaction) {
			return false
		}
		k.challenge = c
	}
	if len(hardware) > 0 {
		if _, err := wire.ParseHardwareKey(hardware); err != nil {
			return false
		}
	}
	return public.Empty() || wire.ReadPublicKey(&public, &k.public) && public.Empty()
}

func (s *state) readPending(data cryptobyte.String) bool {
	p := new(pending)
	s.pending = p
	var op, cancel, padded, documents uint8
	var salt uint16
	var length uint32
	var raw, next, key, sealed []byte
	if !data.ReadUint8(&op) || !data.ReadUint8(&cancel) || cancel > 1 || !data.ReadBytes(&raw, protocol.ChallengeSize) ||
		!data.ReadUint8(&p.messages.Hash) || !data.ReadUint8(&padded) || !data.ReadUint8(&documents) || !data.ReadUint16(&salt) {
		return false
	}
	p.op, p.cancel = protocol.Operation(op), cancel == 1
	p.messages.Padding, p.messages.SaltLength = wire.Padding(padded), int(salt)
	if !p.messages.Valid() || documents > protocol.MaxDocuments || salt > wire.MaxSalt ||
		salt > 0 && p.messages.Padding != wire.PSS {
		return false
	}
	for range documents {
		var digest, saltBytes []byte
		if !data.ReadBytes(&digest, p.messages.DigestSize()) || !data.ReadBytes(&saltBytes, int(salt)) {
			return false
		}
		p.messages.Digests = append(p.messages.Digests, bytes.Clone(digest))
		p.salts = append(p.salts, bytes.Clone(saltBytes))
	}
	if !data.ReadBytes(&next, wire.SecretSize) || !data.ReadBytes(&key, wire.SecretSize) || !data.ReadUint24(&length) ||
		!data.ReadBytes(&sealed, int(length)) || !data.Empty() || len(sealed) > protocol.MaxRequest {
		return false
	}
	var err error
	p.challenge, err = wire.ParseChallenge(raw)
	p.request, p.next, p.secret = bytes.Clone(sealed), s.hold(wire.NewSecret(next)), s.hold(wire.NewSecret(key))
	signs := p.op == protocol.OpSign
	return err == nil && wire.KnownOperation(p.op) && !wire.WithoutNumber(p.op) &&
		signs == (p.messages.Padding != wire.NoPadding) && signs == (documents > 0)
}
