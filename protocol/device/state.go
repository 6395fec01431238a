package device

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// state is all that a device keeps. It has no x, no y, no PIN and no HPKE context,
// at any time.
type state struct {
	phase     Phase
	reason    protocol.Reason // of a dead or superseded key, as far as it is known
	shipped   wire.HPKEKeyID
	serverKey []byte
	serial    uint64       // of the key document that was used last
	key       *enrolledKey // of Enrolling to Ready, and what is left of one that is superseded
	pending   *pending
}

// enrolledKey is what belongs to one key. Of a superseded one id, authKey, hardware and challenge
// are left.
type enrolledKey struct {
	id        protocol.KeyID
	authKey   wire.Secret // K_dev
	hardware  []byte      // the hardware's public key, or nothing
	challenge []byte      // for Confirm, from the answer to the enrolment; or for a Report
	lockbox   []byte      // pinlock.Lockbox.MarshalBinary
	number    uint64      // of the last request that is resolved
	token     wire.Secret
	chain     wire.Hash
	public    rsa.PublicKey      // the final key, once known
	final     *splitkey.FinalKey // finalKey's, which is computed once an operation
}

// pending is the one request that may have been sent: of number enrolledKey.number + 1.
type pending struct {
	op        protocol.Operation
	cancel    bool // a Cancel of it may have been sent
	challenge *wire.Challenge
	messages  wire.Messages
	salts     [][]byte
	next      wire.Secret // the next token
	request   []byte      // sealed, as it is sent
	secret    wire.Secret // of the reply
}

func (p *pending) reply() wire.Reply { return wire.Reply{Secret: p.secret, Request: p.hash()} }

func (p *pending) hash() wire.Hash { return sha256.Sum256(p.request) }

// signed is what the answer's signatures must verify for. A Refresh has none.
func (p *pending) signed() wire.Messages {
	switch p.op {
	case protocol.OpSign:
		return p.messages
	case protocol.OpRefresh:
		return wire.Messages{}
	}
	return wire.OwnMessage(p.op, p.challenge.Raw[:])
}

const (
	stateMagic     = "TDds"
	stateChecked   = 1  // with a checksum
	stateSealed    = 2  // under the storage key
	storageKeySize = 32 // of the platform's key store
	stateHeader    = len(stateMagic) + 2

	// maxState bounds what a device reads; a state has about 8 KiB with a request pending, and most
	// with one of 64 documents with long salts.
	maxState = 256 << 10
)

// encode writes the state: sealed under the storage key if there is one, and else with a checksum, which
// finds damage and tells nothing about the PIN.
//
//	offset  length  content
//	0       4       "TDds"
//	4       1       version: 2
//	5       1       form: 1 checksum, 2 sealed
//	6       -       form 1: the state, SHA-256 of all before it
//	                form 2: 24 bytes of nonce, the state under XChaCha20-Poly1305 with bytes 0 to 5 as
//	                additional data and a key that HKDF-SHA256 derives from the storage key
func (s *state) encode(storageKey []byte) ([]byte, error) {
	body, err := s.body()
	if err != nil {
		return nil, err
	}
	out := append([]byte(stateMagic), wire.Version, stateChecked)
	if storageKey == nil {
		out = append(out, body...)
		sum := sha256.Sum256(out)
		return append(out, sum[:]...), nil
	}
	out[stateHeader-1] = stateSealed
	aead, err := stateAEAD(storageKey)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce)
	header := bytes.Clone(out)
	return aead.Seal(append(out, nonce...), nonce, body, header), nil
}

func stateAEAD(storageKey []byte) (aead interface {
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
	if len(data) < stateHeader || len(data) > maxState || string(data[:len(stateMagic)]) != stateMagic || data[stateHeader-2] != wire.Version {
		return nil, ErrStorage
	}
	header, body := data[:stateHeader], data[stateHeader:]
	switch {
	case header[stateHeader-1] == stateChecked && storageKey == nil && len(body) >= sha256.Size:
		end := len(data) - sha256.Size
		sum := sha256.Sum256(data[:end])
		if !bytes.Equal(sum[:], data[end:]) {
			return nil, ErrStorage
		}
		body = data[stateHeader:end]
	case header[stateHeader-1] == stateSealed && storageKey != nil && len(body) >= chacha20poly1305.NonceSizeX:
		aead, err := stateAEAD(storageKey)
		if err != nil {
			return nil, err
		}
		body, err = aead.Open(nil, body[:chacha20poly1305.NonceSizeX], body[chacha20poly1305.NonceSizeX:], header)
		if err != nil {
			return nil, ErrStorage
		}
	default:
		return nil, ErrStorage
	}
	s := new(state)
	if !s.read(body) {
		return nil, ErrStorage
	}
	return s, nil
}

func (s *state) body() ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(uint8(s.phase))
	b.AddUint8(uint8(s.reason))
	b.AddBytes(s.shipped[:])
	b.AddBytes(s.serverKey)
	b.AddUint64(s.serial)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		if s.key != nil {
			s.key.append(b)
		}
	})
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		if s.pending != nil {
			s.pending.append(b)
		}
	})
	return b.Bytes()
}

func (s *state) read(body cryptobyte.String) bool {
	var phase, reason uint8
	var key cryptobyte.String
	var length uint32
	var waiting []byte
	if !body.ReadUint8(&phase) || !body.ReadUint8(&reason) || !body.CopyBytes(s.shipped[:]) ||
		!body.ReadBytes(&s.serverKey, wire.ServerKeySize) || !body.ReadUint64(&s.serial) ||
		!body.ReadUint16LengthPrefixed(&key) || !body.ReadUint24(&length) ||
		!body.ReadBytes(&waiting, int(length)) || !body.Empty() {
		return false
	}
	s.phase, s.reason = Phase(phase), protocol.Reason(reason)
	if !key.Empty() {
		if s.key = new(enrolledKey); !s.key.read(key, s.phase) {
			return false
		}
	}
	if len(waiting) > 0 {
		if s.pending = new(pending); !s.pending.read(waiting) {
			return false
		}
	}
	return s.consistent()
}

// consistent refuses combinations that no device writes.
func (s *state) consistent() bool {
	over := s.phase == Dead || s.phase == Superseded
	inUse := s.phase >= Enrolling && s.phase <= Ready
	enrolls := s.pending != nil && s.pending.op == protocol.OpEnroll
	known := s.key != nil && s.key.public.N != nil
	return s.phase <= Superseded && over == wire.KnownReason(s.reason) && (over || s.reason == 0) &&
		(inUse || s.phase == Superseded) == (s.key != nil) && (s.pending == nil || inUse) &&
		enrolls == (s.phase == Enrolling) && known == (s.phase == Unconfirmed || s.phase == Ready) &&
		(s.key == nil || inUse == (len(s.key.lockbox) > 0))
}

func (k *enrolledKey) append(b *cryptobyte.Builder) {
	b.AddBytes(k.id[:])
	b.AddBytes(k.authKey.Get())
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.hardware) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.challenge) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.lockbox) })
	b.AddUint64(k.number)
	b.AddBytes(k.token.Get())
	b.AddBytes(k.chain[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		if k.public.N != nil {
			wire.AppendPublicKey(b, &k.public)
		}
	})
}

func (k *enrolledKey) read(s cryptobyte.String, phase Phase) bool {
	var hardware, challenge, lockbox, public cryptobyte.String
	var authKey, token []byte
	if !s.CopyBytes(k.id[:]) || !s.ReadBytes(&authKey, wire.SecretSize) || !s.ReadUint8LengthPrefixed(&hardware) ||
		!s.ReadUint8LengthPrefixed(&challenge) || !s.ReadUint16LengthPrefixed(&lockbox) || !s.ReadUint64(&k.number) ||
		!s.ReadBytes(&token, wire.SecretSize) || !s.CopyBytes(k.chain[:]) || !s.ReadUint16LengthPrefixed(&public) || !s.Empty() {
		return false
	}
	k.authKey, k.token = wire.NewSecret(authKey), wire.NewSecret(token)
	k.hardware, k.challenge, k.lockbox = bytes.Clone(hardware), bytes.Clone(challenge), bytes.Clone(lockbox)
	if len(challenge) > 0 {
		c, err := wire.ParseChallenge(challenge)
		if err != nil || c.Purpose != wire.ForOwnUse && (phase != Superseded || c.Purpose != wire.ForTransaction) {
			return false
		}
	}
	if len(hardware) > 0 {
		if _, err := wire.ParseHardwareKey(hardware); err != nil {
			return false
		}
	}
	return public.Empty() || wire.ReadPublicKey(&public, &k.public) && public.Empty()
}

func (p *pending) append(b *cryptobyte.Builder) {
	b.AddUint8(uint8(p.op))
	var cancel uint8
	if p.cancel {
		cancel = 1
	}
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
}

func (p *pending) read(s cryptobyte.String) bool {
	var op, cancel, padded, documents uint8
	var salt uint16
	var length uint32
	var raw, next, key, sealed []byte
	if !s.ReadUint8(&op) || !s.ReadUint8(&cancel) || cancel > 1 || !s.ReadBytes(&raw, protocol.ChallengeSize) ||
		!s.ReadUint8(&p.messages.Hash) || !s.ReadUint8(&padded) || !s.ReadUint8(&documents) || !s.ReadUint16(&salt) {
		return false
	}
	p.op, p.cancel = protocol.Operation(op), cancel == 1
	p.messages.Padding, p.messages.SaltLength = wire.Padding(padded), int(salt)
	if !p.messages.Valid() || documents > protocol.MaxDocuments || salt > wire.MaxSalt || salt > 0 && p.messages.Padding != wire.PSS {
		return false
	}
	for range documents {
		var digest, saltBytes []byte
		if !s.ReadBytes(&digest, p.messages.DigestSize()) || !s.ReadBytes(&saltBytes, int(salt)) {
			return false
		}
		p.messages.Digests = append(p.messages.Digests, bytes.Clone(digest))
		p.salts = append(p.salts, bytes.Clone(saltBytes))
	}
	if !s.ReadBytes(&next, wire.SecretSize) || !s.ReadBytes(&key, wire.SecretSize) || !s.ReadUint24(&length) ||
		!s.ReadBytes(&sealed, int(length)) || !s.Empty() || len(sealed) > protocol.MaxRequest {
		return false
	}
	var err error
	p.challenge, err = wire.ParseChallenge(raw)
	p.request, p.next, p.secret = bytes.Clone(sealed), wire.NewSecret(next), wire.NewSecret(key)
	signs := p.op == protocol.OpSign
	return err == nil && wire.KnownOperation(p.op) && !wire.WithoutNumber(p.op) && signs == (p.messages.Padding != wire.NoPadding) && signs == (documents > 0)
}

// clientKey is (n1, e), as the lockbox has it.
func (k *enrolledKey) clientKey() (*rsa.PublicKey, error) {
	box, err := pinlock.ParseLockbox(k.lockbox)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	return box.PublicKey()
}

// finalKey returns the final key of an enrolled device. The first time it costs as much as a partial
// signature, a small part of what the PIN's key derivation does.
func (k *enrolledKey) finalKey() (*splitkey.FinalKey, error) {
	if k.final != nil {
		return k.final, nil
	}
	client, err := k.clientKey()
	if err != nil {
		return nil, err
	}
	if k.final, err = splitkey.CheckFinalKey(&k.public, client); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	return k.final, nil
}

// divides reports whether the final key is one that splitkey accepts for the device's own key, and has full length: that
// key itself, or its product with another of the same length.
func divides(device, final *rsa.PublicKey) bool {
	if _, err := splitkey.CheckFinalKey(final, device); err != nil {
		return false
	}
	n2 := new(big.Int).Quo(final.N, device.N)
	return n2.BitLen() == 1 || n2.BitLen() == device.N.BitLen() && final.N.BitLen() == 2*device.N.BitLen()
}
