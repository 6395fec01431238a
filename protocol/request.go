package protocol

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

const (
	maxTokens  = 3 // see docs/protocol.md, "Tokens"
	maxGivenUp = 8
	maxSalt    = 1 << 10
	maxPartial = 1 << 10 // bytes of a modulus of 8192 bits
)

// enrollment is the plaintext of an enrolment.
//
//	length  content
//	1       version: 1
//	1+n     challenge for an enrolment
//	2+n     server share: splitkey.ServerShare.Bytes, with n1, e, sharing and d_s
//	32      K_dev
//	32      commitment to the first token
type enrollment struct {
	challenge  *challenge
	share      hidden[[]byte]
	deviceKey  secret
	commitment [sha256.Size]byte
}

// Format hides the share and K_dev.
func (e enrollment) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.enrollment(hidden)") }

func (e *enrollment) encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(wireVersion)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.challenge.raw[:]) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.share()) })
	b.AddBytes(e.deviceKey.bytes())
	b.AddBytes(e.commitment[:])
	return b.Bytes()
}

func parseEnrollment(plaintext []byte) (*enrollment, error) {
	e := new(enrollment)
	s := cryptobyte.String(plaintext)
	var version uint8
	var challenge, share cryptobyte.String
	key := make([]byte, secretSize)
	if !s.ReadUint8(&version) || version != wireVersion || !s.ReadUint8LengthPrefixed(&challenge) ||
		!s.ReadUint16LengthPrefixed(&share) || !s.CopyBytes(key) || !s.CopyBytes(e.commitment[:]) || !s.Empty() {
		return nil, fmt.Errorf("%w: enrolment", ErrMalformed)
	}
	var err error
	if e.challenge, err = parseChallenge(challenge); err != nil {
		return nil, err
	}
	e.share, e.deviceKey = hide(bytes.Clone(share)), newSecret(key)
	return e, nil
}

// givenUp names a request that the device will not repeat.
type givenUp struct {
	request [sha256.Size]byte
	expires int64
}

// attempt is the plaintext of every request after the enrolment.
//
//	length  content
//	1       version: 1
//	1       operation, as in the envelope
//	1+n     challenge
//	1       hash function: 1 to 6, 0 except to sign
//	1       padding: 1 PKCS #1 v1.5, 2 PSS, 0 except to sign
//	1+n     digest, empty except to sign
//	2+n     salt, of PSS only
//	2+n     partial signature y, of exactly k1 bytes; empty for a refresh
//	1+n     tokens: 1 to 3 of 32 bytes, the oldest first
//	32      commitment to the next token
//	2+n     requests given up: 0 to 8 of 40 bytes, hash and expiry
//	32      HMAC-SHA256 under K_dev of the key id and all of the above
type attempt struct {
	op        Operation
	challenge *challenge
	text      text
	salt      []byte
	partial   []byte
	tokens    []secret
	next      [sha256.Size]byte
	givenUp   []givenUp
	body      []byte // what the MAC covers
	mac       [sha256.Size]byte
}

// Format hides tokens and the partial signature.
func (a attempt) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "protocol.attempt(%v, hidden)", a.op) }

func (a *attempt) encode(key secret, id KeyID) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(wireVersion)
	b.AddUint8(uint8(a.op))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.challenge.raw[:]) })
	a.text.append(b)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.salt) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.partial) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, t := range a.tokens {
			b.AddBytes(t.bytes())
		}
	})
	b.AddBytes(a.next[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, g := range a.givenUp {
			b.AddBytes(g.request[:])
			b.AddUint64(uint64(g.expires))
		}
	})
	body, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return append(body, deviceMAC(key, id, body)...), nil
}

func deviceMAC(key secret, id KeyID, body []byte) []byte {
	mac := hmac.New(sha256.New, key.bytes())
	mac.Write([]byte("tandem v1 request"))
	mac.Write(id[:])
	mac.Write(body)
	return mac.Sum(nil)
}

// authentic reports whether the holder of K_dev made the request.
func (a *attempt) authentic(key secret, id KeyID) bool {
	return hmac.Equal(a.mac[:], deviceMAC(key, id, a.body))
}

func parseAttempt(plaintext []byte) (*attempt, error) {
	a := new(attempt)
	s := cryptobyte.String(plaintext)
	var version, op uint8
	var challenge, salt, partial, tokens, given cryptobyte.String
	if !s.ReadUint8(&version) || version != wireVersion || !s.ReadUint8(&op) || !s.ReadUint8LengthPrefixed(&challenge) ||
		!a.text.read(&s) || !s.ReadUint16LengthPrefixed(&salt) || !s.ReadUint16LengthPrefixed(&partial) ||
		!s.ReadUint8LengthPrefixed(&tokens) || !s.CopyBytes(a.next[:]) || !s.ReadUint16LengthPrefixed(&given) ||
		len(s) != sha256.Size {
		return nil, fmt.Errorf("%w: request", ErrMalformed)
	}
	a.body = plaintext[:len(plaintext)-sha256.Size]
	copy(a.mac[:], s)
	a.op, a.salt, a.partial = Operation(op), append([]byte(nil), salt...), append([]byte(nil), partial...)
	var err error
	if a.challenge, err = parseChallenge(challenge); err != nil {
		return nil, err
	}
	if n := len(tokens) / secretSize; len(tokens)%secretSize != 0 || n < 1 || n > maxTokens {
		return nil, fmt.Errorf("%w: tokens of %d bytes", ErrMalformed, len(tokens))
	}
	for len(tokens) > 0 {
		b := make([]byte, secretSize)
		tokens.CopyBytes(b)
		a.tokens = append(a.tokens, newSecret(b))
	}
	for len(given) > 0 {
		var g givenUp
		var expires uint64
		if !given.CopyBytes(g.request[:]) || !given.ReadUint64(&expires) || expires > maxTime || len(a.givenUp) == maxGivenUp {
			return nil, fmt.Errorf("%w: requests given up", ErrMalformed)
		}
		g.expires = int64(expires)
		a.givenUp = append(a.givenUp, g)
	}
	return a, a.check()
}

// check refuses what no operation can mean.
func (a *attempt) check() error {
	signs, refreshes := a.op == OpSign, a.op == OpRefresh
	switch {
	case !a.op.valid() || a.op == OpEnroll,
		signs != (a.text.padding != noPadding),
		signs != (a.challenge.purpose == forTransaction),
		!signs && a.challenge.purpose != forOwnUse,
		len(a.salt) > 0 && a.text.padding != pss,
		len(a.salt) > maxSalt || len(a.partial) > maxPartial,
		refreshes != (len(a.partial) == 0):
		return fmt.Errorf("%w: fields that do not go together", ErrMalformed)
	}
	return nil
}

// binding is what the challenge's MAC covers beside the challenge.
func (a *attempt) binding() []byte {
	if a.op != OpSign {
		return nil
	}
	return a.text.binding()
}

// signed is what the partial signature signs.
func (a *attempt) signed() text {
	if a.op == OpSign {
		return a.text
	}
	return ownText(a.op, a.challenge.raw[:])
}

func (a *attempt) wipe() {
	clear(a.partial)
	for _, t := range a.tokens {
		t.wipe()
	}
}
