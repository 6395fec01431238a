package protocol

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// maxAttestation bounds what a phone's maker says of its hardware key.
const maxAttestation = 16 << 10

// enrollment is the plaintext of an enrolment.
//
//	length  content
//	1       version: 2
//	1+n     challenge for an enrolment
//	2+n     server share: splitkey.ServerShare.Bytes, with n1, e, sharing and d_s
//	32      K_dev
//	32      commitment to the first token
//	1+n     empty, or 65 bytes: the hardware's public key, P-256, uncompressed (SEC 1)
//	2+n     attestation of that key, up to 16 KiB; empty without a key
//	1+n     empty, or a signature of 64 bytes by that key of the key id and all of the above
type enrollment struct {
	challenge   *challenge
	share       hidden[[]byte]
	authKey     secret
	commitment  hash
	hardware    []byte
	attestation []byte
	body        []byte // what the hardware signs
	signature   []byte
}

// Format hides the share and K_dev.
func (e enrollment) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.enrollment(hidden)") }

func (e *enrollment) encode(id KeyID, hardware *hardwareSigner) ([]byte, error) {
	// Room for all of it: what grows leaves what it had, the share, behind.
	room := 1 + 1 + ChallengeSize + 2 + len(e.share()) + 2*secretSize + 1 + len(e.hardware) + 2 + len(e.attestation) + 1 + hardwareSignatureSize
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, room))
	b.AddUint8(wireVersion)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.challenge.raw[:]) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.share()) })
	b.AddBytes(e.authKey.bytes())
	b.AddBytes(e.commitment[:])
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.hardware) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.attestation) })
	body, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return hardware.append(id, body)
}

func parseEnrollment(plaintext []byte) (*enrollment, error) {
	e := new(enrollment)
	s := cryptobyte.String(plaintext)
	var version uint8
	var challenge, share, hardware, attestation, signature cryptobyte.String
	key := make([]byte, secretSize)
	defer clear(key)
	if !s.ReadUint8(&version) || version != wireVersion || !s.ReadUint8LengthPrefixed(&challenge) ||
		!s.ReadUint16LengthPrefixed(&share) || !s.CopyBytes(key) || !s.CopyBytes(e.commitment[:]) ||
		!s.ReadUint8LengthPrefixed(&hardware) || !s.ReadUint16LengthPrefixed(&attestation) {
		return nil, fmt.Errorf("%w: enrolment", ErrMalformed)
	}
	e.body = bytes.Clone(plaintext[:len(plaintext)-len(s)])
	if !s.ReadUint8LengthPrefixed(&signature) || !s.Empty() || len(attestation) > maxAttestation {
		return nil, fmt.Errorf("%w: enrolment", ErrMalformed)
	}
	var err error
	if e.challenge, err = parseChallenge(challenge); err != nil {
		return nil, err
	}
	if e.challenge.purpose != forEnrolment {
		return nil, fmt.Errorf("%w: challenge of another purpose", ErrMalformed)
	}
	e.hardware, e.attestation, e.signature = bytes.Clone(hardware), bytes.Clone(attestation), bytes.Clone(signature)
	if len(hardware) == 0 && len(attestation)+len(signature) > 0 {
		return nil, fmt.Errorf("%w: attestation without a key", ErrMalformed)
	}
	e.share, e.authKey = hide(bytes.Clone(share)), newSecret(key)
	return e, nil
}

func (e *enrollment) wipe() {
	clear(e.share())
	clear(e.body)
	e.authKey.wipe()
}

// firstChain is where the chain of a key begins.
func firstChain(sealedEnrollment []byte) hash { return sha256.Sum256(sealedEnrollment) }
