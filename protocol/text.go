package protocol

import "fmt"

// named is an enumeration whose String names each value from first to last.
type named interface {
	~uint8
	fmt.Stringer
}

func marshalName[T named](v, first, last T) ([]byte, error) {
	if v < first || v > last {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, v)
	}
	return []byte(v.String()), nil
}

func unmarshalName[T named](v *T, text []byte, first, last T) error {
	if v == nil {
		return errNothing
	}
	for known := first; known <= last; known++ {
		if known.String() == string(text) {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("%w: %q is no %T", ErrMalformed, text, *v)
}

// MarshalText returns what String does, for JSON and logs.
func (c Condition) MarshalText() ([]byte, error) { return marshalName(c, Pending, Destroyed) }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (c *Condition) UnmarshalText(text []byte) error {
	return unmarshalName(c, text, Pending, Destroyed)
}

// MarshalText returns what String does, for JSON and logs.
func (r Reason) MarshalText() ([]byte, error) { return marshalName(r, ReasonPIN, ReasonExpired) }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (r *Reason) UnmarshalText(text []byte) error {
	return unmarshalName(r, text, ReasonPIN, ReasonExpired)
}

// MarshalText returns what String does, for JSON and logs.
func (p Phase) MarshalText() ([]byte, error) { return marshalName(p, NoKey, Superseded) }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (p *Phase) UnmarshalText(text []byte) error { return unmarshalName(p, text, NoKey, Superseded) }

// MarshalText returns what String does, for JSON and logs.
func (o Operation) MarshalText() ([]byte, error) { return marshalName(o, OpEnroll, OpReport) }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (o *Operation) UnmarshalText(text []byte) error {
	return unmarshalName(o, text, OpEnroll, OpReport)
}
