// Package enum writes and reads the names of an enumeration.
package enum

import (
	"fmt"
	"reflect"
)

// Names are the names of the values of T, by their numbers. A number without one is no
// value.
type Names[T ~uint8] []string

// String returns the name of v; of what is no value, the type and the number.
func (n Names[T]) String(v T) string {
	if n.Has(v) {
		return n[v]
	}
	return fmt.Sprintf("%s(%d)", reflect.TypeFor[T]().Name(), uint8(v))
}

// Has reports whether v is a value.
func (n Names[T]) Has(v T) bool { return int(v) < len(n) && n[v] != "" }

// Marshal returns the name of v, or an error that wraps malformed.
func (n Names[T]) Marshal(v T, malformed error) ([]byte, error) {
	if !n.Has(v) {
		return nil, fmt.Errorf("%w: %s", malformed, n.String(v))
	}
	return []byte(n.String(v)), nil
}

// Unmarshal reads what Marshal writes, and nothing else. The error wraps malformed.
func (n Names[T]) Unmarshal(v *T, text []byte, malformed error) error {
	for i, name := range n {
		if v != nil && name != "" && name == string(text) {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("%w: %q is not a %s", malformed, text, reflect.TypeFor[T]().Name())
}
