package limiter

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/tandem-rsa/tandem/internal/isnil"
)

// Lister is what a [Store] may also offer: the ids of its records, page by page, for a
// caller that visits all of them, such as a sweep of unconfirmed enrolments. Counting an
// attempt does not need it.
//
// Package storetest tests an implementation of it together with the Store.
type Lister interface {
	// List returns ids that begin with prefix and come after the id after, in ascending
	// order of their bytes, each once: the first ones there are, at most limit of them.
	// It may return fewer; only an empty page says that no more are left. An empty prefix
	// is the prefix of every id, and every id comes after an empty after.
	//
	// A page is linearizable like a Load: it has every id in its range whose Create
	// returned before List was called. Since no id is ever removed, pages that begin
	// where the last one ended list every id that was there at the start exactly once. An
	// id that is created meanwhile may be listed.
	//
	// A prefix or an after of more than [MaxID] bytes, or a limit below 1, is [ErrLimit].
	// A call with a context that is already done returns the context's error.
	List(ctx context.Context, prefix, after string, limit int) (ids []string, err error)
}

// listPage is how many ids IDs asks for at once.
const listPage = 256

// IDs ranges over the ids that begin with prefix, in ascending order, a page at a time.
// It ends after an error. An id and an error never come together. Every id that was there
// at the start comes exactly once, whatever is written meanwhile.
func IDs(ctx context.Context, l Lister, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if ctx == nil || isnil.Value(l) {
			yield("", errNothing)
			return
		}
		after := ""
		for {
			page, err := l.List(ctx, prefix, after, listPage)
			if err != nil {
				yield("", err)
				return
			}
			if len(page) == 0 {
				return
			}
			for _, id := range page {
				// A store that repeats a page would keep a sweep busy for ever.
				if id <= after || !strings.HasPrefix(id, prefix) {
					yield("", fmt.Errorf("limiter: store lists %q after %q, with prefix %q", id, after, prefix))
					return
				}
				if after = id; !yield(id, nil) {
					return
				}
			}
		}
	}
}

// CheckList returns [ErrLimit] if no [Lister] may accept the arguments of List. It is for
// implementations.
func CheckList(prefix, after string, limit int) error {
	switch {
	case len(prefix) > MaxID:
		return fmt.Errorf("%w: prefix has %d bytes, want at most %d", ErrLimit, len(prefix), MaxID)
	case len(after) > MaxID:
		return fmt.Errorf("%w: id has %d bytes, want at most %d", ErrLimit, len(after), MaxID)
	case limit < 1:
		return fmt.Errorf("%w: a page of %d ids, want at least 1", ErrLimit, limit)
	}
	return nil
}
