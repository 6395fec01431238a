package splitkey

import "bytes"

// hidden keeps a secret in a closure, the one kind of Go value that reflection cannot
// look into. A pointer is not enough: fmt prints what a pointer field points to where
// the verb does not fit it (%s of a struct around a pointer becomes
// "%!s(*T=&{...})"), and printers for debugging follow pointers everywhere. The types
// that hold secrets have a Format method besides, for output that is worth reading.
type hidden[T any] func() T

func hide[T any](v T) hidden[T] { return func() T { return v } }

// secretBytes is a hidden byte string that can be wiped, for all copies of the value that
// holds it at once: a copied share must not live on as one of zeros.
type secretBytes func() *[]byte

func newSecretBytes(b []byte) secretBytes {
	b = bytes.Clone(b)
	return func() *[]byte { return &b }
}

// get returns the bytes themselves, nil if there are none or they were wiped.
func (s secretBytes) get() []byte {
	if s == nil {
		return nil
	}
	return *s()
}

func (s secretBytes) wipe() {
	if s != nil {
		p := s()
		clear(*p)
		*p = nil
	}
}
