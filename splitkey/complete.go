package splitkey

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/internal/taint"
)

// Completer is the server's half of one key: it checks the client's partial
// signature, which is the only test of a PIN there is, and completes it. It is safe
// for concurrent use.
type Completer struct {
	share *ServerShare
	final *FinalKey

	// Of a composite key only; own is nil else.
	own    RSAKey
	ownPub *publicKey
	n1Inv  []byte // n1^-1 mod n2, in the length of n2
}

// NewCompleter returns the server's half of the two-prime key (n1, e), where own is
// nil, or of the composite key (n1*n2, e) with own = (n2, e).
// It returns [ErrShare] for a zero share, and [ErrKey] where own has another exponent or a modulus
// that is not coprime to n1, or, together with [ErrFIPS], where the product has an odd number of bits.
func NewCompleter(share *ServerShare, own RSAKey) (*Completer, error) {
	return newCompleter(share, own, nil)
}

// RestoreCompleter is [NewCompleter] with the result of an earlier [Completer.Precomputed], which
// saves the inversion of n1 modulo n2. The value is checked; if it does not belong
// to these keys, the error is [ErrKey].
func RestoreCompleter(share *ServerShare, own RSAKey, precomputed []byte) (*Completer, error) {
	if own == nil && len(precomputed) != 0 {
		return nil, fmt.Errorf("%w: precomputed value of another shape of key", ErrKey)
	}
	if own != nil && len(precomputed) == 0 {
		return nil, fmt.Errorf("%w: no precomputed value", ErrKey)
	}
	return newCompleter(share, own, precomputed)
}

func newCompleter(share *ServerShare, own RSAKey, n1Inv []byte) (*Completer, error) {
	if share.secret() == nil {
		return nil, fmt.Errorf("%w: zero value", ErrShare)
	}
	if own == nil {
		final, err := newFinalKey(share.pub.rsa(), share.pub)
		if err != nil {
			return nil, err
		}
		return &Completer{share: share, final: final}, nil
	}
	ownPub, err := publicKeyOf(own)
	if err != nil {
		return nil, err
	}
	if ownPub.e != share.pub.e {
		return nil, fmt.Errorf("%w: public exponents %d and %d differ", ErrKey, share.pub.e, ownPub.e)
	}
	n1 := ownPub.mod.Reduce(share.pub.n)
	if n1Inv == nil {
		// gcd(n1, n2) = 1 is what makes the inverse exist. Both are public.
		var ok bool
		if n1Inv, ok = modexp.InverseVarTime(n1, ownPub.n); !ok {
			return nil, fmt.Errorf("%w: the two moduli have a common factor", ErrKey)
		}
	}
	one := make([]byte, len(ownPub.n))
	one[len(one)-1] = 1
	if product, err := ownPub.mod.Mul(n1, n1Inv); err != nil || !bytes.Equal(product, one) {
		return nil, fmt.Errorf("%w: wrong precomputed value", ErrKey)
	}
	n := new(big.Int).Mul(new(big.Int).SetBytes(share.pub.n), new(big.Int).SetBytes(ownPub.n))
	final, err := newFinalKey(&rsa.PublicKey{N: n, E: int(ownPub.e)}, share.pub)
	if err != nil {
		return nil, err
	}
	return &Completer{
		share: share, final: final,
		own: own, ownPub: ownPub, n1Inv: bytes.Clone(n1Inv),
	}, nil
}

// publicKeyOf returns the public half of a server key: what a [SoftwareKey] keeps, and
// what any other implementation says after a check.
func publicKeyOf(own RSAKey) (*publicKey, error) {
	if isnil.Value(own) {
		return nil, fmt.Errorf("%w: the server key is a nil", ErrKey)
	}
	if k, ok := own.(*SoftwareKey); ok {
		if k.pub == nil {
			return nil, fmt.Errorf("%w: zero value", ErrKey)
		}
		return k.pub, nil
	}
	pub, ok := own.Public().(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: the server key is not an RSA key but a %T", ErrKey, own.Public())
	}
	return newPublicKey(pub)
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

// Precomputed returns n1^-1 mod n2 for [RestoreCompleter]: a public value as long as
// n2, to be kept beside the share. It is empty for a two-prime key.
func (c *Completer) Precomputed() []byte {
	if c == nil {
		return nil
	}
	return bytes.Clone(c.n1Inv)
}

// Checked is a partial signature that was found right, on its way to [Completer.Finish].
type Checked struct {
	completer *Completer
	m         *Message
	s1        secret.Bytes // m1^d mod n1, as wide as n1: part of the signature to be
}

// Format hides the intermediate value, which together with the digest is a test for PINs.
func (ch Checked) Format(f fmt.State, _ rune) { fmt.Fprint(f, "splitkey.Checked") }

// Check tells whether a partial signature belongs to the message: whether the client
// used the right share. It returns [ErrMessage] where the message was encoded for
// another final key, [ErrMalformedPartial] for a partial signature out of range, and
// [ErrPartial] for a wrong one. It does not use the server's own key.
func (c *Completer) Check(m *Message, partial []byte) (*Checked, error) {
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
	p := c.share.pub
	if !p.inPartialRange(partial) {
		return nil, ErrMalformedPartial
	}
	m1 := p.mod.Reduce(m.em)
	var s1 []byte
	var err error
	right := 0
	erase.Do(func() {
		if s1, err = c.join(m1, partial); err != nil {
			return
		}
		var z []byte
		if z, err = p.mod.ExpShortVarTime(s1, p.e); err == nil {
			right = subtle.ConstantTimeCompare(z, m1)
		}
	})
	if err != nil {
		return nil, ErrMalformedPartial
	}
	if taint.Declassify(right, taint.Verdict) == 0 {
		clear(s1)
		return nil, ErrPartial
	}
	return &Checked{c, m, secret.Own(s1)}, nil
}

// join returns s1, what the server's share makes of y.
func (c *Completer) join(m1, y []byte) ([]byte, error) {
	mod, d := c.share.pub.mod, c.share.secret()
	if c.share.sharing == Multiplicative {
		return mod.Exp(y, d)
	}
	// Here d_s is the other summand: s1 = y * m1^d_s.
	md, err := mod.Exp(m1, d)
	if err != nil {
		return nil, err
	}
	defer clear(md)
	return mod.Mul(y, md)
}

// inPartialRange reports whether y has k1 bytes and 1 < y < n1-1. The three values left
// out are fixed by every odd exponent, so they would "open" any share.
func (p *publicKey) inPartialRange(y []byte) bool {
	if len(y) != len(p.n) {
		return false
	}
	upper := subtle.ConstantTimeCompare(y[:len(y)-1], make([]byte, len(y)-1))
	small := upper & subtle.ConstantTimeLessOrEq(int(y[len(y)-1]), 1)
	return taint.Declassify(lessConstantTime(y, predecessor(p.n))&^small, taint.PartialInRange) == 1
}

// Finish makes the signature of a checked partial signature, as long as the final
// modulus. For a composite key it uses the server's own key, once. It returns [ErrServerKey] if that
// fails or lies (wrapping its error; the call may be repeated), [ErrMessage] where ch is another completer's, and [ErrSignature] if
// the result does not verify, which only a fault of the hardware can cause (it wraps the error of crypto/rsa).
func (c *Completer) Finish(ctx context.Context, ch *Checked) ([]byte, error) {
	if c == nil || ch == nil || ch.completer == nil || ch.completer != c {
		return nil, fmt.Errorf("%w: checked by another completer", ErrMessage)
	}
	sig := bytes.Clone(ch.s1.Get())
	if c.own != nil {
		var err error
		if sig, err = c.compose(ctx, ch); err != nil {
			return nil, err
		}
	}
	if err := ch.m.verifyCryptoRSA(taint.DeclassifyBytes(sig, taint.VerifiedSignature)); err != nil {
		clear(sig)
		return nil, err
	}
	return sig, nil
}

// compose joins the signatures modulo n1 and n2 by the Chinese remainder theorem:
// S = s1 + n1 * ((s2 - s1) * n1^-1 mod n2).
func (c *Completer) compose(ctx context.Context, ch *Checked) ([]byte, error) {
	n2 := c.ownPub.mod
	m2 := n2.Reduce(ch.m.em)
	s2, err := c.own.Exponentiate(ctx, bytes.Clone(m2))
	if err != nil {
		if errors.Is(err, ErrServerKey) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrServerKey, err)
	}
	// An own key that was not checked (a fault in an HSM's CRT) would let whoever sees
	// S factor n2.
	if err := c.ownPub.verifyExponentiation(m2, s2); err != nil {
		return nil, err
	}
	h, err := n2.Sub(s2, n2.Reduce(ch.s1.Get()))
	if err != nil {
		return nil, ErrServerKey
	}
	if h, err = n2.Mul(h, c.n1Inv); err != nil {
		return nil, ErrServerKey
	}
	return modexp.MulAdd(c.share.pub.n, h, ch.s1.Get(), c.final.pub.Size()), nil
}

// Complete is [Completer.Check] followed by [Completer.Finish], for servers that do not limit attempts in
// between. A server that guards a PIN must: it counts before it answers.
func (c *Completer) Complete(ctx context.Context, m *Message, partial []byte) ([]byte, error) {
	ch, err := c.Check(m, partial)
	if err != nil {
		return nil, err
	}
	return c.Finish(ctx, ch)
}

// Format prints the kind and size of the key, for every verb.
func (c Completer) Format(f fmt.State, _ rune) {
	if c.final == nil {
		fmt.Fprint(f, "splitkey.Completer(invalid)")
		return
	}
	shape := "two-prime"
	if c.own != nil {
		shape = "composite"
	}
	fmt.Fprintf(f, "splitkey.Completer(%s, %d bits, secret hidden)", shape, c.final.pub.N.BitLen())
}
