package splitkey

// hidden keeps a secret in a closure, the one kind of Go value that reflection cannot
// look into. A pointer is not enough: fmt prints what a pointer field points to where
// the verb does not fit it (%s of a struct around a pointer becomes
// "%!s(*T=&{...})"), and printers for debugging follow pointers everywhere. The types
// that hold secrets have a Format method besides, for output that is worth reading.
type hidden[T any] func() T

func hide[T any](v T) hidden[T] { return func() T { return v } }
