package protocol

import (
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock"
)

// Condition is what state a key is in.
type Condition uint8

const (
	Pending   Condition = 1 // enrolled, not confirmed
	Active    Condition = 2
	Destroyed Condition = 3 // for ever; the Reason says why
)

// String returns "pending", "active" or "destroyed".
func (c Condition) String() string {
	switch c {
	case Pending:
		return "pending"
	case Active:
		return "active"
	case Destroyed:
		return "destroyed"
	}
	return fmt.Sprintf("Condition(%d)", uint8(c))
}

// record is all that the server keeps of a key: one value of the store, changed by one conditional
// write at a time.
//
//	length  content
//	1       version: 1
//	1       condition: 1 pending, 2 active, 3 destroyed
//	1       reason, if destroyed, else 0
//	8       time of enrolment, milliseconds since 1970
//	8       until when a pending key can be confirmed
//	8       latest time at which the record was written
//	8       id of the challenge key at that write
//	18      attempt counter: pinlock.State
//	2+n, 4  modulus and exponent of the final key
//	32      SHA-256 of the enrolment request
//	32      commitment to the current token
//	2+n     sealed K_dev
//	2+n     sealed share: server share, server key, Completer.Precomputed; empty once destroyed
//	2+n     ring: 0 to 32 of 51 bytes, request hash, expiry, fate, verdict
type record struct {
	condition   Condition
	reason      Reason
	created     int64
	until       int64
	latest      int64
	challenges  [8]byte
	counter     pinlock.State
	public      rsa.PublicKey
	enrollment  [sha256.Size]byte
	current     [sha256.Size]byte
	sealedKey   []byte
	sealedShare []byte
	ring        ring
}

func (r *record) encode() ([]byte, error) {
	counter, err := r.counter.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(wireVersion)
	b.AddUint8(uint8(r.condition))
	b.AddUint8(uint8(r.reason))
	b.AddUint64(uint64(r.created))
	b.AddUint64(uint64(r.until))
	b.AddUint64(uint64(r.latest))
	b.AddBytes(r.challenges[:])
	b.AddBytes(counter)
	appendPublicKey(b, &r.public)
	b.AddBytes(r.enrollment[:])
	b.AddBytes(r.current[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(r.sealedKey) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(r.sealedShare) })
	b.AddUint16LengthPrefixed(r.ring.append)
	return b.Bytes()
}

func parseRecord(value []byte) (*record, error) {
	r := new(record)
	s := cryptobyte.String(value)
	var version, condition, reason uint8
	var created, until, latest uint64
	var counter []byte
	var sealedKey, sealedShare, settled cryptobyte.String
	if !s.ReadUint8(&version) || version != wireVersion || !s.ReadUint8(&condition) || !s.ReadUint8(&reason) ||
		!s.ReadUint64(&created) || !s.ReadUint64(&until) || !s.ReadUint64(&latest) || !s.CopyBytes(r.challenges[:]) ||
		!s.ReadBytes(&counter, pinlock.StateSize) || !readPublicKey(&s, &r.public) ||
		!s.CopyBytes(r.enrollment[:]) || !s.CopyBytes(r.current[:]) ||
		!s.ReadUint16LengthPrefixed(&sealedKey) || !s.ReadUint16LengthPrefixed(&sealedShare) ||
		!s.ReadUint16LengthPrefixed(&settled) || !s.Empty() || !r.ring.read(settled) ||
		created > maxTime || until > maxUntil || latest > maxTime {
		return nil, ErrRecord
	}
	var err error
	if r.counter, err = pinlock.ParseState(counter); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	r.condition, r.reason = Condition(condition), Reason(reason)
	r.created, r.until, r.latest = int64(created), int64(until), int64(latest)
	r.sealedKey, r.sealedShare = append([]byte(nil), sealedKey...), append([]byte(nil), sealedShare...)
	dead := r.condition == Destroyed
	if r.condition < Pending || r.condition > Destroyed || dead != r.reason.valid() || !dead && r.reason != 0 ||
		dead != r.counter.Destroyed() || dead != (len(r.sealedShare) == 0) || len(r.sealedKey) == 0 {
		return nil, fmt.Errorf("%w: contradictory", ErrRecord)
	}
	return r, nil
}

// destroy erases the share, for ever. K_dev stays, so that the device can be told.
func (r *record) destroy(why Reason) {
	r.condition, r.reason = Destroyed, why
	r.counter = r.counter.Destroy()
	r.sealedShare = nil
}

// written notes the time of a write that settles no request. Under the same challenge key it never goes back.
func (r *record) written(challenges [8]byte, now int64) {
	if r.challenges != challenges {
		r.challenges, r.latest = challenges, now
	}
	r.latest = max(r.latest, now)
}

// secrets is the plaintext of the sealed share.
//
//	length  content
//	2+n     splitkey.ServerShare.Bytes
//	2+n     the KeySource's own bytes for the server key, empty for a two-prime key
//	2+n     splitkey.Completer.Precomputed, likewise
type secrets struct{ share, serverKey, precomputed []byte }

// Format hides the share.
func (s secrets) Format(f fmt.State, _ rune) { fmt.Fprint(f, "protocol.secrets(hidden)") }

func (s *secrets) encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	for _, field := range [][]byte{s.share, s.serverKey, s.precomputed} {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(field) })
	}
	return b.Bytes()
}

func parseSecrets(plaintext []byte) (*secrets, error) {
	s := cryptobyte.String(plaintext)
	var share, key, pre cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&share) || !s.ReadUint16LengthPrefixed(&key) || !s.ReadUint16LengthPrefixed(&pre) || !s.Empty() {
		return nil, fmt.Errorf("%w: sealed share", ErrRecord)
	}
	return &secrets{share, key, pre}, nil
}
