package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/splitkey"
)

const (
	MaxSalt    = 1 << 10
	maxPartial = 1 << 10 // bytes of a modulus of 8192 bits
)

// Request is the plaintext of every request but an enrolment.
type Request struct {
	Op        protocol.Operation
	Challenge *Challenge
	Number    uint64 // one more than that of the last request that was settled
	Token     Secret // what the right PIN or Refresh before this one promised
	Chain     Hash   // of all requests that were settled, with their fates
	Target    Hash   // of a Cancel: the request to cancel; else the commitment to the next token
	Messages  Messages
	Salts     [][]byte
	Partials  [][]byte
	Hardware  []byte // the hardware's signature of Body, empty without a hardware key

	plaintext secret.Bytes // what was parsed: the body, Hardware with its length, the MAC
	bodySize  int
}

// Format hides the token and the partial signatures.
func (r Request) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "wire.Request(%v, hidden)", r.Op) }

// Seal encodes the request and encrypts it to the server. The error wraps
// splitkey.ErrMessage where it would be too long to travel.
func (r *Request) Seal(pub hpke.PublicKey, authKey Secret, id protocol.KeyID, hardware *HardwareSigner) ([]byte, ResponseKey, error) {
	plaintext, err := r.Encode(authKey, id, hardware)
	if err != nil {
		return nil, ResponseKey{}, err
	}
	defer clear(plaintext)
	if size := headerSize + encSize + len(plaintext) + TagSize; size > protocol.MaxRequest {
		return nil, ResponseKey{}, fmt.Errorf("%w: the request would have %d bytes; sign fewer documents", splitkey.ErrMessage, size)
	}
	return SealRequest(pub, r.Op, r.Challenge.Ticket(), plaintext)
}

// Encode writes, signs and authenticates the request: the body, the hardware's signature
// of it with its length, and the MAC of both. hardware is nil where the key has none.
func (r *Request) Encode(authKey Secret, id protocol.KeyID, hardware *HardwareSigner) ([]byte, error) {
	var salt, partial int
	if len(r.Partials) > 0 {
		salt, partial = len(r.Salts[0]), len(r.Partials[0])
	}
	// Room for all of it, the MAC included: what grows leaves what it had, the partial
	// signatures, behind.
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, 512+len(r.Partials)*(r.Messages.DigestSize()+salt+partial)))
	b.AddUint8(Version)
	b.AddUint8(uint8(r.Op))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(r.Challenge.Raw[:]) })
	b.AddUint64(r.Number)
	b.AddBytes(r.Token.Get())
	b.AddBytes(r.Chain[:])
	b.AddBytes(r.Target[:])
	b.AddUint8(r.Messages.Hash)
	b.AddUint8(uint8(r.Messages.Padding))
	b.AddUint8(uint8(len(r.Partials)))
	b.AddUint16(uint16(salt))
	b.AddUint16(uint16(partial))
	for i := range r.Partials {
		if len(r.Messages.Digests) > 0 {
			b.AddBytes(r.Messages.Digests[i])
		}
		b.AddBytes(r.Salts[i])
		b.AddBytes(r.Partials[i])
	}
	body, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	if body, err = hardware.append(id, body); err != nil {
		return nil, err
	}
	return append(body, requestMAC(authKey, id, body)...), nil
}

func requestMAC(authKey Secret, id protocol.KeyID, signed []byte) []byte {
	mac := hmac.New(sha256.New, authKey.Get())
	mac.Write([]byte("tandem v2 request"))
	mac.Write(id[:])
	mac.Write(signed)
	return sumAndForget(mac)
}

// Authentic reports whether the holder of K_dev made the request that was parsed.
func (r *Request) Authentic(authKey Secret, id protocol.KeyID) bool {
	p := r.plaintext.Get()
	end := len(p) - sha256.Size
	return end >= 0 && hmac.Equal(p[end:], requestMAC(authKey, id, p[:end]))
}

// Body is what the hardware signs, of a request that was parsed.
func (r *Request) Body() []byte {
	p := r.plaintext.Get()
	return p[:min(r.bodySize, len(p))]
}

// ParseRequest reads what Encode writes, and nothing else. It checks no MAC.
func ParseRequest(plaintext []byte) (*Request, error) {
	r := new(Request)
	if err := r.parse(plaintext); err != nil {
		return nil, err
	}
	return r, nil
}

// parse wipes what it has read of a request that it refuses.
func (r *Request) parse(plaintext []byte) (err error) {
	defer func() {
		if err != nil {
			r.Wipe()
		}
	}()
	s := cryptobyte.String(plaintext)
	malformed := fmt.Errorf("%w: request", protocol.ErrMalformed)
	var version, op, padded, documents uint8
	var salt, partial uint16
	var challenge, hardware cryptobyte.String
	var token []byte
	if !s.ReadUint8(&version) || version != Version || !s.ReadUint8(&op) || !s.ReadUint8LengthPrefixed(&challenge) ||
		!s.ReadUint64(&r.Number) || !s.ReadBytes(&token, SecretSize) || !s.CopyBytes(r.Chain[:]) || !s.CopyBytes(r.Target[:]) ||
		!s.ReadUint8(&r.Messages.Hash) || !s.ReadUint8(&padded) || !s.ReadUint8(&documents) ||
		!s.ReadUint16(&salt) || !s.ReadUint16(&partial) {
		return malformed
	}
	r.Op, r.Token = protocol.Operation(op), NewSecret(token)
	r.Messages.Padding, r.Messages.SaltLength = Padding(padded), int(salt)
	if !r.Messages.Valid() || documents > protocol.MaxDocuments || salt > MaxSalt || partial > maxPartial {
		return malformed
	}
	for range documents {
		var digest, saltBytes, y []byte
		if !s.ReadBytes(&digest, r.Messages.DigestSize()) || !s.ReadBytes(&saltBytes, int(salt)) || !s.ReadBytes(&y, int(partial)) {
			return malformed
		}
		if r.Messages.Hash != 0 {
			r.Messages.Digests = append(r.Messages.Digests, bytes.Clone(digest))
		}
		r.Salts, r.Partials = append(r.Salts, bytes.Clone(saltBytes)), append(r.Partials, bytes.Clone(y))
	}
	r.plaintext, r.bodySize = secret.Copy(plaintext), len(plaintext)-len(s)
	if !s.ReadUint8LengthPrefixed(&hardware) || len(hardware) != 0 && len(hardware) != hardwareSignatureSize ||
		len(s) != sha256.Size {
		return malformed
	}
	r.Hardware = bytes.Clone(hardware)
	if r.Challenge, err = ParseChallenge(challenge); err != nil {
		return err
	}
	return r.check(int(documents), int(salt), int(partial))
}

// check refuses what no operation can mean: fields that do not go together, as many
// digests as partial signatures among them, and a challenge for something else. A Cancel
// and a Report take any challenge of the key: they settle no PIN and no document.
func (r *Request) check(documents, salt, partial int) error {
	p := r.Challenge.Purpose
	signs, proves := r.Op == protocol.OpSign, r.Op == protocol.OpConfirm || r.Op == protocol.OpChangePIN
	zero := r.Number == 0 && r.Chain == Hash{} && r.Target == Hash{} && AllZero(r.Token.Get())
	switch {
	case r.Op < protocol.OpConfirm || r.Op > protocol.OpReport,
		(r.Op == protocol.OpReport) != (r.Number == 0),
		r.Op == protocol.OpReport && !zero,
		signs != (r.Messages.Padding != NoPadding),
		signs && documents == 0,
		proves && documents != 1,
		!signs && !proves && documents != 0,
		(documents == 0) != (partial == 0),
		salt > 0 && r.Messages.Padding != PSS:
		return fmt.Errorf("%w: fields that do not go together", protocol.ErrMalformed)
	}
	if p == ForEnrolment || !WithoutNumber(r.Op) && (r.Op == protocol.OpSign) != (p == ForTransaction) {
		return fmt.Errorf("%w: challenge for another purpose", protocol.ErrMalformed)
	}
	return nil
}

// Subject is the hash of the request that is settled by this one: itself, or what it
// cancels.
func (r *Request) Subject(own Hash) Hash {
	if r.Op == protocol.OpCancel {
		return r.Target
	}
	return own
}

// ToSign is what the partial signatures sign.
func (r *Request) ToSign() Messages { return ToSign(r.Op, r.Challenge, r.Messages) }

// Wipe clears the partial signatures, the token and the bytes that held them.
func (r *Request) Wipe() {
	r.WipePartials()
	r.plaintext.Wipe()
	r.Token.Wipe()
}

// WipePartials clears the partial signatures.
func (r *Request) WipePartials() {
	for _, y := range r.Partials {
		clear(y)
	}
}

// Fate is what became of a request that will not be decided about again.
type Fate uint8

const (
	FateRight     Fate = 1
	FateWrong     Fate = 2
	FateCancelled Fate = 3
)

// NextChain is what both sides make of the chain when a request is settled or cancelled.
func NextChain(chain, subject Hash, f Fate) Hash {
	sum := sha256.New()
	sum.Write([]byte("tandem v2 chain"))
	sum.Write(chain[:])
	sum.Write(subject[:])
	sum.Write([]byte{byte(f)})
	return Hash(sum.Sum(nil))
}
