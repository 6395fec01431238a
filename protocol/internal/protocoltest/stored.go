package protocoltest

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"errors"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// State is what a thief reads in a phone's storage: package device keeps it.
type State struct {
	Phase   uint8
	Reason  uint8
	HPKEKey []byte
	Serial  uint64
	Key     *EnrolledKey
	Pending *Pending
}

// EnrolledKey is what the storage has of one key.
type EnrolledKey struct {
	ID        protocol.KeyID
	AuthKey   wire.Secret
	Challenge []byte
	Lockbox   []byte
	Number    uint64
	Token     wire.Secret
	Chain     wire.Hash
	Public    rsa.PublicKey
}

// Pending is the request that was sent and is not answered.
type Pending struct {
	Op        protocol.Operation
	Cancel    bool
	Challenge *wire.Challenge
	Messages  wire.Messages
	Next      wire.Secret
	Request   []byte
	Secret    wire.Secret
}

var errStorage = errors.New("protocoltest: not a device's storage")

// ParseState reads a storage that no storage key seals. It shares no code with package
// device.
func ParseState(data []byte) (*State, error) {
	const header = 6 // "TDds", the version, and 1 for a checksum
	end := len(data) - sha256.Size
	if end < header || string(data[:header]) != "TDds\x02\x01" {
		return nil, errStorage
	}
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:]) {
		return nil, errStorage
	}
	s := new(State)
	body := cryptobyte.String(bytes.Clone(data[header:end]))
	var key cryptobyte.String
	var length uint32
	var waiting []byte
	if !body.ReadUint8(&s.Phase) || !body.ReadUint8(&s.Reason) || !body.Skip(8) ||
		!body.ReadBytes(&s.HPKEKey, wire.HPKEKeySize) || !body.ReadUint64(&s.Serial) || !body.ReadUint16LengthPrefixed(&key) ||
		!body.ReadUint24(&length) || !body.ReadBytes(&waiting, int(length)) || !body.Empty() {
		return nil, errStorage
	}
	if !key.Empty() {
		if s.Key = new(EnrolledKey); !s.Key.read(key) {
			return nil, errStorage
		}
	}
	if len(waiting) > 0 {
		if s.Pending = new(Pending); !s.Pending.read(waiting) {
			return nil, errStorage
		}
	}
	return s, nil
}

func (k *EnrolledKey) read(s cryptobyte.String) bool {
	var hardware, challenge, lockbox, public cryptobyte.String
	var authKey, token []byte
	if !s.CopyBytes(k.ID[:]) || !s.ReadBytes(&authKey, wire.SecretSize) || !s.ReadUint8LengthPrefixed(&hardware) ||
		!s.ReadUint8LengthPrefixed(&challenge) || !s.ReadUint16LengthPrefixed(&lockbox) || !s.ReadUint64(&k.Number) ||
		!s.ReadBytes(&token, wire.SecretSize) || !s.CopyBytes(k.Chain[:]) || !s.ReadUint16LengthPrefixed(&public) || !s.Empty() {
		return false
	}
	k.AuthKey, k.Token, k.Lockbox, k.Challenge = wire.NewSecret(authKey), wire.NewSecret(token), lockbox, challenge
	return public.Empty() || wire.ReadPublicKey(&public, &k.Public)
}

func (p *Pending) read(s cryptobyte.String) bool {
	var op, cancel, padding, documents uint8
	var salt uint16
	var length uint32
	var raw, next, key []byte
	if !s.ReadUint8(&op) || !s.ReadUint8(&cancel) || !s.ReadBytes(&raw, protocol.ChallengeSize) ||
		!s.ReadUint8(&p.Messages.Hash) || !s.ReadUint8(&padding) || !s.ReadUint8(&documents) || !s.ReadUint16(&salt) {
		return false
	}
	p.Op, p.Cancel = protocol.Operation(op), cancel == 1
	p.Messages.Padding, p.Messages.SaltLength = wire.Padding(padding), int(salt)
	for range documents {
		var digest []byte
		if !s.ReadBytes(&digest, p.Messages.DigestSize()) || !s.Skip(int(salt)) {
			return false
		}
		p.Messages.Digests = append(p.Messages.Digests, digest)
	}
	if !s.ReadBytes(&next, wire.SecretSize) || !s.ReadBytes(&key, wire.SecretSize) || !s.ReadUint24(&length) ||
		!s.ReadBytes(&p.Request, int(length)) || !s.Empty() {
		return false
	}
	p.Next, p.Secret = wire.NewSecret(next), wire.NewSecret(key)
	var err error
	p.Challenge, err = wire.ParseChallenge(raw)
	return err == nil
}

// Hash names the request.
func (p *Pending) Hash() wire.Hash { return sha256.Sum256(p.Request) }

// ResponseKey opens and seals the answer to the request. A copy of the storage has it
// too.
func (p *Pending) ResponseKey() wire.ResponseKey {
	return wire.ResponseKey{Secret: p.Secret, Request: p.Hash()}
}

// ToSign is what the partial signatures in the request sign.
func (p *Pending) ToSign() wire.Messages { return wire.ToSign(p.Op, p.Challenge, p.Messages) }

// FinalKey is the key that signatures verify under.
func (k *EnrolledKey) FinalKey() (*splitkey.FinalKey, error) {
	box, err := pinlock.ParseLockbox(k.Lockbox)
	if err != nil {
		return nil, err
	}
	client, err := box.PublicKey()
	if err != nil {
		return nil, err
	}
	return splitkey.CheckFinalKey(&k.Public, client)
}
