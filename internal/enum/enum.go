// Package enum writes and reads the names of an enumeration whose String names each
// value.
package enum

import "fmt"

// Type is an enumeration whose String names each value from first to last.
type Type interface {
	~uint8
	fmt.Stringer
}

// Marshal returns the name of v, or an error that wraps malformed.
func Marshal[T Type](v, first, last T, malformed error) ([]byte, error) {
	if v < first || v > last {
		return nil, fmt.Errorf("%w: %v", malformed, v)
	}
	return []byte(v.String()), nil
}

// Unmarshal reads what Marshal writes, and nothing else. The error wraps malformed.
func Unmarshal[T Type](v *T, text []byte, first, last T, malformed error) error {
	for known := first; v != nil && known <= last; known++ {
		if known.String() == string(text) {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("%w: %q is not a %T", malformed, text, first)
}
