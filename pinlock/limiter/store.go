package limiter

import (
	"context"
	"errors"
	"fmt"
)

// Limits that every [Store] accepts and enforces.
const (
	MaxID    = 255      // longest id in bytes; the shortest is 1
	MaxValue = 64 << 10 // longest value in bytes; the shortest is 0
)

var (
	// ErrNotFound is returned by Store.Load for an id that was never created.
	ErrNotFound = errors.New("limiter: not found")

	// ErrConflict is returned by Store.Create where the id exists, and by Store.Swap
	// where the version is not the current one. The call wrote nothing, and will not.
	ErrConflict = errors.New("limiter: conflict")

	// ErrLimit is returned by a Store for an id or a value of a forbidden length.
	ErrLimit = errors.New("limiter: id or value of forbidden length")
)

// Store keeps one record for each key: a value of bytes under an id, with a version.
//
// A Store is trusted never to forget a write that it confirmed: it alone stands between a
// thief and unlimited guesses (docs/scheme.md, section 12). It learns which key was used
// when, and how often wrongly.
//
// All methods may be called from any number of goroutines, processes and machines at
// once. Across all of them the records of a Store must be linearizable: each Create, Swap
// and Load takes effect at one moment between its call and its return, and all see the
// same order of these moments. In particular, a Load that begins after a Swap returned,
// no matter where, sees it or a later one. So a Store has no cache, no reads from a
// follower that may lag behind, no time to live and no eviction.
//
// Ids are 1 to [MaxID] arbitrary bytes, compared byte by byte: no case folding, no
// trimming, no normalisation, and zero bytes and invalid UTF-8 are as good as any. Values
// are 0 to [MaxValue] arbitrary bytes. Every method returns [ErrLimit] for other lengths,
// and changes nothing. Values are copied both ways: a Store neither keeps a slice that it
// was given nor hands out one that it keeps.
//
// A version is the store's own number for one write of one record, between 1 and 2^63-1
// (so that it fits a signed column). Every successful Create and Swap gives the record a
// version above every one that it had before, even if the value is the same, or the
// record was removed and created again by other means. Versions need not be consecutive
// and mean nothing between records.
//
// There is no way to delete: a record that vanishes could be created anew, with all tries
// left. A store that can list its ids is a [Lister] as well.
//
// Errors other than those named mean that the store is unreachable or broken, and that
// the result of a write is unknown: it may have happened, may happen later, or never.
// Callers then refuse the request. A method called with a context that is already done
// returns the context's error and writes nothing. A method whose context ends while it
// runs may return early, with the result of a write unknown.
//
// Package storetest tests all of this, except what only a power failure shows.
type Store interface {
	// Load returns the record's current value and version, or ErrNotFound. What it
	// returns is durable, since answers depend on it. A value whose write is not yet
	// durable must not be returned: Load waits for it, or returns the value before.
	Load(ctx context.Context, id string) (value []byte, version uint64, err error)

	// Create writes a new record, or returns ErrConflict if the id exists. Of any number
	// of simultaneous calls for one id, exactly one succeeds. When it returns nil the
	// record is durable, as after Swap.
	Create(ctx context.Context, id string, value []byte) error

	// Swap replaces the value if version is still the current one, as one atomic step.
	// Else it returns ErrConflict, also if the record does not exist. Of any number of
	// simultaneous calls with the same version, at most one succeeds.
	//
	// When it returns nil the new value is durable: it survives a crash of the process,
	// the machine and, where the store is replicated, whatever the replication is meant
	// to survive. A value in a page cache, or acknowledged by a leader alone, is not
	// durable.
	//
	// ErrConflict promises that this call has changed nothing and will not. A store that
	// repeats a write by itself after a lost connection must not report its own first
	// write as a conflict: if it cannot tell, it returns another error, which says that
	// the result is unknown.
	Swap(ctx context.Context, id string, version uint64, value []byte) error
}

// CheckRecord returns [ErrLimit] if no [Store] may accept id or value. It is for
// implementations. Load, which has no value, passes nil.
func CheckRecord(id string, value []byte) error {
	if len(id) < 1 || len(id) > MaxID {
		return fmt.Errorf("%w: id has %d bytes, want 1 to %d", ErrLimit, len(id), MaxID)
	}
	if len(value) > MaxValue {
		return fmt.Errorf("%w: value has %d bytes, want at most %d", ErrLimit, len(value), MaxValue)
	}
	return nil
}
