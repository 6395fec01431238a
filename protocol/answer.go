package protocol

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// code says what an answer is.
type code uint8

const (
	codeEnrolled    code = 1  // key is pending
	codeKeyRefused  code = 2  // enrolment refused for good
	codeRight       code = 3  // PIN right, or token refreshed: settled
	codeWrong       code = 4  // wrong PIN, counted: settled
	codeLocked      code = 5  // not looked at
	codeDestroyed   code = 6  // for ever
	codeExpired     code = 7  // not looked at, and will not be
	codeCancelled   code = 8  // never to be looked at: settled
	codeUnconfirmed code = 9  // not looked at: confirm first
	codeRejected    code = 10 // cannot be carried out
	codeLater       code = 11 // not settled, or settled and not finished: send the same again
	codeSuperseded  code = 12 // another request has this number, or a later one was settled
)

// refusal is the reason of a codeKeyRefused.
type refusal uint8

const (
	refusedModulus  refusal = 1
	refusedEnrolled refusal = 2
	refusedFactor   refusal = 3
	refusedLength   refusal = 4
	refusedSmall    refusal = 5
	refusedHardware refusal = 6
)

func (r refusal) String() string {
	switch r {
	case refusedModulus:
		return "its modulus is too short or too long, even, or has a small factor, or its share is malformed"
	case refusedEnrolled:
		return "it is enrolled already"
	case refusedFactor:
		return "its modulus has a factor in common with the server's, or its exponent is another"
	case refusedLength:
		return "its modulus is longer or shorter than the server's"
	case refusedSmall:
		return "its modulus is too small to make one of full length with the server's"
	case refusedHardware:
		return "the service does not accept its hardware key, or wants one"
	}
	return fmt.Sprintf("refusal(%d)", uint8(r))
}

// answer is the plaintext of a response.
//
//	length  content
//	1       version: 2
//	1       code
//	1+n     challenge of the device's own use: for Confirm after an enrolment, for a Report
//	        with the codes 6 and 12 and a wrong PIN that was the last; else empty
//	3+n     body, by code:
//	        1 enrolled     2+n modulus n, 4 exponent e of the final key; 8 until when it can
//	                       be confirmed
//	        2 key refused  1 reason
//	        3 right        1 number of signatures, 2 length of each, the signatures; none for
//	                       a refresh and for a Cancel
//	        4 wrong PIN    1 tries until the next lock, 1 in all, 8 locked until (0: not)
//	        5 locked       8 until
//	        6 destroyed    1 reason
//	        others         nothing
//	2+n     key document, if the request was encrypted to another key than the one that it names
type answer struct {
	code       code
	challenge  []byte
	public     rsa.PublicKey // of codeEnrolled
	confirmBy  int64         // likewise
	refusal    refusal
	signatures [][]byte
	verdict    verdict
	reason     Reason
	document   []byte
}

// hasChallenge reports whether the answer is one that the device acts on with a request of its
// own.
func (a *answer) hasChallenge() bool {
	return a.code == codeEnrolled || a.code == codeSuperseded || a.code == codeDestroyed || a.code == codeWrong && a.verdict.total == 0
}

// verdict is what is kept and sent of a wrong PIN or a lock.
type verdict struct {
	remaining, total uint8
	until            int64 // milliseconds, 0 if not locked
}

func (v verdict) append(b *cryptobyte.Builder) {
	b.AddUint8(v.remaining)
	b.AddUint8(v.total)
	b.AddUint64(uint64(v.until))
}

func (v *verdict) read(s *cryptobyte.String) bool {
	var until uint64
	ok := s.ReadUint8(&v.remaining) && s.ReadUint8(&v.total) && s.ReadUint64(&until) && until <= maxUntil
	v.until = int64(until)
	return ok
}

// maxUntil is the end of the longest lock that begins at maxTime.
const maxUntil = maxTime + uint64(limiter.MaxLock/time.Millisecond)

func (v verdict) wrongPIN() *limiter.WrongPINError {
	e := &limiter.WrongPINError{Remaining: int(v.remaining), RemainingTotal: int(v.total)}
	if v.until != 0 {
		e.LockedUntil = time.UnixMilli(v.until).UTC()
	}
	return e
}

func (v verdict) locked() *limiter.LockedError {
	return &limiter.LockedError{Until: time.UnixMilli(v.until).UTC()}
}

func (a *answer) encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(wireVersion)
	b.AddUint8(uint8(a.code))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.challenge) })
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		switch a.code {
		case codeEnrolled:
			appendPublicKey(b, &a.public)
			b.AddUint64(uint64(a.confirmBy))
		case codeKeyRefused:
			b.AddUint8(uint8(a.refusal))
		case codeRight:
			a.appendSignatures(b)
		case codeWrong:
			a.verdict.append(b)
		case codeLocked:
			b.AddUint64(uint64(a.verdict.until))
		case codeDestroyed:
			b.AddUint8(uint8(a.reason))
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.document) })
	return b.Bytes()
}

func (a *answer) appendSignatures(b *cryptobyte.Builder) {
	size := 0
	if len(a.signatures) > 0 {
		size = len(a.signatures[0])
	}
	b.AddUint8(uint8(len(a.signatures)))
	b.AddUint16(uint16(size))
	for _, signature := range a.signatures {
		b.AddBytes(signature)
	}
}

func (a *answer) readSignatures(s *cryptobyte.String) bool {
	var count uint8
	var size uint16
	if !s.ReadUint8(&count) || !s.ReadUint16(&size) || count > MaxDocuments || size > 16384/8 || (count == 0) != (size == 0) {
		return false
	}
	for range count {
		var signature []byte
		if !s.ReadBytes(&signature, int(size)) {
			return false
		}
		a.signatures = append(a.signatures, bytes.Clone(signature))
	}
	return true
}

func appendPublicKey(b *cryptobyte.Builder, pub *rsa.PublicKey) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(pub.N.Bytes()) })
	b.AddUint32(uint32(pub.E))
}

// readPublicKey reads a final key: of 2048 to 16384 bits, with no leading zero byte.
func readPublicKey(s *cryptobyte.String, pub *rsa.PublicKey) bool {
	var n cryptobyte.String
	var e uint32
	if !s.ReadUint16LengthPrefixed(&n) || !s.ReadUint32(&e) || len(n) < 2048/8 || len(n) > 16384/8 ||
		n[0] == 0 || n[len(n)-1]&1 == 0 || e < 3 || e&1 == 0 || e > 1<<31-1 {
		return false
	}
	pub.N, pub.E = new(big.Int).SetBytes(n), int(e)
	return true
}

func parseAnswer(plaintext []byte) (*answer, error) {
	a := new(answer)
	s := cryptobyte.String(plaintext)
	var version, c uint8
	var challenge, document cryptobyte.String
	var length uint32
	var body []byte
	if !s.ReadUint8(&version) || version != wireVersion || !s.ReadUint8(&c) || !s.ReadUint8LengthPrefixed(&challenge) ||
		!s.ReadUint24(&length) || !s.ReadBytes(&body, int(length)) || !s.ReadUint16LengthPrefixed(&document) || !s.Empty() {
		return nil, fmt.Errorf("%w: answer", ErrMalformed)
	}
	a.code = code(c)
	rest := cryptobyte.String(body)
	if !a.readBody(&rest) || !rest.Empty() || !a.readChallenge(challenge) {
		return nil, fmt.Errorf("%w: body of an answer", ErrMalformed)
	}
	if len(document) != 0 && len(document) != KeyDocumentSize {
		return nil, fmt.Errorf("%w: key document in an answer", ErrMalformed)
	}
	a.document = bytes.Clone(document)
	return a, nil
}

func (a *answer) readChallenge(raw []byte) bool {
	if !a.hasChallenge() {
		return len(raw) == 0
	}
	c, err := parseChallenge(raw)
	a.challenge = bytes.Clone(raw)
	return err == nil && c.purpose == forOwnUse
}

func (a *answer) readBody(s *cryptobyte.String) bool {
	var one uint8
	var until uint64
	switch a.code {
	case codeEnrolled:
		ok := readPublicKey(s, &a.public) && s.ReadUint64(&until)
		a.confirmBy = int64(until)
		return ok && until <= maxUntil
	case codeKeyRefused:
		ok := s.ReadUint8(&one)
		a.refusal = refusal(one)
		return ok && a.refusal >= refusedModulus && a.refusal <= refusedHardware
	case codeRight:
		return a.readSignatures(s)
	case codeWrong:
		return a.verdict.read(s)
	case codeLocked:
		ok := s.ReadUint64(&until)
		a.verdict.until = int64(until)
		return ok && until > 0 && until <= maxUntil
	case codeDestroyed:
		ok := s.ReadUint8(&one)
		a.reason = Reason(one)
		return ok && a.reason.valid()
	}
	return a.code >= codeExpired && a.code <= codeSuperseded
}

// err is the answer as the device's caller sees it: nil for codeEnrolled and codeRight.
func (a *answer) err() error {
	switch a.code {
	case codeEnrolled, codeRight:
		return nil
	case codeKeyRefused:
		return fmt.Errorf("%w: %v", ErrKeyRefused, a.refusal)
	case codeWrong:
		return a.verdict.wrongPIN()
	case codeLocked:
		return a.verdict.locked()
	case codeDestroyed:
		return &DestroyedError{a.reason}
	case codeExpired:
		return ErrExpired
	case codeCancelled:
		return ErrCancelled
	case codeUnconfirmed:
		return ErrUnconfirmed
	case codeRejected:
		return ErrRejected
	case codeLater:
		return fmt.Errorf("%w: the server asks to try again", ErrUnanswered)
	}
	return ErrSuperseded
}
