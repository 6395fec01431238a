// Package secret keeps secrets where no printer finds them: in a closure, the one kind of
// Go value that reflection cannot look into.
//
// An unexported field is not enough, since fmt prints those too. A Format method is not
// enough, since fmt does not call it on what is in an unexported field. A pointer is not
// enough, since fmt prints what it points to where the verb does not fit (%s of a struct
// around a pointer), and printers for debugging follow pointers everywhere.
//
// Types that hold a [Value] or [Bytes] need no Format method to be safe. The exported
// ones have one, for output that is worth reading.
package secret

import (
	"bytes"
	"fmt"
)

// Value holds a secret T. Its copies hold the same one. The zero Value holds the zero T.
type Value[T any] struct{ get func() T }

// Hide returns a Value that holds v.
func Hide[T any](v T) Value[T] { return Value[T]{func() T { return v }} }

// Get returns what v holds.
func (v Value[T]) Get() T {
	if v.get == nil {
		var zero T
		return zero
	}
	return v.get()
}

// Format hides what v holds, for every verb.
func (Value[T]) Format(f fmt.State, _ rune) { fmt.Fprint(f, "secret(hidden)") }

// Bytes holds bytes of its own. Wipe takes them from all copies of the Bytes at once: a
// copied share must not live on as a share of zeros. The zero Bytes holds none.
type Bytes struct{ b Value[*[]byte] }

// Own returns Bytes that hold b itself, which the caller gives away.
func Own(b []byte) Bytes { return Bytes{Hide(&b)} }

// Copy returns Bytes that hold a copy of b.
func Copy(b []byte) Bytes { return Own(bytes.Clone(b)) }

// Get returns the bytes themselves, not a copy. It returns nil if there are none, or they
// were wiped.
func (b Bytes) Get() []byte {
	if p := b.b.Get(); p != nil {
		return *p
	}
	return nil
}

// Wipe clears the bytes. It must not run at the same time as another use of them.
func (b Bytes) Wipe() {
	if p := b.b.Get(); p != nil {
		clear(*p)
		*p = nil
	}
}

// Format hides the bytes, for every verb.
func (Bytes) Format(f fmt.State, _ rune) { fmt.Fprint(f, "secret(hidden)") }
