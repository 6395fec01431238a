// Package isnil tells interface values that hold nothing: those that are nil, and those
// that hold a nil pointer, map, slice, channel or function. Constructors refuse both, so
// that the second kind is an error where it is given and no crash where it is used.
package isnil

import "reflect"

// Value reports whether v is nil or holds a nil.
func Value(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Chan, reflect.Func, reflect.Map, reflect.Pointer, reflect.Slice, reflect.UnsafePointer:
		return r.IsNil()
	}
	return false
}
