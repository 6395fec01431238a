package protocol

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// wireVersion is the version byte of everything that this package encodes.
const wireVersion = 2

const (
	// MaxRequest is the longest request in bytes: of 64 documents for a device's key of 4096
	// bits. One document takes 2 KiB. A transport need not carry more.
	MaxRequest = 128 << 10
	// MaxResponse is the longest response in bytes.
	MaxResponse = 128 << 10

	// maxTime is 9999-12-31T23:59:59.999Z in milliseconds since 1970, as in package limiter.
	maxTime = 253402300799999
)

// Operation is what a request asks for.
type Operation uint8

const (
	OpEnroll    Operation = 1 // Device.Enroll
	OpConfirm   Operation = 2 // Device.Confirm
	OpSign      Operation = 3 // Device.Sign
	OpRefresh   Operation = 4 // Device.Refresh
	OpChangePIN Operation = 5 // Device.ChangePIN
	OpCancel    Operation = 6 // Device.Cancel
	OpReport    Operation = 7 // Device.Report
)

var operationNames = [...]string{
	OpEnroll: "enroll", OpConfirm: "confirm", OpSign: "sign", OpRefresh: "refresh",
	OpChangePIN: "change pin", OpCancel: "cancel", OpReport: "report",
}

func (o Operation) valid() bool { return o >= OpEnroll && int(o) < len(operationNames) }

// withoutNumber reports whether a request is one of those that take no number.
func (o Operation) withoutNumber() bool { return o == OpCancel || o == OpReport }

// String is the name in HPKE's info.
func (o Operation) String() string {
	if !o.valid() {
		return fmt.Sprintf("Operation(%d)", uint8(o))
	}
	return operationNames[o]
}

func (o Operation) info() []byte { return []byte("tandem v2 " + o.String()) }

// The HPKE suite (RFC 9180): MLKEM768-X25519 (draft-ietf-hpke-pq) against whoever records
// today and computes later.
var (
	kem  = hpke.MLKEM768X25519()
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

const (
	encSize      = 1120 // of MLKEM768-X25519: an ML-KEM-768 ciphertext and an X25519 share
	publicSize   = 1216
	tagSize      = 16
	headerSize   = 2 + 8 + KeyIDSize
	minRequest   = headerSize + encSize + tagSize + 1
	responseSalt = 32
)

// hpkeKeyID names an HPKE key: the first 8 bytes of SHA-256 of its public key.
type hpkeKeyID [8]byte

func idOf(pub hpke.PublicKey) hpkeKeyID { return hpkeKeyIDOf(pub.Bytes()) }

func hpkeKeyIDOf(public []byte) hpkeKeyID {
	sum := sha256.Sum256(public)
	return hpkeKeyID(sum[:8])
}

// envelope is a request as it travels.
//
//	offset  length  content
//	0       1       version: 2
//	1       1       operation
//	2       8       id of the server's HPKE key
//	10      16      key id
//	26      1120    HPKE: encapsulated key
//	1146    -       HPKE: ciphertext, with its tag of 16 bytes
type envelope struct {
	op      Operation
	hpkeKey hpkeKeyID
	keyID   KeyID
	enc     []byte
	sealed  []byte
}

func parseEnvelope(request []byte) (*envelope, error) {
	if len(request) < minRequest || len(request) > MaxRequest {
		return nil, fmt.Errorf("%w: request of %d bytes", ErrMalformed, len(request))
	}
	e := new(envelope)
	s := cryptobyte.String(request)
	var version, op uint8
	if !s.ReadUint8(&version) || version != wireVersion || !s.ReadUint8(&op) || !Operation(op).valid() ||
		!s.CopyBytes(e.hpkeKey[:]) || !s.CopyBytes(e.keyID[:]) || !s.ReadBytes(&e.enc, encSize) {
		return nil, fmt.Errorf("%w: request", ErrMalformed)
	}
	e.op, e.sealed = Operation(op), s
	return e, nil
}

// reply is what both sides need to seal and open the answer to one request, and nothing else of
// the request: the device stores it while it waits.
type reply struct {
	secret  secret // exported from the request's HPKE context
	request hash
}

// Format hides the key.
func (r reply) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.reply(hidden)") }

const exportContext = "tandem v2 response"

func newReply(export func(string, int) ([]byte, error), request []byte) (reply, error) {
	key, err := export(exportContext, secretSize)
	if err != nil {
		return reply{}, err
	}
	defer clear(key)
	return reply{newSecret(key), sha256.Sum256(request)}, nil
}

// sealRequest encrypts a plaintext to the server.
func sealRequest(pub hpke.PublicKey, op Operation, id KeyID, plaintext []byte) ([]byte, reply, error) {
	enc, sender, err := hpke.NewSender(pub, kdf, aead, op.info())
	if err != nil {
		return nil, reply{}, err
	}
	sealed, err := sender.Seal(id[:], plaintext)
	if err != nil {
		return nil, reply{}, err
	}
	key := idOf(pub)
	request := append([]byte{wireVersion, byte(op)}, key[:]...)
	request = append(append(append(request, id[:]...), enc...), sealed...)
	r, err := newReply(sender.Export, request)
	return request, r, err
}

// openRequest decrypts a request with the key that it names.
func openRequest(key hpke.PrivateKey, e *envelope, request []byte) ([]byte, reply, error) {
	recipient, err := hpke.NewRecipient(e.enc, key, kdf, aead, e.op.info())
	if err != nil {
		return nil, reply{}, err
	}
	plaintext, err := recipient.Open(e.keyID[:], e.sealed)
	if err != nil {
		return nil, reply{}, err
	}
	r, err := newReply(recipient.Export, request)
	return plaintext, r, err
}

// aead is keyed as in RFC 9458, section 4.4, with the hash of the whole request (which
// contains enc) in the place of enc: each answer has a key of its own.
func (r reply) aead(salt []byte) (cipher.AEAD, []byte, error) {
	prk, err := hkdf.Extract(sha256.New, r.secret.bytes(), append(r.request[:], salt...))
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Expand(sha256.New, prk, "key", 32)
	if err != nil {
		return nil, nil, err
	}
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
	// crypto/hpke, which derives one as it is done here. This key seals this message only.
	fips140.WithoutEnforcement(func() { gcm, err = cipher.NewGCM(block) })
	return gcm, nonce, err
}

// seal encrypts an answer: version byte, 32 random bytes, AES-256-GCM ciphertext.
func (r reply) seal(plaintext []byte) ([]byte, error) {
	out := make([]byte, 1+responseSalt, 1+responseSalt+len(plaintext)+tagSize)
	out[0] = wireVersion
	rand.Read(out[1:])
	gcm, nonce, err := r.aead(out[1:])
	if err != nil {
		return nil, err
	}
	return gcm.Seal(out, nonce, plaintext, nil), nil
}

// open decrypts an answer. Whoever makes one that opens has the server's HPKE key, or a copy of
// the request's reply key.
func (r reply) open(response []byte) ([]byte, error) {
	if len(response) < 1+responseSalt+tagSize || len(response) > MaxResponse || response[0] != wireVersion {
		return nil, fmt.Errorf("%w: %d bytes", ErrAnswer, len(response))
	}
	gcm, nonce, err := r.aead(response[1 : 1+responseSalt])
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open(nil, nonce, response[1+responseSalt:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: not the server's", ErrAnswer)
	}
	return plaintext, nil
}
