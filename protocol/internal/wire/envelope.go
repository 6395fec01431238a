package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
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
	encSize      = 1120 // of MLKEM768-X25519: an ML-KEM-768 ciphertext and an X25519 share
	HPKEKeySize  = 1216
	TagSize      = 16
	headerSize   = 2 + 8 + protocol.KeyIDSize
	minRequest   = headerSize + encSize + TagSize + 1
	responseSalt = 32
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
	KeyID   protocol.KeyID
	enc     []byte
	sealed  []byte
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
		!s.CopyBytes(e.HPKEKey[:]) || !s.CopyBytes(e.KeyID[:]) || !s.ReadBytes(&e.enc, encSize) {
		return nil, fmt.Errorf("%w: request", protocol.ErrMalformed)
	}
	e.Op, e.sealed = protocol.Operation(op), s
	return e, nil
}

// Reply is what both sides need to seal and open the answer to one request, and nothing
// else of the request: the device stores it while it waits.
type Reply struct {
	Secret  Secret // exported from the request's HPKE context
	Request Hash
}

const exportContext = "tandem v2 response"

func newReply(export func(string, int) ([]byte, error), request []byte) (Reply, error) {
	key, err := export(exportContext, SecretSize)
	if err != nil {
		return Reply{}, err
	}
	defer clear(key)
	return Reply{NewSecret(key), sha256.Sum256(request)}, nil
}

// SealRequest encrypts a plaintext to the server.
func SealRequest(pub hpke.PublicKey, op protocol.Operation, id protocol.KeyID, plaintext []byte) ([]byte, Reply, error) {
	enc, sender, err := hpke.NewSender(pub, kdf, aead, info(op))
	if err != nil {
		return nil, Reply{}, err
	}
	sealed, err := sender.Seal(id[:], plaintext)
	if err != nil {
		return nil, Reply{}, err
	}
	key := HPKEKeyIDOf(pub.Bytes())
	request := append([]byte{Version, byte(op)}, key[:]...)
	request = append(append(append(request, id[:]...), enc...), sealed...)
	r, err := newReply(sender.Export, request)
	return request, r, err
}

// Opened is a request that was decrypted.
type Opened struct {
	*Envelope
	Plaintext secret.Bytes
	Reply     Reply
}

// Wipe clears the plaintext and the key of the reply.
func (o *Opened) Wipe() {
	o.Plaintext.Wipe()
	o.Reply.Secret.Wipe()
}

// ErrHPKE is for a request that was not encrypted to a key of the server's.
var ErrHPKE = errors.New("not for an HPKE key of the server's")

// OpenRequest decrypts a request with the one of the keys that it names. The error wraps
// [protocol.ErrMalformed], and ErrHPKE once the form of the request is right.
func OpenRequest(request []byte, keys map[HPKEKeyID]hpke.PrivateKey) (*Opened, error) {
	e, err := ParseEnvelope(request)
	if err != nil {
		return nil, err
	}
	key := keys[e.HPKEKey]
	if key == nil {
		return nil, fmt.Errorf("%w: %w: unknown key", protocol.ErrMalformed, ErrHPKE)
	}
	recipient, err := hpke.NewRecipient(e.enc, key, kdf, aead, info(e.Op))
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", protocol.ErrMalformed, ErrHPKE, err)
	}
	plaintext, err := recipient.Open(e.KeyID[:], e.sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", protocol.ErrMalformed, ErrHPKE, err)
	}
	reply, err := newReply(recipient.Export, request)
	if err != nil {
		clear(plaintext)
		return nil, fmt.Errorf("%w: %w", protocol.ErrMalformed, err)
	}
	return &Opened{e, secret.Own(plaintext), reply}, nil
}

// aead is keyed as in RFC 9458, section 4.4, with the hash of the whole request (which
// contains enc) in the place of enc: each answer has a key of its own.
func (r Reply) aead(salt []byte) (cipher.AEAD, []byte, error) {
	prk, err := hkdf.Extract(sha256.New, r.Secret.Get(), append(r.Request[:], salt...))
	if err != nil {
		return nil, nil, err
	}
	defer clear(prk)
	key, err := hkdf.Expand(sha256.New, prk, "key", 32)
	if err != nil {
		return nil, nil, err
	}
	defer clear(key)
	nonce, err := hkdf.Expand(sha256.New, prk, "nonce", 12)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	var gcm cipher.AEAD
	// crypto/cipher allows a nonce of the caller's in FIPS 140-only mode to nobody but
	// crypto/hpke, which derives one as it is done here. This key seals this message
	// only.
	fips140.WithoutEnforcement(func() { gcm, err = cipher.NewGCM(block) })
	return gcm, nonce, err
}

// Seal encrypts an answer: version byte, 32 random bytes, AES-256-GCM ciphertext.
func (r Reply) Seal(plaintext []byte) ([]byte, error) {
	out := make([]byte, 1+responseSalt, 1+responseSalt+len(plaintext)+TagSize)
	out[0] = Version
	rand.Read(out[1:])
	gcm, nonce, err := r.aead(out[1:])
	if err != nil {
		return nil, err
	}
	return gcm.Seal(out, nonce, plaintext, nil), nil
}

// Open decrypts an answer. Whoever makes one that opens has the server's HPKE key, or a
// copy of the request's reply key.
func (r Reply) Open(response []byte) ([]byte, error) {
	if len(response) < 1+responseSalt+TagSize || len(response) > protocol.MaxResponse || response[0] != Version {
		return nil, fmt.Errorf("%w: answer of %d bytes", protocol.ErrMalformed, len(response))
	}
	gcm, nonce, err := r.aead(response[1 : 1+responseSalt])
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open(nil, nonce, response[1+responseSalt:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: an answer that is not the server's", protocol.ErrMalformed)
	}
	return plaintext, nil
}

// SealAnswer encodes and encrypts an answer.
func (r Reply) SealAnswer(a *Answer) ([]byte, error) {
	plaintext, err := a.Encode()
	if err != nil {
		return nil, err
	}
	return r.Seal(plaintext)
}

// OpenAnswer decrypts and parses an answer. The error wraps [protocol.ErrMalformed].
func (r Reply) OpenAnswer(response []byte) (*Answer, error) {
	plaintext, err := r.Open(response)
	if err != nil {
		return nil, err
	}
	return ParseAnswer(plaintext)
}
