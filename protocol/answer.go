package protocol

import (
	"crypto/hpke"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock"
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
	codeGivenUp     code = 8  // the device said so itself
	codeUnconfirmed code = 9  // not looked at: confirm first
	codeRejected    code = 10 // cannot be carried out
	codeLater       code = 11 // not settled, or settled and not finished: send the same again
)

// settled reports whether the server will never decide about this request again, and the current
// token is one that the answer names.
func (c code) settled() bool { return c == codeRight || c == codeWrong }

// refusal is the reason of a codeKeyRefused.
type refusal uint8

const (
	refusedModulus  refusal = 1
	refusedEnrolled refusal = 2
	refusedFactor   refusal = 3
	refusedLength   refusal = 4
	refusedSmall    refusal = 5
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
	}
	return fmt.Sprintf("refusal(%d)", uint8(r))
}

// answer is the plaintext of a response.
//
//	length  content
//	1       version: 1
//	1       code
//	32      commitment to the current token as the server has it; zero after an enrolment
//	2+n     body, by code:
//	        1 enrolled     2+n modulus n, 4 exponent e of the final key; 1+n challenge for
//	                       Confirm; 8 until when it can be confirmed
//	        2 key refused  1 reason
//	        3 right        2+n signature; empty for a refresh
//	        4 wrong PIN    1 tries until the next lock, 1 in all, 8 locked until (0: not)
//	        5 locked       8 until
//	        6 destroyed    1 reason
//	        others         nothing
//	2+n     announcement: empty, or 8 start and 1216 bytes of the server's next HPKE key
type answer struct {
	code      code
	current   [sha256.Size]byte
	enrolled  enrolled
	refusal   refusal
	signature []byte
	verdict   verdict
	reason    Reason
	next      announcement
}

// enrolled is what the device learns by enrolling.
type enrolled struct {
	public    rsa.PublicKey
	challenge []byte
	until     int64
}

// announcement is the HPKE key that the server will use from a time on.
type announcement struct {
	start int64
	key   hpke.PublicKey // nil: nothing announced
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
const maxUntil = maxTime + uint64(pinlock.MaxLock/time.Millisecond)

func (v verdict) wrongPIN() *pinlock.WrongPINError {
	e := &pinlock.WrongPINError{Remaining: int(v.remaining), RemainingTotal: int(v.total)}
	if v.until != 0 {
		e.LockedUntil = time.UnixMilli(v.until).UTC()
	}
	return e
}

func (v verdict) locked() *pinlock.LockedError {
	return &pinlock.LockedError{Until: time.UnixMilli(v.until).UTC()}
}

func (a *answer) encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(wireVersion)
	b.AddUint8(uint8(a.code))
	b.AddBytes(a.current[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		switch a.code {
		case codeEnrolled:
			appendPublicKey(b, &a.enrolled.public)
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.enrolled.challenge) })
			b.AddUint64(uint64(a.enrolled.until))
		case codeKeyRefused:
			b.AddUint8(uint8(a.refusal))
		case codeRight:
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(a.signature) })
		case codeWrong:
			a.verdict.append(b)
		case codeLocked:
			b.AddUint64(uint64(a.verdict.until))
		case codeDestroyed:
			b.AddUint8(uint8(a.reason))
		}
	})
	b.AddUint16LengthPrefixed(a.next.append)
	return b.Bytes()
}

func (n announcement) append(b *cryptobyte.Builder) {
	if n.key != nil {
		b.AddUint64(uint64(n.start))
		b.AddBytes(n.key.Bytes())
	}
}

func (n *announcement) read(s cryptobyte.String) error {
	if s.Empty() {
		return nil
	}
	var start uint64
	if !s.ReadUint64(&start) || start > maxTime || len(s) != publicSize {
		return fmt.Errorf("%w: announced key", ErrMalformed)
	}
	key, err := kem.NewPublicKey(s)
	if err != nil {
		return fmt.Errorf("%w: announced key: %v", ErrMalformed, err)
	}
	n.start, n.key = int64(start), key
	return nil
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
	var body, next cryptobyte.String
	if !s.ReadUint8(&version) || version != wireVersion || !s.ReadUint8(&c) || !s.CopyBytes(a.current[:]) ||
		!s.ReadUint16LengthPrefixed(&body) || !s.ReadUint16LengthPrefixed(&next) || !s.Empty() {
		return nil, fmt.Errorf("%w: answer", ErrMalformed)
	}
	a.code = code(c)
	if !a.readBody(&body) || !body.Empty() {
		return nil, fmt.Errorf("%w: body of an answer", ErrMalformed)
	}
	return a, a.next.read(next)
}

func (a *answer) readBody(s *cryptobyte.String) bool {
	var one uint8
	var until uint64
	var sub cryptobyte.String
	switch a.code {
	case codeEnrolled:
		if !readPublicKey(s, &a.enrolled.public) || !s.ReadUint8LengthPrefixed(&sub) || !s.ReadUint64(&until) || until > maxTime {
			return false
		}
		c, err := parseChallenge(sub)
		a.enrolled.challenge, a.enrolled.until = append([]byte(nil), sub...), int64(until)
		return err == nil && c.purpose == forOwnUse
	case codeKeyRefused:
		ok := s.ReadUint8(&one)
		a.refusal = refusal(one)
		return ok && a.refusal >= refusedModulus && a.refusal <= refusedSmall
	case codeRight:
		ok := s.ReadUint16LengthPrefixed(&sub)
		a.signature = append([]byte(nil), sub...)
		return ok && len(sub) <= 16384/8
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
	return a.code >= codeExpired && a.code <= codeLater
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
	case codeGivenUp:
		return ErrGivenUp
	case codeUnconfirmed:
		return ErrUnconfirmed
	case codeRejected:
		return ErrRejected
	case codeLater:
		return fmt.Errorf("%w: the server asks to try again", ErrUnanswered)
	}
	return errors.New("protocol: unknown answer")
}
