// Package checked encodes a store's records with a checksum, so that what a disk or a
// memory flips becomes an error, and never another count of wrong PINs.
//
// The checksum is the first half of a SHA-256. It is no secret: whoever can write to a
// store can make it. It covers the key under which a record is stored, the version and
// the value, so that a record that turns up under another key is damaged, too.
package checked

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

const (
	sumLength = 16

	// Header is how many bytes an encoded record has more than its value.
	Header = 8 + sumLength

	// LastVersion is the highest version that a record may have.
	LastVersion = math.MaxInt64
)

// ErrDamaged is the error for what Encode has not written under this key.
var ErrDamaged = errors.New("checked: damaged record")

// Record is what is stored under a key.
type Record struct {
	Version uint64
	Value   []byte
}

// Encode returns the stored form: the version (8 bytes, big-endian), the checksum (16)
// and the value. The label says which store and which layout, and is the same for all of
// its records.
func (r Record) Encode(label string, key []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, Header+len(r.Value)), r.Version)
	b = append(b, r.sum(label, key)...)
	return append(b, r.Value...)
}

func (r Record) sum(label string, key []byte) []byte {
	h := sha256.New()
	h.Write([]byte(label))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(key))))
	h.Write(key)
	h.Write(binary.BigEndian.AppendUint64(nil, r.Version))
	h.Write(r.Value)
	return h.Sum(nil)[:sumLength]
}

// Parse reads what Encode wrote for this label and key, or returns [ErrDamaged]. The
// value is b's memory.
func Parse(label string, key, b []byte) (Record, error) {
	if len(b) < Header || len(b) > Header+limiter.MaxValue {
		return Record{}, fmt.Errorf("%w: %d bytes", ErrDamaged, len(b))
	}
	r := Record{binary.BigEndian.Uint64(b), b[Header:]}
	if string(r.sum(label, key)) != string(b[8:Header]) {
		return Record{}, fmt.Errorf("%w: wrong checksum", ErrDamaged)
	}
	if r.Version < 1 || r.Version > LastVersion {
		return Record{}, fmt.Errorf("%w: version %d", ErrDamaged, r.Version)
	}
	return r, nil
}
