package splitkey

import (
	"fmt"

	"github.com/tandem-rsa/tandem/splitkey/internal/deal"
)

// SignPartial returns the client's partial signature y = m^d_c mod n1, of exactly k1
// bytes, for a message of the final key n = n1 or n = n1*n2. It returns [ErrMessage] for
// a message of any other key, and cannot tell whether the share is the right one. That n is
// fit to be a final key at all, the caller has asked of [CheckFinalKey] once.
//
// y is as sensitive as the message's digest is known: see the package's section on security.
func (c *ClientShare) SignPartial(m *Message) ([]byte, error) {
	if c == nil || c.x == nil {
		return nil, fmt.Errorf("%w: zero value", ErrShare)
	}
	m1, err := c.pub.reduce(m)
	if err != nil {
		return nil, err
	}
	if c.sharing == Additive {
		return c.pub.mod.Exp(m1, c.x())
	}
	dc := deal.ClientExponent(c.x())
	defer clear(dc)
	return c.pub.mod.Exp(m1, dc)
}

// reduce returns m1 = EM mod n1 of a message whose final modulus is a multiple of n1.
func (p *publicKey) reduce(m *Message) ([]byte, error) {
	if m == nil || m.em == nil {
		return nil, fmt.Errorf("%w: zero value", ErrMessage)
	}
	if uint(m.e) != p.e || !equalConstantTime(p.mod.Reduce(m.n), make([]byte, p.mod.Size())) {
		return nil, fmt.Errorf("%w: it was encoded for another key", ErrMessage)
	}
	return p.mod.Reduce(m.em), nil
}
