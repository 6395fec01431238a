package server

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// record is all that the server keeps of a key: one value of the store, changed by one
// conditional write at a time. docs/protocol.md, section 4, has its encoding.
type record struct {
	condition   Condition
	reason      protocol.Reason
	created     int64
	until       int64
	counter     limiter.Counter
	public      rsa.PublicKey
	enrollment  wire.Hash
	commitment  wire.Hash // to the current token
	chain       wire.Hash // of all requests that were settled, with their fates
	last        settled
	recovered   int64 // when the latest recovery began that charged this key; 0 if none did
	unheard     bool  // the device has not proved its PIN since
	hardware    []byte
	eventNumber uint64
	events      []event
	sealedKey   []byte // K_dev and the record key, by the Sealer
	sealedShare []byte // under the record key
}

// note puts an event behind those that are not delivered. If the record has no room,
// since the sink is down, the error is errUndelivered: until the sink takes them, this
// key can only be destroyed.
func (r *record) note(e event) error {
	if len(r.events) == maxEvents && r.condition != Destroyed {
		return errUndelivered
	}
	r.events, r.eventNumber = append(slices.Clone(r.events), e), r.eventNumber+1
	return nil
}

const recordPrefix = "key/"

// recordID is where the store keeps a key's record.
func recordID(id protocol.KeyID) string { return recordPrefix + id.String() }

// KeyOfRecord returns which key's record is under an id of the store, and false for what
// else the server keeps there. The ids of records begin with "key/". A sweep over them
// calls [Server.Expire], [Server.DeliverEvents] or [Server.Reseal] for the keys that it
// finds.
func KeyOfRecord(storeID string) (protocol.KeyID, bool) {
	name, ok := strings.CutPrefix(storeID, recordPrefix)
	if !ok {
		return protocol.KeyID{}, false
	}
	id, err := protocol.ParseKeyID(name)
	return id, err == nil
}

// settled is the last request that was settled or cancelled. The zero value stands for
// none.
type settled struct {
	number  uint64
	request wire.Hash
	fate    wire.Fate
	verdict wire.Verdict // of wire.FateWrong
}

func (l settled) append(b *cryptobyte.Builder) {
	b.AddUint64(l.number)
	b.AddBytes(l.request[:])
	b.AddUint8(uint8(l.fate))
	l.verdict.Append(b)
}

func (l *settled) read(s *cryptobyte.String) bool {
	var f uint8
	if !s.ReadUint64(&l.number) || !s.CopyBytes(l.request[:]) || !s.ReadUint8(&f) || !l.verdict.Read(s) {
		return false
	}
	l.fate = wire.Fate(f)
	if l.number == 0 {
		return *l == settled{}
	}
	return l.fate >= wire.FateRight && l.fate <= wire.FateCancelled && (l.fate == wire.FateWrong || l.verdict == wire.Verdict{})
}

func (r *record) encode() ([]byte, error) {
	counter, err := r.counter.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(wire.Version)
	b.AddUint8(uint8(r.condition))
	b.AddUint8(uint8(r.reason))
	b.AddUint64(uint64(r.created))
	b.AddUint64(uint64(r.until))
	b.AddBytes(counter)
	wire.AppendPublicKey(b, &r.public)
	b.AddBytes(r.enrollment[:])
	b.AddBytes(r.commitment[:])
	b.AddBytes(r.chain[:])
	r.last.append(b)
	b.AddUint64(uint64(r.recovered))
	unheard := uint8(0)
	if r.unheard {
		unheard = 1
	}
	b.AddUint8(unheard)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(r.hardware) })
	b.AddUint64(r.eventNumber)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, e := range r.events {
			e.append(b)
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(r.sealedKey) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(r.sealedShare) })
	return b.Bytes()
}

func parseRecord(value []byte) (*record, error) {
	r := new(record)
	s := cryptobyte.String(value)
	var version, condition, reason, unheard uint8
	var created, until, recovered uint64
	var counter []byte
	var hardware, events, sealedKey, sealedShare cryptobyte.String
	if !s.ReadUint8(&version) || version != wire.Version || !s.ReadUint8(&condition) || !s.ReadUint8(&reason) ||
		!s.ReadUint64(&created) || !s.ReadUint64(&until) ||
		!s.ReadBytes(&counter, limiter.CounterSize) || !wire.ReadPublicKey(&s, &r.public) ||
		!s.CopyBytes(r.enrollment[:]) || !s.CopyBytes(r.commitment[:]) || !s.CopyBytes(r.chain[:]) || !r.last.read(&s) ||
		!s.ReadUint64(&recovered) || !s.ReadUint8(&unheard) ||
		!s.ReadUint8LengthPrefixed(&hardware) || !s.ReadUint64(&r.eventNumber) || !s.ReadUint8LengthPrefixed(&events) ||
		!s.ReadUint16LengthPrefixed(&sealedKey) || !s.ReadUint16LengthPrefixed(&sealedShare) || !s.Empty() ||
		created > wire.MaxTime || until > wire.MaxUntil || recovered > wire.MaxTime || unheard > 1 {
		return nil, ErrRecord
	}
	var err error
	if r.counter, err = limiter.ParseCounter(counter); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if r.events, err = readEvents(events, r.eventNumber); err != nil {
		return nil, err
	}
	if r.hardware = append([]byte(nil), hardware...); len(hardware) > 0 {
		if _, err := wire.ParseHardwareKey(hardware); err != nil {
			return nil, fmt.Errorf("%w: hardware key", ErrRecord)
		}
	}
	r.condition, r.reason = Condition(condition), protocol.Reason(reason)
	r.created, r.until = int64(created), int64(until)
	r.recovered, r.unheard = int64(recovered), unheard == 1
	r.sealedKey, r.sealedShare = append([]byte(nil), sealedKey...), append([]byte(nil), sealedShare...)
	dead := r.condition == Destroyed
	if r.condition < Pending || r.condition > Destroyed || dead != wire.KnownReason(r.reason) || !dead && r.reason != 0 ||
		dead != r.counter.Destroyed() || dead != (len(r.sealedShare) == 0) || len(r.sealedKey) == 0 ||
		!dead && len(r.events) > maxEvents || r.unheard && (dead || r.recovered == 0) {
		return nil, fmt.Errorf("%w: contradictory", ErrRecord)
	}
	return r, nil
}

// over reports whether the key was not confirmed by the time at, and is not yet destroyed
// for that.
func (r *record) over(at int64) bool { return r.condition == Pending && at >= r.until }

// destroy erases the share, for ever. K_dev stays, so that the device can be told.
func (r *record) destroy(why protocol.Reason) {
	r.condition, r.reason = Destroyed, why
	r.counter = r.counter.Destroy()
	r.sealedShare, r.unheard = nil, false
}

// secrets is the plaintext of the sealed share.
type secrets struct{ share, serverKey, precomputed []byte }

// Format hides the share.
func (s secrets) Format(f fmt.State, _ rune) { fmt.Fprint(f, "server.secrets(hidden)") }

func (s *secrets) encode() ([]byte, error) {
	// Room for all of it: what grows leaves what it had, the share, behind.
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, 3*2+len(s.share)+len(s.serverKey)+len(s.precomputed)))
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
