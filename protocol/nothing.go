package protocol

import (
	"context"
	"fmt"
)

// errNothing is what a nil receiver, a zero value and a nil context are refused with.
var errNothing = fmt.Errorf("%w: a nil or zero value, or no context", ErrConfig)

func (s *Server) made(ctx context.Context) error {
	if s == nil || s.config.Store == nil || ctx == nil {
		return errNothing
	}
	return nil
}

func (d *Device) made(ctx context.Context) error {
	if d == nil || d.config.State == nil || ctx == nil {
		return errNothing
	}
	return nil
}

func (p *KeyPool) made() bool { return p != nil && p.loaded != nil }

func (s *SoftwareSealer) made() bool { return s != nil && s.keys != nil }
