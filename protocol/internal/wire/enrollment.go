package wire

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
)

// maxAttestation bounds what a phone's maker says of its hardware key.
const maxAttestation = 16 << 10

// Enrollment is the plaintext of an enrolment.
type Enrollment struct {
	Challenge   *Challenge
	Share       secret.Bytes
	AuthKey     Secret
	Commitment  Hash
	Hardware    []byte
	Attestation []byte
	Body        secret.Bytes // what the hardware signs
	Signature   []byte
}

// Seal encodes the enrolment and encrypts it to the server.
func (e *Enrollment) Seal(pub hpke.PublicKey, id protocol.KeyID, hardware *HardwareSigner) ([]byte, ResponseKey, error) {
	plaintext, err := e.Encode(id, hardware)
	if err != nil {
		return nil, ResponseKey{}, err
	}
	defer clear(plaintext)
	return SealRequest(pub, protocol.OpEnroll, e.Challenge.Ticket(), plaintext)
}

// Encode writes and signs the enrolment. hardware is nil where the key has none.
func (e *Enrollment) Encode(id protocol.KeyID, hardware *HardwareSigner) ([]byte, error) {
	// Room for all of it: what grows leaves what it had, the share, behind.
	room := 1 + 1 + protocol.ChallengeSize + 2 + len(e.Share.Get()) + 2*SecretSize + 1 + len(e.Hardware) + 2 + len(e.Attestation) + 1 + hardwareSignatureSize
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, room))
	b.AddUint8(Version)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.Challenge.Raw[:]) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.Share.Get()) })
	b.AddBytes(e.AuthKey.Get())
	b.AddBytes(e.Commitment[:])
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.Hardware) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.Attestation) })
	body, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return hardware.append(id, body)
}

// ParseEnrollment reads what Encode writes, and nothing else. It checks no signature.
func ParseEnrollment(plaintext []byte) (*Enrollment, error) {
	e := new(Enrollment)
	s := cryptobyte.String(plaintext)
	var version uint8
	var challenge, share, hardware, attestation, signature cryptobyte.String
	var key []byte
	if !s.ReadUint8(&version) || version != Version || !s.ReadUint8LengthPrefixed(&challenge) ||
		!s.ReadUint16LengthPrefixed(&share) || !s.ReadBytes(&key, SecretSize) || !s.CopyBytes(e.Commitment[:]) ||
		!s.ReadUint8LengthPrefixed(&hardware) || !s.ReadUint16LengthPrefixed(&attestation) {
		return nil, fmt.Errorf("%w: enrolment", protocol.ErrMalformed)
	}
	body := plaintext[:len(plaintext)-len(s)]
	if !s.ReadUint8LengthPrefixed(&signature) || !s.Empty() || len(attestation) > maxAttestation {
		return nil, fmt.Errorf("%w: enrolment", protocol.ErrMalformed)
	}
	var err error
	if e.Challenge, err = ParseChallenge(challenge); err != nil {
		return nil, err
	}
	if e.Challenge.Purpose != ForEnrolment {
		return nil, fmt.Errorf("%w: challenge of another purpose", protocol.ErrMalformed)
	}
	e.Hardware, e.Attestation, e.Signature = bytes.Clone(hardware), bytes.Clone(attestation), bytes.Clone(signature)
	if len(hardware) == 0 && len(attestation)+len(signature) > 0 {
		return nil, fmt.Errorf("%w: attestation without a key", protocol.ErrMalformed)
	}
	// Secrets are copied last: a refused enrolment leaves none behind.
	e.Share, e.AuthKey, e.Body = secret.Copy(share), NewSecret(key), secret.Copy(body)
	return e, nil
}

// Wipe clears the share and K_dev.
func (e *Enrollment) Wipe() {
	e.Share.Wipe()
	e.Body.Wipe()
	e.AuthKey.Wipe()
}

// FirstChain is where the chain of a key begins.
func FirstChain(sealedEnrollment []byte) Hash { return sha256.Sum256(sealedEnrollment) }
