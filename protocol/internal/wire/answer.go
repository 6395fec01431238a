package wire

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/internal/enum"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
)

// Code says what an answer is.
type Code uint8

const (
	CodeEnrolled    Code = 1  // key is pending
	CodeKeyRefused  Code = 2  // enrolment refused for good
	CodeRight       Code = 3  // PIN right, or token refreshed: settled
	CodeWrong       Code = 4  // wrong PIN, counted: settled
	CodeLocked      Code = 5  // not looked at
	CodeDestroyed   Code = 6  // for ever
	CodeExpired     Code = 7  // not looked at, and will not be
	CodeCancelled   Code = 8  // never to be looked at: settled
	CodeUnconfirmed Code = 9  // not looked at: confirm first
	CodeRejected    Code = 10 // cannot be carried out
	CodeLater       Code = 11 // not settled, or settled and not finished: send the same again
	CodeSuperseded  Code = 12 // another request has this number, or a later one was settled
)

// Refusal is the reason of a CodeKeyRefused.
type Refusal uint8

const (
	RefusedModulus  Refusal = 1
	RefusedEnrolled Refusal = 2
	RefusedFactor   Refusal = 3
	RefusedLength   Refusal = 4
	RefusedSmall    Refusal = 5
	RefusedHardware Refusal = 6
)

var refusals = enum.Names[Refusal]{
	RefusedModulus:  "its modulus is too short or too long, even, or has a small factor, or its share is malformed",
	RefusedEnrolled: "it is enrolled already",
	RefusedFactor:   "its modulus has a factor in common with the server's, or its exponent is another",
	RefusedLength:   "its modulus is longer or shorter than the server's",
	RefusedSmall:    "its modulus is too small to make one of full length with the server's",
	RefusedHardware: "the service does not accept its hardware key, or wants one",
}

// String says why the key is refused.
func (r Refusal) String() string { return refusals.String(r) }

// Answer is the plaintext of a response.
type Answer struct {
	Code       Code
	Challenge  []byte
	Parsed     *Challenge    // Challenge, as ParseAnswer read it, or nil
	Public     rsa.PublicKey // of CodeEnrolled
	ConfirmBy  int64         // likewise
	Refusal    Refusal
	Signatures [][]byte
	Verdict    Verdict
	Reason     protocol.Reason
	Document   []byte
}

// HasChallenge reports whether the answer is one that the device acts on with a request
// of its own.
func (a *Answer) HasChallenge() bool {
	return a.Code == CodeEnrolled || a.Code == CodeSuperseded || a.Code == CodeDestroyed || a.Code == CodeWrong && a.Verdict.Total == 0
}

// Verdict is what is kept and sent of a wrong PIN or a lock.
type Verdict struct {
	Remaining, Total uint8
	Until            int64 // milliseconds, 0 if not locked
}

// Append writes the verdict as answers and records have it.
func (v Verdict) Append(b *cryptobyte.Builder) {
	b.AddUint8(v.Remaining)
	b.AddUint8(v.Total)
	b.AddUint64(uint64(v.Until))
}

// Read reads what Append writes.
func (v *Verdict) Read(s *cryptobyte.String) bool {
	var until uint64
	ok := s.ReadUint8(&v.Remaining) && s.ReadUint8(&v.Total) && s.ReadUint64(&until) && until <= MaxUntil
	v.Until = int64(until)
	return ok
}

// MaxUntil is the end of the longest lock that begins at MaxTime.
const MaxUntil = MaxTime + uint64(limiter.MaxLock/time.Millisecond)

// VerdictOf is what is kept and sent of a wrong PIN.
func VerdictOf(wrong *limiter.WrongPINError) Verdict {
	v := Verdict{Remaining: uint8(wrong.Remaining), Total: uint8(wrong.RemainingTotal)}
	if !wrong.LockedUntil.IsZero() {
		v.Until = wrong.LockedUntil.UnixMilli()
	}
	return v
}

// WrongPIN is the verdict on a wrong PIN as a caller is told of it.
func (v Verdict) WrongPIN() *limiter.WrongPINError {
	e := &limiter.WrongPINError{Remaining: int(v.Remaining), RemainingTotal: int(v.Total)}
	if v.Until != 0 {
		e.LockedUntil = time.UnixMilli(v.Until).UTC()
	}
	return e
}

// Locked is the verdict on a lock as a caller is told of it.
func (v Verdict) Locked() *limiter.LockedError {
	return &limiter.LockedError{Until: time.UnixMilli(v.Until).UTC()}
}

// Encode writes the plaintext.
func (a *Answer) Encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(Version)
	b.AddUint8(uint8(a.Code))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.Challenge) })
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		switch a.Code {
		case CodeEnrolled:
			AppendPublicKey(b, &a.Public)
			b.AddUint64(uint64(a.ConfirmBy))
		case CodeKeyRefused:
			b.AddUint8(uint8(a.Refusal))
		case CodeRight:
			a.appendSignatures(b)
		case CodeWrong:
			a.Verdict.Append(b)
		case CodeLocked:
			b.AddUint64(uint64(a.Verdict.Until))
		case CodeDestroyed:
			b.AddUint8(uint8(a.Reason))
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.Document) })
	return b.Bytes()
}

func (a *Answer) appendSignatures(b *cryptobyte.Builder) {
	size := 0
	if len(a.Signatures) > 0 {
		size = len(a.Signatures[0])
	}
	b.AddUint8(uint8(len(a.Signatures)))
	b.AddUint16(uint16(size))
	for _, signature := range a.Signatures {
		b.AddBytes(signature)
	}
}

func (a *Answer) readSignatures(s *cryptobyte.String) bool {
	var count uint8
	var size uint16
	if !s.ReadUint8(&count) || !s.ReadUint16(&size) || count > protocol.MaxDocuments || size > 16384/8 || (count == 0) != (size == 0) {
		return false
	}
	for range count {
		var signature []byte
		if !s.ReadBytes(&signature, int(size)) {
			return false
		}
		a.Signatures = append(a.Signatures, bytes.Clone(signature))
	}
	return true
}

// AppendPublicKey writes a final key as answers, records and storages have it.
func AppendPublicKey(b *cryptobyte.Builder, pub *rsa.PublicKey) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(pub.N.Bytes()) })
	b.AddUint32(uint32(pub.E))
}

// ReadPublicKey reads a final key: of 256 to 2048 bytes, with no leading zero byte.
func ReadPublicKey(s *cryptobyte.String, pub *rsa.PublicKey) bool {
	var n cryptobyte.String
	var e uint32
	if !s.ReadUint16LengthPrefixed(&n) || !s.ReadUint32(&e) || len(n) < 2048/8 || len(n) > 16384/8 ||
		n[0] == 0 || n[len(n)-1]&1 == 0 || e < 3 || e&1 == 0 || e > 1<<31-1 {
		return false
	}
	pub.N, pub.E = new(big.Int).SetBytes(n), int(e)
	return true
}

// ParseAnswer reads what Encode writes, and nothing else.
func ParseAnswer(plaintext []byte) (*Answer, error) {
	a := new(Answer)
	s := cryptobyte.String(plaintext)
	var version, c uint8
	var challenge, document cryptobyte.String
	var length uint32
	var body []byte
	if !s.ReadUint8(&version) || version != Version || !s.ReadUint8(&c) || !s.ReadUint8LengthPrefixed(&challenge) ||
		!s.ReadUint24(&length) || !s.ReadBytes(&body, int(length)) || !s.ReadUint16LengthPrefixed(&document) || !s.Empty() {
		return nil, fmt.Errorf("%w: answer", protocol.ErrMalformed)
	}
	a.Code = Code(c)
	rest := cryptobyte.String(body)
	if !a.readBody(&rest) || !rest.Empty() || !a.readChallenge(challenge) {
		return nil, fmt.Errorf("%w: body of an answer", protocol.ErrMalformed)
	}
	if len(document) != 0 && len(document) != KeyDocumentSize {
		return nil, fmt.Errorf("%w: key document in an answer", protocol.ErrMalformed)
	}
	a.Document = bytes.Clone(document)
	return a, nil
}

func (a *Answer) readChallenge(raw []byte) bool {
	if !a.HasChallenge() {
		return len(raw) == 0
	}
	var err error
	a.Parsed, err = ParseChallenge(raw)
	a.Challenge = bytes.Clone(raw)
	return err == nil && a.Parsed.Purpose == ForOwnUse
}

func (a *Answer) readBody(s *cryptobyte.String) bool {
	var one uint8
	var until uint64
	switch a.Code {
	case CodeEnrolled:
		ok := ReadPublicKey(s, &a.Public) && s.ReadUint64(&until)
		a.ConfirmBy = int64(until)
		return ok && until <= MaxUntil
	case CodeKeyRefused:
		ok := s.ReadUint8(&one)
		a.Refusal = Refusal(one)
		return ok && refusals.Has(a.Refusal)
	case CodeRight:
		return a.readSignatures(s)
	case CodeWrong:
		return a.Verdict.Read(s)
	case CodeLocked:
		ok := s.ReadUint64(&until)
		a.Verdict.Until = int64(until)
		return ok && until > 0 && until <= MaxUntil
	case CodeDestroyed:
		ok := s.ReadUint8(&one)
		a.Reason = protocol.Reason(one)
		return ok && KnownReason(a.Reason)
	}
	return a.Code >= CodeExpired && a.Code <= CodeSuperseded
}
