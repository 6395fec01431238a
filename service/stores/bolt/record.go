package bolt

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// The file holds two buckets. Integers of this layout are big-endian.
//
//	meta     "format"  -> number of this layout, 1 byte
//	         "version" -> a record: the last version given
//	records  00        -> a record, the lower end
//	         01 || id  -> a record
//	         02        -> a record, the upper end
//
// A record is its version (8 bytes), a checksum (16) and a value. Versions are one count
// for all records, so that none ever comes back, even if a record is removed by other
// means. The two ends give every id a neighbour on each side: two neighbours that are
// there show that an id is absent, while a page may have lost records (snapshot.lookup).
var (
	metaBucket    = []byte("meta")
	recordsBucket = []byte("records")
	formatKey     = []byte("format")
	versionKey    = []byte("version")

	lowerEnd = []byte{0}
	upperEnd = []byte{2}
)

const (
	format       = 2
	idKind       = 1 // first byte of an id's key
	sumLength    = 16
	recordHeader = 8 + sumLength
	lastVersion  = math.MaxInt64
)

// recordKey is the key of an id in the records bucket.
func recordKey(id string) []byte { return append([]byte{idKind}, id...) }

// record is what is stored under a key.
type record struct {
	version uint64
	value   []byte
}

// encode returns the stored form. The checksum covers the key, so that a record that is
// found under another one is damaged, too.
func (r record) encode(key []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, recordHeader+len(r.value)), r.version)
	b = append(b, r.sum(key)...)
	return append(b, r.value...)
}

// sum is the first half of a SHA-256, against faults of the disk and of memory. It is no
// secret: whoever can write to the file can make it.
func (r record) sum(key []byte) []byte {
	h := sha256.New()
	h.Write([]byte("tandem bolt record 2"))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(key))))
	h.Write(key)
	h.Write(binary.BigEndian.AppendUint64(nil, r.version))
	h.Write(r.value)
	return h.Sum(nil)[:sumLength]
}

// parseRecord reads what encode wrote for this key. The value is b's memory.
func parseRecord(key, b []byte) (record, error) {
	if len(b) < recordHeader || len(b) > recordHeader+limiter.MaxValue {
		return record{}, fmt.Errorf("%w: a record of %d bytes", ErrDamaged, len(b))
	}
	r := record{binary.BigEndian.Uint64(b), b[recordHeader:]}
	if string(r.sum(key)) != string(b[8:recordHeader]) {
		return record{}, fmt.Errorf("%w: a record's checksum is wrong", ErrDamaged)
	}
	if r.version < 1 || r.version > lastVersion {
		return record{}, fmt.Errorf("%w: a record of version %d", ErrDamaged, r.version)
	}
	return r, nil
}
