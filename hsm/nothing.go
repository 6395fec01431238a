package hsm

import (
	"context"
	"fmt"
)

// errNothing is the error for a nil receiver, a zero value and a nil context.
var errNothing = fmt.Errorf("%w: a nil or zero value, or no context", ErrInput)

func (t *Token) made(ctx context.Context) error {
	if t == nil || t.mod == nil || ctx == nil {
		return errNothing
	}
	return nil
}

func (s *Sealer) made() bool { return s != nil && s.keys != nil }

func (p *ServerKeys) made() bool { return p != nil && p.keys != nil }
