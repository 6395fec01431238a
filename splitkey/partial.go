package splitkey

import (
	"bytes"
	"fmt"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/splitkey/internal/deal"
)

// SignPartial returns the client's partial signature y = m^d_c mod n1, of exactly k1
// bytes, for a message of the final key n = n1 or n = n1*n2. It returns [ErrMessage] for
// a message of any other key, and cannot tell whether the share is the right one. That n is
// fit to be a final key at all, the caller has asked of [CheckFinalKey] once.
//
// y is as sensitive as the message's digest is known: see the package's section on security.
func (c *ClientShare) SignPartial(m *Message) (y []byte, err error) {
	if c == nil || c.x.get() == nil {
		return nil, fmt.Errorf("%w: zero value", ErrShare)
	}
	m1, err := c.pub.reduce(m)
	if err != nil {
		return nil, err
	}
	erase.Do(func() {
		exponent := c.x.get()
		if c.sharing == Multiplicative {
			exponent = deal.ClientExponent(exponent)
			defer clear(exponent)
		}
		y, err = c.pub.mod.Exp(m1, exponent)
	})
	return y, err
}

// reduce returns m1 = EM mod n1 of a message whose final modulus is a multiple of n1.
func (p *publicKey) reduce(m *Message) ([]byte, error) {
	if m == nil || m.em == nil {
		return nil, fmt.Errorf("%w: zero value", ErrMessage)
	}
	if uint(m.e) != p.e || !bytes.Equal(p.mod.Reduce(m.n), make([]byte, p.mod.Size())) {
		return nil, fmt.Errorf("%w: it was encoded for another key", ErrMessage)
	}
	return p.mod.Reduce(m.em), nil
}
