package protocol

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

const (
	maxSalt    = 1 << 10
	maxPartial = 1 << 10 // bytes of a modulus of 8192 bits
)

// request is the plaintext of every request but an enrolment.
//
//	length  content
//	1       version: 2
//	1       operation, as in the envelope
//	1+n     challenge
//	8       number of the request; of a Cancel: of the request that it cancels; of a Report: 0
//	32      current token; of a Report: 0
//	32      chain; of a Report: 0
//	32      commitment to the next token; of a Cancel: SHA-256 of the sealed request that it
//	        cancels; of a Report: 0
//	1       hash function: 1 to 6, 0 except to sign
//	1       padding: 1 PKCS #1 v1.5, 2 PSS, 0 except to sign
//	1       documents: 1 to 64 to sign, 1 to confirm and to change the PIN, else 0
//	2       length of each salt, 0 except for PSS
//	2       length of each partial signature: of exactly k1 bytes; 0 without documents
//	-       for each document: digest (empty except to sign), salt, partial signature
//	1+n     empty, or a signature of 64 bytes by the key of the phone's hardware
//	32      HMAC-SHA256 under K_dev of the key id and all of the above
type request struct {
	op        Operation
	challenge *challenge
	number    uint64
	token     secret
	chain     hash
	target    hash // commitment, or what a Cancel cancels
	messages  messages
	salts     [][]byte
	partials  [][]byte
	body      []byte // what the hardware signs
	hardware  []byte
	mac       [sha256.Size]byte
}

// Format hides the token and the partial signatures.
func (r request) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "protocol.request(%v, hidden)", r.op) }

// encode writes, signs and authenticates the request. hardware is nil where the key has none.
func (r *request) encode(authKey secret, id KeyID, hardware *hardwareSigner) ([]byte, error) {
	var salt, partial int
	if len(r.partials) > 0 {
		salt, partial = len(r.salts[0]), len(r.partials[0])
	}
	// Room for all of it, the MAC included: what grows leaves what it had, the partial signatures, behind.
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, 512+len(r.partials)*(r.messages.digestSize()+salt+partial)))
	b.AddUint8(wireVersion)
	b.AddUint8(uint8(r.op))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(r.challenge.raw[:]) })
	b.AddUint64(r.number)
	b.AddBytes(r.token.bytes())
	b.AddBytes(r.chain[:])
	b.AddBytes(r.target[:])
	b.AddUint8(r.messages.hash)
	b.AddUint8(uint8(r.messages.padding))
	b.AddUint8(uint8(len(r.partials)))
	b.AddUint16(uint16(salt))
	b.AddUint16(uint16(partial))
	for i := range r.partials {
		if len(r.messages.digests) > 0 {
			b.AddBytes(r.messages.digests[i])
		}
		b.AddBytes(r.salts[i])
		b.AddBytes(r.partials[i])
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

func requestMAC(authKey secret, id KeyID, body ...[]byte) []byte {
	mac := hmac.New(sha256.New, authKey.bytes())
	mac.Write([]byte("tandem v2 request"))
	mac.Write(id[:])
	for _, part := range body {
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// authentic reports whether the holder of K_dev made the request.
func (r *request) authentic(authKey secret, id KeyID) bool {
	return hmac.Equal(r.mac[:], requestMAC(authKey, id, r.body, []byte{byte(len(r.hardware))}, r.hardware))
}

func parseRequest(plaintext []byte) (*request, error) {
	r := new(request)
	s := cryptobyte.String(plaintext)
	malformed := fmt.Errorf("%w: request", ErrMalformed)
	var version, op, padded, documents uint8
	var salt, partial uint16
	var challenge, hardware cryptobyte.String
	var token []byte
	if !s.ReadUint8(&version) || version != wireVersion || !s.ReadUint8(&op) || !s.ReadUint8LengthPrefixed(&challenge) ||
		!s.ReadUint64(&r.number) || !s.ReadBytes(&token, secretSize) || !s.CopyBytes(r.chain[:]) || !s.CopyBytes(r.target[:]) ||
		!s.ReadUint8(&r.messages.hash) || !s.ReadUint8(&padded) || !s.ReadUint8(&documents) ||
		!s.ReadUint16(&salt) || !s.ReadUint16(&partial) {
		return nil, malformed
	}
	r.op, r.token, r.messages.padding = Operation(op), newSecret(token), padding(padded)
	if !r.messages.valid() || documents > MaxDocuments || salt > maxSalt || partial > maxPartial {
		return nil, malformed
	}
	for range documents {
		var digest, saltBytes, y []byte
		if !s.ReadBytes(&digest, r.messages.digestSize()) || !s.ReadBytes(&saltBytes, int(salt)) || !s.ReadBytes(&y, int(partial)) {
			return nil, malformed
		}
		if r.messages.hash != 0 {
			r.messages.digests = append(r.messages.digests, bytes.Clone(digest))
		}
		r.salts, r.partials = append(r.salts, bytes.Clone(saltBytes)), append(r.partials, bytes.Clone(y))
	}
	r.body = bytes.Clone(plaintext[:len(plaintext)-len(s)])
	if !s.ReadUint8LengthPrefixed(&hardware) || len(hardware) != 0 && len(hardware) != hardwareSignatureSize ||
		!s.CopyBytes(r.mac[:]) || !s.Empty() {
		return nil, malformed
	}
	r.hardware = bytes.Clone(hardware)
	var err error
	if r.challenge, err = parseChallenge(challenge); err != nil {
		return nil, err
	}
	return r, r.check(int(documents), int(salt), int(partial))
}

// check refuses what no operation can mean.
func (r *request) check(documents, salt, partial int) error {
	signs, proves := r.op == OpSign, r.op == OpConfirm || r.op == OpChangePIN
	zero := r.number == 0 && r.chain == hash{} && r.target == hash{} && *r.token() == [secretSize]byte{}
	switch {
	case r.op < OpConfirm || r.op > OpReport,
		(r.op == OpReport) != (r.number == 0),
		r.op == OpReport && !zero,
		signs != (r.messages.padding != noPadding),
		signs && documents == 0,
		proves && documents != 1,
		!signs && !proves && documents != 0,
		(documents == 0) != (partial == 0),
		salt > 0 && r.messages.padding != pss:
		return fmt.Errorf("%w: fields that do not go together", ErrMalformed)
	}
	return r.checkPurpose()
}

// checkPurpose refuses a challenge for something else. A Cancel and a Report take any
// challenge of the key: they settle no PIN and no document.
func (r *request) checkPurpose() error {
	p := r.challenge.purpose
	if p == forEnrolment || !r.op.withoutNumber() && (r.op == OpSign) != (p == forTransaction) {
		return fmt.Errorf("%w: challenge for another purpose", ErrMalformed)
	}
	return nil
}

// subject is the hash of the request that is settled by this one: itself, or what it cancels.
func (r *request) subject(own hash) hash {
	if r.op == OpCancel {
		return r.target
	}
	return own
}

// signed is what the partial signatures sign.
func (r *request) signed() messages {
	if r.op == OpSign {
		return r.messages
	}
	return ownMessage(r.op, r.challenge.raw[:])
}

func (r *request) wipe() {
	clearAll(r.partials)
	clear(r.body)
	r.token.wipe()
}

func clearAll(all [][]byte) {
	for _, b := range all {
		clear(b)
	}
}

// nextChain is what both sides make of the chain when a request is settled or cancelled.
func nextChain(chain, subject hash, f fate) hash {
	sum := sha256.New()
	sum.Write([]byte("tandem v2 chain"))
	sum.Write(chain[:])
	sum.Write(subject[:])
	sum.Write([]byte{byte(f)})
	return hash(sum.Sum(nil))
}
