package hsm

import (
	"context"

	"github.com/miekg/pkcs11"
)

// Ping asks the token for the wrapping key: nil means that the token answers, is logged
// in, and has the key for unwrapping. It uses no key. A token that is away is recovered
// first, as in every call.
//
// Errors: ErrUnavailable (with the context's error if that ended the wait),
// ErrKeyNotFound, ErrExposed, ErrPIN and ErrClosed.
func (p *ServerKeys) Ping(ctx context.Context) error {
	if !p.made() || ctx == nil {
		return errNothing
	}
	key := p.keys.current()
	_, err := run(ctx, p.keys.t, operation{name: "ping", proven: true}, func(s *session) (struct{}, error) {
		h, err := s.find(key.aes)
		if err != nil {
			return struct{}{}, err
		}
		// The handle may be a remembered one: this asks the token.
		return struct{}{}, s.check(h, key.aes.name, []attributeCheck{{pkcs11.CKA_UNWRAP, "CKA_UNWRAP", true}})
	})
	return err
}
