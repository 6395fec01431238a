package wire

import (
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
)

// Version is the version byte of everything that this package encodes.
const Version = 2

// MaxTime is 9999-12-31T23:59:59.999Z in milliseconds since 1970, as in package
// pinlock/limiter.
const MaxTime = 253402300799999

// The HPKE suite (RFC 9180): MLKEM768-X25519 (draft-ietf-hpke-pq) against whoever records
// today and computes later.
var (
	KEM  = hpke.MLKEM768X25519()
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

const (
	encSize     = 1120 // of MLKEM768-X25519: an ML-KEM-768 ciphertext and an X25519 share
	HPKEKeySize = 1216
	TagSize     = 16
	headerSize  = 2 + 8 + TicketSize
	minRequest  = headerSize + encSize + TagSize + 1
)

// HPKEKeyID names an HPKE key: the first 8 bytes of SHA-256 of its public key.
type HPKEKeyID [8]byte

// HPKEKeyIDOf returns the name of a public key.
func HPKEKeyIDOf(public []byte) HPKEKeyID {
	sum := sha256.Sum256(public)
	return HPKEKeyID(sum[:8])
}

// ParseHPKEKey reads the public key that requests are encrypted to, and tries it:
// nothing can be encrypted to zeros, say.
func ParseHPKEKey(public []byte) (hpke.PublicKey, error) {
	pub, err := KEM.NewPublicKey(public)
	if err == nil {
		_, _, err = hpke.NewSender(pub, kdf, aead, nil)
	}
	return pub, err
}

// Envelope is a request as it travels.
type Envelope struct {
	Op      protocol.Operation
	HPKEKey HPKEKeyID
	Ticket  Ticket // of the request's challenge
	KeyID   protocol.KeyID

	request, enc, ciphertext []byte // the last two are HPKE's; enc is the encapsulated key
}

// ParseEnvelope reads a request as it travels. It opens nothing.
func ParseEnvelope(request []byte) (*Envelope, error) {
	if len(request) < minRequest || len(request) > protocol.MaxRequest {
		return nil, fmt.Errorf("%w: request of %d bytes", protocol.ErrMalformed, len(request))
	}
	e := new(Envelope)
	s := cryptobyte.String(request)
	var version, op uint8
	if !s.ReadUint8(&version) || version != Version || !s.ReadUint8(&op) || !KnownOperation(protocol.Operation(op)) ||
		!s.CopyBytes(e.HPKEKey[:]) || !s.CopyBytes(e.Ticket[:]) || !s.ReadBytes(&e.enc, encSize) {
		return nil, fmt.Errorf("%w: request", protocol.ErrMalformed)
	}
	e.Op, e.KeyID, e.request, e.ciphertext = protocol.Operation(op), e.Ticket.KeyID(), request, s
	return e, nil
}

// SealRequest encrypts a plaintext to the server. The ticket is that of its challenge.
func SealRequest(pub hpke.PublicKey, op protocol.Operation, ticket *Ticket, plaintext []byte) ([]byte, ResponseKey, error) {
	id := ticket.KeyID()
	enc, sender, err := hpke.NewSender(pub, kdf, aead, info(op))
	var ciphertext []byte
	if err == nil {
		ciphertext, err = sender.Seal(id[:], plaintext)
	}
	if err != nil {
		return nil, ResponseKey{}, err
	}
	recipient := HPKEKeyIDOf(pub.Bytes())
	request := append(make([]byte, 0, headerSize+len(enc)+len(ciphertext)), Version, byte(op))
	request = append(append(append(append(request, recipient[:]...), ticket[:]...), enc...), ciphertext...)
	key, err := newResponseKey(sender.Export, request)
	return request, key, err
}

// newResponseKey takes the secret from the HPKE context of a request as it travels.
func newResponseKey(export func(string, int) ([]byte, error), request []byte) (ResponseKey, error) {
	key, err := export("tandem v2 response", SecretSize)
	if err != nil {
		return ResponseKey{}, err
	}
	defer clear(key)
	return ResponseKey{NewSecret(key), sha256.Sum256(request)}, nil
}

// Opened is a request that was decrypted.
type Opened struct {
	*Envelope
	Plaintext   secret.Bytes
	ResponseKey ResponseKey
}

// Wipe clears the plaintext and the response key.
func (o *Opened) Wipe() {
	o.Plaintext.Wipe()
	o.ResponseKey.Secret.Wipe()
}

// ErrHPKE is for a request that was not encrypted to a key of the server's.
var ErrHPKE = errors.New("not for an HPKE key of the server's")

// Open decrypts the request with the one of the keys that it names. The error wraps
// [protocol.ErrMalformed] and, but for a failure of the export, ErrHPKE.
func (e *Envelope) Open(keys map[HPKEKeyID]hpke.PrivateKey) (*Opened, error) {
	key := keys[e.HPKEKey]
	if key == nil {
		return nil, fmt.Errorf("%w: %w: unknown key", protocol.ErrMalformed, ErrHPKE)
	}
	recipient, err := hpke.NewRecipient(e.enc, key, kdf, aead, info(e.Op))
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", protocol.ErrMalformed, ErrHPKE, err)
	}
	plaintext, err := recipient.Open(e.KeyID[:], e.ciphertext)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", protocol.ErrMalformed, ErrHPKE, err)
	}
	responseKey, err := newResponseKey(recipient.Export, e.request)
	if err != nil {
		clear(plaintext)
		return nil, fmt.Errorf("%w: %w", protocol.ErrMalformed, err)
	}
	return &Opened{e, secret.Own(plaintext), responseKey}, nil
}
