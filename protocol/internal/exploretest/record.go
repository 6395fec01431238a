package exploretest

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

const (
	pending   = 1 // the condition of a key
	active    = 2
	destroyed = 3

	forever = math.MaxInt64 // the lock of a destroyed key
)

// record is what the server's store has of a key, as docs/protocol.md, section 4, lays it
// out. It is read by code of its own, not by package server's.
type record struct {
	condition, reason uint8
	until             int64
	wrong             int   // of the counter
	at, lock          int64 // likewise
	enrollment        wire.Hash
	commitment        wire.Hash
	chain             wire.Hash
	number            uint64 // of the last request that was settled
	last              wire.Hash
	fate              wire.Fate
	verdict           wire.Verdict
	recovered         int64
	unheard           bool
	eventNumber       uint64
	events            int
	share             bool // there is one
}

var errRecord = errors.New("exploretest: not a record")

func parseRecord(value []byte) (*record, error) {
	r := new(record)
	s := cryptobyte.String(value)
	var version, unheard, fate uint8
	var until, recovered uint64
	var counter, n, hardware, events, key, share cryptobyte.String
	var c []byte
	if !s.ReadUint8(&version) || version != wire.Version || !s.ReadUint8(&r.condition) || !s.ReadUint8(&r.reason) ||
		!s.Skip(8) || !s.ReadUint64(&until) || !s.ReadBytes(&c, 18) || !s.ReadUint16LengthPrefixed(&n) || !s.Skip(4) ||
		!s.CopyBytes(r.enrollment[:]) || !s.CopyBytes(r.commitment[:]) || !s.CopyBytes(r.chain[:]) ||
		!s.ReadUint64(&r.number) || !s.CopyBytes(r.last[:]) || !s.ReadUint8(&fate) || !r.verdict.Read(&s) ||
		!s.ReadUint64(&recovered) || !s.ReadUint8(&unheard) || !s.ReadUint8LengthPrefixed(&hardware) ||
		!s.ReadUint64(&r.eventNumber) || !s.ReadUint8LengthPrefixed(&events) ||
		!s.ReadUint16LengthPrefixed(&key) || !s.ReadUint16LengthPrefixed(&share) || !s.Empty() {
		return nil, errRecord
	}
	counter = c
	var wrong uint8
	var at, lock uint64
	if !counter.Skip(1) || !counter.ReadUint8(&wrong) || !counter.ReadUint64(&at) || !counter.ReadUint64(&lock) {
		return nil, errRecord
	}
	r.until, r.recovered, r.unheard, r.fate = int64(until), int64(recovered), unheard == 1, wire.Fate(fate)
	r.wrong, r.at, r.lock = int(wrong), int64(at), int64(lock)
	r.events, r.share = len(events)/21, len(share) > 0
	return r, nil
}

// entry is one value of the store. How often it was written matters within one step only.
type entry struct {
	id      string
	value   []byte
	version uint64
}

// stored is all that the store has, sorted by id.
type stored struct {
	entries []entry
	records map[protocol.KeyID]*record
}

// pack writes the entries as one string, by which a store is known.
func pack(entries []entry) string {
	var b []byte
	for _, e := range entries {
		b = binary.AppendUvarint(b, uint64(len(e.id)))
		b = append(b, e.id...)
		b = binary.AppendUvarint(b, uint64(len(e.value)))
		b = append(b, e.value...)
	}
	return string(b)
}

func newStored(entries []entry) (*stored, error) {
	s := &stored{entries: slices.Clone(entries), records: make(map[protocol.KeyID]*record)}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.id, "key/")
		if !ok {
			continue
		}
		id, err := protocol.ParseKeyID(name)
		if err != nil {
			return nil, err
		}
		if s.records[id], err = parseRecord(e.value); err != nil {
			return nil, err
		}
	}
	return s, nil
}
