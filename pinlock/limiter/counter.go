package limiter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// CounterSize is the length of an encoded [Counter] in bytes.
const CounterSize = 18

const (
	counterVersion = 1

	// forever, as a lock in milliseconds, marks a destroyed key.
	forever = math.MaxInt64

	// maxMilliseconds is 9999-12-31T23:59:59.999Z, the last time that RFC 3339 can write.
	maxMilliseconds = 253402300799999
)

// Counter is the attempt counter of one key. It is a comparable value that holds no
// secret. [Policy.Next], [Policy.Admit] and [Counter.Destroy] return changed ones.
//
// The zero Counter is a new key's, with all tries left. Its encoding has no such short
// form: [ParseCounter] refuses anything but a complete one.
type Counter struct {
	wrong uint8 // wrong PINs in a row, at most maxTries
	at    int64 // last recorded time, in milliseconds since 1970; a lock begins here
	// Length of the lock that began then, in milliseconds: 0 none, forever destroyed.
	lock int64
}

// Destroyed reports whether the key is dead for ever, so that what the counter protected
// can be erased.
//
// It looks at c alone. A stricter policy may destroy a key whose counter does not say so
// yet: ask the counter that [Policy.Admit] or [Policy.Next] returned.
func (c Counter) Destroyed() bool { return c.lock == forever }

// Destroy returns the counter of a key that died for other reasons than wrong PINs: a
// clone was detected, or the owner revoked it.
func (c Counter) Destroy() Counter {
	c.lock = forever
	return c
}

// ErrCounter is returned by [ParseCounter] for anything but an encoded Counter.
var ErrCounter = errors.New("limiter: malformed counter")

// MarshalBinary encodes c in [CounterSize] bytes. Integers are big-endian. It never
// fails.
//
//	offset  length  content
//	0       1       version: 1
//	1       1       wrong PINs in a row: 0 to 100
//	2       8       last recorded time: milliseconds since 1970-01-01T00:00:00Z, up to
//	                the year 9999
//	10      8       lock that began at that time, in milliseconds: 0 for none, 1 to
//	                315,360,000,000 (MaxLock), or 2^63-1 for a destroyed key. With no
//	                wrong PINs: 0 or 2^63-1
func (c Counter) MarshalBinary() ([]byte, error) {
	return c.AppendBinary(make([]byte, 0, CounterSize))
}

// AppendBinary appends the encoding of c to b, for a record that holds more than the
// counter. It never fails.
func (c Counter) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, counterVersion, c.wrong)
	b = binary.BigEndian.AppendUint64(b, uint64(c.at))
	return binary.BigEndian.AppendUint64(b, uint64(c.lock)), nil
}

// ParseCounter decodes what [Counter.MarshalBinary] encoded. It returns [ErrCounter] for
// anything else, including a newer version and values out of range: a counter that cannot
// be read must refuse, not start anew.
func ParseCounter(b []byte) (Counter, error) {
	if len(b) != CounterSize {
		return Counter{}, fmt.Errorf("%w: %d bytes, want %d", ErrCounter, len(b), CounterSize)
	}
	if b[0] != counterVersion {
		return Counter{}, fmt.Errorf("%w: version %d, want %d", ErrCounter, b[0], counterVersion)
	}
	wrong, at, lock := b[1], binary.BigEndian.Uint64(b[2:]), binary.BigEndian.Uint64(b[10:])
	switch {
	case wrong > maxTries:
		return Counter{}, fmt.Errorf("%w: %d wrong PINs", ErrCounter, wrong)
	case at > maxMilliseconds:
		return Counter{}, fmt.Errorf("%w: time out of range", ErrCounter)
	case lock > uint64(MaxLock.Milliseconds()) && lock != forever:
		return Counter{}, fmt.Errorf("%w: lock out of range", ErrCounter)
	case wrong == 0 && lock != 0 && lock != forever:
		return Counter{}, fmt.Errorf("%w: lock without a wrong PIN", ErrCounter)
	}
	return Counter{wrong: wrong, at: int64(at), lock: int64(lock)}, nil
}

// errClock is the error for a time before 1970 or after 9999. No attempt can be counted
// at such a time, so none is answered.
var errClock = errors.New("limiter: clock is not between the years 1970 and 9999")

// milliseconds cuts off fractions: two requests within a millisecond see the same time.
func milliseconds(t time.Time) (int64, error) {
	if t.Before(instant(0)) || !t.Before(instant(maxMilliseconds+1)) {
		return 0, errClock
	}
	return t.UnixMilli(), nil
}

// instant also takes the end of a lock, up to MaxLock after maxMilliseconds.
func instant(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
