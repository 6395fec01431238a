package splitkey

import (
	"fmt"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/splitkey/internal/deal"
)

// SignPartial returns the client's partial signature y = m^d_c mod n1, of exactly k1
// bytes, for a message that was encoded for a final key of its own client key. It returns
// [ErrMessage] for any other message. It cannot tell whether the share is the right one.
//
// With the digest y is a test of PINs: see Security in the package documentation.
func (c *ClientShare) SignPartial(m *Message) (y []byte, err error) {
	exponent := c.secret()
	if exponent == nil {
		return nil, fmt.Errorf("%w: zero value", ErrShare)
	}
	m1, err := c.pub.message(m)
	if err != nil {
		return nil, err
	}
	erase.Do(func() {
		if c.sharing == Multiplicative {
			exponent = deal.ClientExponent(exponent)
			defer clear(exponent)
		}
		defer m1.Wipe() // y in the end
		y = m1.Exp(exponent).Bytes()
	})
	return y, nil
}
