package splitkey

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/internal/taint"
)

// Completer is the server's half of one key. It checks the client's partial signature,
// which is the only test of a PIN there is, and completes it. It is safe for concurrent
// use.
type Completer struct {
	share *ServerShare
	final *FinalKey

	// For a composite key only, else nil.
	server *serverKey
	n1Inv  *modexp.Elem // n1^-1 mod n2
}

// NewCompleter returns the server's half of the two-prime key (n1, e), where key is
// nil, or of the composite key (n1*n2, e) with the server key (n2, e).
//
// precomputed is empty, or the result of an earlier [Completer.Precomputed], which saves
// the inversion of n1 modulo n2. It is checked.
//
// NewCompleter returns [ErrShare] for a zero share, and [ErrKey] where the server key has
// another exponent or a modulus that is not coprime to n1, where the precomputed value
// does not belong to these keys, or, together with [ErrFIPS], where the product has an
// odd number of bits.
func NewCompleter(share *ServerShare, key RSAKey, precomputed []byte) (*Completer, error) {
	if share.secret() == nil {
		return nil, fmt.Errorf("%w: zero value", ErrShare)
	}
	if key == nil {
		if len(precomputed) != 0 {
			return nil, fmt.Errorf("%w: precomputed value of another shape of key", ErrKey)
		}
		final, err := newFinalKey(share.pub.rsa(), share.pub)
		if err != nil {
			return nil, err
		}
		return &Completer{share: share, final: final}, nil
	}
	server, err := newServerKey(key)
	if err != nil {
		return nil, err
	}
	if server.pub.e != share.pub.e {
		return nil, fmt.Errorf("%w: public exponents %d and %d differ", ErrKey, share.pub.e, server.pub.e)
	}
	n1Inv, err := server.inverse(share.pub.n, precomputed)
	if err != nil {
		return nil, err
	}
	n := new(big.Int).Mul(new(big.Int).SetBytes(share.pub.n), new(big.Int).SetBytes(server.pub.n))
	final, err := newFinalKey(&rsa.PublicKey{N: n, E: int(server.pub.e)}, share.pub)
	if err != nil {
		return nil, err
	}
	return &Completer{share, final, server, n1Inv}, nil
}

// FinalKey returns the final key, which messages are encoded for and signatures verify
// under. For nil and the zero value it is nil.
func (c *Completer) FinalKey() *FinalKey {
	if c == nil {
		return nil
	}
	return c.final
}

// PublicKey returns a copy of the final key as crypto/rsa has it. For nil and the zero
// value it is nil.
func (c *Completer) PublicKey() *rsa.PublicKey { return c.FinalKey().PublicKey() }

// Precomputed returns n1^-1 mod n2 for [NewCompleter]: a public value as long as n2, to
// be kept beside the share. It is empty for a two-prime key.
func (c *Completer) Precomputed() []byte {
	if c == nil || c.n1Inv == nil {
		return nil
	}
	return c.n1Inv.Bytes()
}

// Checked is a partial signature that was found right, on its way to [Completer.Finish].
// Whoever checked it wipes it, finished or not: in the two-prime shape s1 is the
// signature.
type Checked struct {
	completer *Completer
	m         *Message
	s1        secret.Value[*modexp.Elem] // m1^d mod n1: part of the signature to be
}

// Wipe clears s1. The checked partial signature cannot be finished afterwards, and Wipe
// must not run at the same time as Finish.
func (ch *Checked) Wipe() {
	if ch != nil && ch.completer != nil {
		ch.completer = nil
		ch.s1.Get().Wipe()
	}
}

// Format hides s1: together with the digest it is a test of PINs.
func (ch Checked) Format(f fmt.State, _ rune) { fmt.Fprint(f, "splitkey.Checked") }

// Check joins the server's share to a partial signature, which makes the signature modulo
// n1, and reports whether that is right: whether the client used the right share. It
// returns [ErrMessage] where the message was encoded for another final key,
// [ErrMalformedPartial] for a partial signature out of range, and [ErrPartial] for a
// wrong one. It does not use the server key.
func (c *Completer) Check(m *Message, partial []byte) (ch *Checked, err error) {
	if c == nil || c.final == nil {
		return nil, fmt.Errorf("%w: zero value", ErrShare)
	}
	if m == nil || m.em == nil {
		return nil, fmt.Errorf("%w: zero value", ErrMessage)
	}
	if !m.key.equal(c.final) {
		return nil, fmt.Errorf("%w: it was encoded for another key", ErrMessage)
	}
	if c.share.secret() == nil {
		return nil, fmt.Errorf("%w: wiped", ErrShare)
	}
	y, err := c.share.pub.partial(partial)
	if err != nil {
		return nil, err
	}
	m1 := c.share.pub.mod.Reduce(m.em)
	s1, right := y, 0
	erase.Do(func() {
		c.share.join(s1, m1)
		z := s1.Clone().ExpShortVarTime(c.share.pub.e) // m1, or tells nothing without d_s
		right = z.Equal(m1)
	})
	if taint.Declassify(right, taint.Verdict) == 0 {
		s1.Wipe()
		return nil, ErrPartial
	}
	return &Checked{c, m, secret.Hide(s1)}, nil
}

// join returns s1, which takes the place of y: y^d_s, or y * m1^d_s.
func (s *ServerShare) join(y, m1 *modexp.Elem) *modexp.Elem {
	if s.sharing == Multiplicative {
		return y.Exp(s.secret())
	}
	other := m1.Clone().Exp(s.secret())
	defer other.Wipe()
	return y.Mul(other)
}

// Finish makes the signature of a checked partial signature, as long as the final
// modulus. For a composite key it uses the server key, once. It returns [ErrServerKey] if
// that fails or lies (wrapping its error; the call may be repeated), [ErrMessage] where
// ch is another completer's, and [ErrSignature] if the result does not verify, which only
// a fault of the hardware can cause (it wraps the error of crypto/rsa).
//
// Finish verifies what the server key computed: an [RSAKey] need not have done so, and a
// [SoftwareKey] leaves it to Finish.
func (c *Completer) Finish(ctx context.Context, ch *Checked) ([]byte, error) {
	if c == nil || ch == nil || ch.completer == nil || ch.completer != c {
		return nil, fmt.Errorf("%w: checked by another completer", ErrMessage)
	}
	sig, err := c.compose(ctx, ch)
	if err != nil {
		return nil, err
	}
	if err := ch.m.verifyCryptoRSA(taint.DeclassifyBytes(sig, taint.VerifiedSignature)); err != nil {
		clear(sig)
		return nil, err
	}
	return sig, nil
}

// compose joins the signatures modulo n1 and n2, if there are two.
func (c *Completer) compose(ctx context.Context, ch *Checked) ([]byte, error) {
	s1 := ch.s1.Get()
	if c.server == nil {
		return s1.Bytes(), nil
	}
	m2 := c.server.pub.mod.Reduce(ch.m.em)
	b, err := c.server.exponentiate(ctx, m2)
	if err != nil {
		if errors.Is(err, ErrServerKey) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrServerKey, err)
	}
	// A wrong s2 (a fault in an HSM's CRT) would let whoever sees S factor n2.
	s2, err := c.server.pub.mod.CheckedRootVarTime(b, c.server.pub.e, m2)
	if err != nil {
		return nil, ErrServerKey
	}
	return modexp.Garner(s1, s2, c.n1Inv, c.final.pub.Size()), nil
}

// Format prints the kind and size of the key, for every verb.
func (c Completer) Format(f fmt.State, _ rune) {
	shape := ", two-prime"
	if c.server != nil {
		shape = ", composite"
	}
	format(f, "Completer", c.final.bits(), shape)
}
