package protocol

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

	"github.com/tandem-rsa/tandem/splitkey"
)

// Phase is how far a device's enrolment has come.
type Phase uint8

const (
	NoKey       Phase = 0 // no key, and no enrolment begun
	Enrolling   Phase = 1 // the server has not answered yet
	Unconfirmed Phase = 2 // the server knows the key: Confirm is next
	Ready       Phase = 3
	Dead        Phase = 4 // the server said that the key is destroyed
)

// String returns "no key", "enrolling", "unconfirmed", "ready" or "dead".
func (p Phase) String() string {
	names := [...]string{"no key", "enrolling", "unconfirmed", "ready", "dead"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// deviceState is all that a device keeps. It has no x, no y, no PIN and no HPKE context,
// at any time.
type deviceState struct {
	phase     Phase
	reason    Reason // of a dead key
	shipped   serverKeyID
	serverKey []byte
	next      announcement
	key       *enrolledKey // of Enrolling to Ready
	pending   *pending
}

// enrolledKey is what belongs to one key.
type enrolledKey struct {
	id        KeyID
	lockbox   []byte // pinlock.Lockbox.MarshalBinary
	deviceKey secret // K_dev
	tokens    []secret
	givenUp   []givenUp
	public    rsa.PublicKey // the final key, once known
	confirm   []byte        // challenge for Confirm that came with the enrolment's answer
}

// pending is a request that may have been sent.
type pending struct {
	op        Operation
	challenge *challenge
	text      text
	salt      []byte
	request   []byte // sealed, as it is sent
	secret    secret // of the reply
}

func (p *pending) reply() reply {
	return reply{p.secret, sha256.Sum256(p.request)}
}

// signed is what the answer's signature must verify for.
func (p *pending) signed() text {
	if p.op == OpSign {
		return p.text
	}
	return ownText(p.op, p.challenge.raw[:])
}

const (
	stateMagic   = "TDds"
	stateChecked = 1 // with a checksum
	stateSealed  = 2 // under the device key
	stateHeader  = len(stateMagic) + 2

	// maxState bounds what a device reads; a state has about 12 KiB with a request pending.
	maxState = 64 << 10

	// maxRemembered bounds the requests given up that a device remembers; it names maxGivenUp of them.
	maxRemembered = 2 * maxGivenUp
)

// encode writes the state: sealed under the device key if there is one, and else with a checksum, which
// finds damage and tells nothing about the PIN.
//
//	offset  length  content
//	0       4       "TDds"
//	4       1       version: 1
//	5       1       form: 1 checksum, 2 sealed
//	6       -       form 1: the state, SHA-256 of all before it
//	                form 2: 24 bytes of nonce, the state under XChaCha20-Poly1305 with bytes 0 to 5 as
//	                additional data and a key that HKDF-SHA256 derives from the device key
func (s *deviceState) encode(deviceKey []byte) ([]byte, error) {
	body, err := s.body()
	if err != nil {
		return nil, err
	}
	out := append([]byte(stateMagic), wireVersion, stateChecked)
	if deviceKey == nil {
		out = append(out, body...)
		sum := sha256.Sum256(out)
		return append(out, sum[:]...), nil
	}
	out[stateHeader-1] = stateSealed
	aead, err := stateAEAD(deviceKey)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce)
	header := bytes.Clone(out)
	return aead.Seal(append(out, nonce...), nonce, body, header), nil
}

func stateAEAD(deviceKey []byte) (aead interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}, err error) {
	key, err := hkdf.Key(sha256.New, deviceKey, nil, "tandem v1 device state", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.NewX(key)
}

// parseDeviceState reads what encode wrote. The error is ErrState.
func parseDeviceState(data, deviceKey []byte) (*deviceState, error) {
	if len(data) < stateHeader || len(data) > maxState || string(data[:len(stateMagic)]) != stateMagic || data[stateHeader-2] != wireVersion {
		return nil, ErrState
	}
	header, body := data[:stateHeader], data[stateHeader:]
	switch {
	case header[stateHeader-1] == stateChecked && deviceKey == nil && len(body) >= sha256.Size:
		end := len(data) - sha256.Size
		sum := sha256.Sum256(data[:end])
		if !bytes.Equal(sum[:], data[end:]) {
			return nil, ErrState
		}
		body = data[stateHeader:end]
	case header[stateHeader-1] == stateSealed && deviceKey != nil && len(body) >= chacha20poly1305.NonceSizeX:
		aead, err := stateAEAD(deviceKey)
		if err != nil {
			return nil, err
		}
		body, err = aead.Open(nil, body[:chacha20poly1305.NonceSizeX], body[chacha20poly1305.NonceSizeX:], header)
		if err != nil {
			return nil, ErrState
		}
	default:
		return nil, ErrState
	}
	s := new(deviceState)
	if !s.read(body) {
		return nil, ErrState
	}
	return s, nil
}

func (s *deviceState) body() ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(uint8(s.phase))
	b.AddUint8(uint8(s.reason))
	b.AddBytes(s.shipped[:])
	b.AddBytes(s.serverKey)
	b.AddUint16LengthPrefixed(s.next.append)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		if s.key != nil {
			s.key.append(b)
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		if s.pending != nil {
			s.pending.append(b)
		}
	})
	return b.Bytes()
}

func (s *deviceState) read(body cryptobyte.String) bool {
	var phase, reason uint8
	var next, key, waiting cryptobyte.String
	if !body.ReadUint8(&phase) || !body.ReadUint8(&reason) || !body.CopyBytes(s.shipped[:]) ||
		!body.ReadBytes(&s.serverKey, publicSize) || !body.ReadUint16LengthPrefixed(&next) ||
		!body.ReadUint16LengthPrefixed(&key) || !body.ReadUint16LengthPrefixed(&waiting) || !body.Empty() {
		return false
	}
	s.phase, s.reason = Phase(phase), Reason(reason)
	if s.next.read(next) != nil {
		return false
	}
	if !key.Empty() {
		if s.key = new(enrolledKey); !s.key.read(key) {
			return false
		}
	}
	if !waiting.Empty() {
		if s.pending = new(pending); !s.pending.read(waiting) {
			return false
		}
	}
	return s.consistent()
}

// consistent refuses combinations that no device writes.
func (s *deviceState) consistent() bool {
	hasKey := s.phase >= Enrolling && s.phase <= Ready
	enrolls := s.pending != nil && s.pending.op == OpEnroll
	known := s.key != nil && s.key.public.N != nil
	return s.phase <= Dead && (s.phase == Dead) == s.reason.valid() && (s.phase == Dead || s.reason == 0) &&
		hasKey == (s.key != nil) && (s.pending == nil || hasKey) && enrolls == (s.phase == Enrolling) &&
		known == (s.phase == Unconfirmed || s.phase == Ready) &&
		(s.key == nil || s.pending == nil || len(s.key.givenUp) < maxRemembered) // it may be given up
}

func (k *enrolledKey) append(b *cryptobyte.Builder) {
	b.AddBytes(k.id[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.lockbox) })
	b.AddBytes(k.deviceKey.bytes())
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, t := range k.tokens {
			b.AddBytes(t.bytes())
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, g := range k.givenUp {
			b.AddBytes(g.request[:])
			b.AddUint64(uint64(g.expires))
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		if k.public.N != nil {
			appendPublicKey(b, &k.public)
		}
	})
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.confirm) })
}

func (k *enrolledKey) read(s cryptobyte.String) bool {
	var lockbox, tokens, given, public, confirm cryptobyte.String
	var deviceKey []byte
	if !s.CopyBytes(k.id[:]) || !s.ReadUint16LengthPrefixed(&lockbox) || !s.ReadBytes(&deviceKey, secretSize) ||
		!s.ReadUint8LengthPrefixed(&tokens) || !s.ReadUint16LengthPrefixed(&given) ||
		!s.ReadUint16LengthPrefixed(&public) || !s.ReadUint8LengthPrefixed(&confirm) || !s.Empty() ||
		len(tokens) == 0 || len(tokens)%secretSize != 0 || len(tokens)/secretSize > maxTokens {
		return false
	}
	k.lockbox, k.deviceKey, k.confirm = bytes.Clone(lockbox), newSecret(deviceKey), bytes.Clone(confirm)
	for !tokens.Empty() {
		var t []byte
		tokens.ReadBytes(&t, secretSize)
		k.tokens = append(k.tokens, newSecret(t))
	}
	for !given.Empty() {
		var g givenUp
		var expires uint64
		if !given.CopyBytes(g.request[:]) || !given.ReadUint64(&expires) || expires > maxTime || len(k.givenUp) == maxRemembered {
			return false
		}
		g.expires = int64(expires)
		k.givenUp = append(k.givenUp, g)
	}
	if len(confirm) > 0 {
		if c, err := parseChallenge(confirm); err != nil || c.purpose != forOwnUse {
			return false
		}
	}
	return public.Empty() || readPublicKey(&public, &k.public) && public.Empty()
}

func (p *pending) append(b *cryptobyte.Builder) {
	b.AddUint8(uint8(p.op))
	b.AddBytes(p.challenge.raw[:])
	p.text.append(b)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(p.salt) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(p.request) })
	b.AddBytes(p.secret.bytes())
}

func (p *pending) read(s cryptobyte.String) bool {
	var op uint8
	var raw, key []byte
	var salt, request cryptobyte.String
	if !s.ReadUint8(&op) || !Operation(op).valid() || !s.ReadBytes(&raw, ChallengeSize) || !p.text.read(&s) ||
		!s.ReadUint16LengthPrefixed(&salt) || !s.ReadUint16LengthPrefixed(&request) || !s.ReadBytes(&key, secretSize) ||
		!s.Empty() || len(request) > MaxRequest || len(salt) > maxSalt {
		return false
	}
	var err error
	p.challenge, err = parseChallenge(raw)
	p.op, p.salt, p.request, p.secret = Operation(op), bytes.Clone(salt), bytes.Clone(request), newSecret(key)
	return err == nil && (p.op == OpSign) == (p.text.padding != noPadding)
}

// finalKey returns the final key of an enrolled device. It costs as much as a partial
// signature, a small part of what the PIN's key derivation does.
func (k *enrolledKey) finalKey() (*splitkey.FinalKey, error) {
	device, err := lockboxKey(k.lockbox)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	final, err := splitkey.CheckFinalKey(&k.public, device)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return final, nil
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
