package bolt

import (
	"fmt"

	"github.com/tandem-rsa/tandem/service/stores/internal/checked"
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
	recordLabel  = "tandem bolt record 2"
	recordHeader = checked.Header
	lastVersion  = checked.LastVersion
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
	return checked.Record{Version: r.version, Value: r.value}.Encode(recordLabel, key)
}

// parseRecord reads what encode wrote for this key. The value is b's memory.
func parseRecord(key, b []byte) (record, error) {
	r, err := checked.Parse(recordLabel, key, b)
	if err != nil {
		return record{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return record{r.Version, r.Value}, nil
}
